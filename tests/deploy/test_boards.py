"""What boards say and send to ringdeploy, and a desk that cannot take it: two boards by a stand-in for ssh that
runs the command here, in a folder a board. No sshd is needed.

    test_boards.py RINGNODE
"""

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(SOURCE, "tests", "support"))
from ports import free_ports  # noqa: E402

DEPLOY = os.path.join(SOURCE, "runtime", "programs", "ringdeploy")
INPUTS = os.path.join(os.path.dirname(SOURCE), "shared", "inputs")
RINGNODE = os.path.abspath(sys.argv.pop(1))
PATIENCE_S = 120
MIB = 1 << 20

# $BOARDS/TARGET: the board's home folder; beside it TARGET.shell, what its login shell does first, and TARGET.gather,
# what it sends in place of its files.
SSH = r"""#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in --) shift; break ;; -[opF]) shift 2 ;; -*) shift ;; *) break ;; esac
done
board=$BOARDS/$1
shift
mkdir -p "$board" && cd "$board" || exit 1
echo "$*" >>"$board.asked"
HOME=$board
[ ! -e "$board.shell" ] || . "$board.shell"
mark=$(echo "$*" | grep -o "ringdeploy\.[A-Za-z0-9]\{10\}" | head -n 1)
case $* in
*"echo \"odd "*) [ ! -e "$board.gather" ] || { printf '\n%s\n' "$mark"; exec cat "$board.gather"; } ;;
esac
exec sh -c "$*"
"""

SCENARIO = f"""<scenario name="two" seed="1">
  <platform file="{SOURCE}/platforms/pi4-gigabit-3.xml"/>
  <network file="{SOURCE}/models/networks/iris-mlp.xml"/>
  <data kind="iris" train="120" test="30"/>
  <training batch="10" epochs="2" learning-rate="0.02"/>
  <strategy label="all-reduce" kind="ring_allreduce" nodes="2"/>
</scenario>
"""

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def write(path, text, mode=0o644):
    with open(path, "wb") as stream:
        stream.write(text if isinstance(text, bytes) else text.encode())
    os.chmod(path, mode)
    return path


def read(path):
    with open(path, "rb") as stream:
        return stream.read().decode()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ringdeploy-boards-")
        self.addCleanup(shutil.rmtree, self.folder)
        os.mkdir(self.path("bin"))
        os.mkdir(self.path("tmp"))
        os.mkdir(self.path("boards"))
        write(self.path("bin", "ssh"), SSH, 0o755)
        os.symlink(RINGNODE, self.path("bin", "ringnode"))
        self.scenario = write(self.path("two.xml"), SCENARIO)
        self.out = self.path("out")
        self.targets = ["pi@127.0.0.1", "127.0.0.1"]
        self.ports = free_ports(2)
        self.hosts = write(self.path("hosts.txt"), "".join(f"{t}:{p}\n" for t, p in zip(self.targets, self.ports)))

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def board(self, rank, *names):
        return self.path("boards", self.targets[rank], *names)

    def shell(self, rank, text):
        write(self.path("boards", self.targets[rank] + ".shell"), text)

    def sends(self, rank, data):
        write(self.path("boards", self.targets[rank] + ".gather"), data)

    def program(self, before="", after=""):
        """A ringnode that does something of its own, in the work folder."""
        return write(self.path("odd-ringnode"), f"#!/bin/sh\nringnode={RINGNODE}\n{before}\n"
                     f'"$ringnode" "$@"\nstatus=$?\n{after}\nexit $status\n', 0o755)

    def command(self, *options, hosts=None, program=None):
        binary = ["--binary", f"{os.uname().machine}={program}"] if program else []
        return [DEPLOY, self.scenario, "--hosts", hosts or self.hosts, "--ringnode", RINGNODE, "--out", self.out,
                *binary, *options]

    def environment(self):
        return dict(os.environ, PATH=self.path("bin") + ":" + os.environ["PATH"], BOARDS=self.path("boards"),
                    TMPDIR=self.path("tmp"))

    def deploy(self, *options, prefix=(), **more):
        done = subprocess.run([*prefix, *self.command(*options, **more)], capture_output=True, timeout=PATIENCE_S,
                              env=self.environment(), cwd=self.folder)
        done.stdout, done.stderr = done.stdout.decode(), done.stderr.decode()
        for text in (done.stdout, done.stderr):
            self.assertIsNone(CONTROL.search(text), repr(text))
        return done

    def result(self):
        return json.loads(read(os.path.join(self.out, "result.json")))

    def assert_trained(self, done, status=0):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual([run["status"] for run in self.result()["runs"]], ["ok"])

    def assert_refused(self, done, status, *words):
        """Before anything ran, and nothing written."""
        self.assertEqual(done.returncode, status, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertFalse(os.path.exists(self.out))

    def assert_tidy(self):
        for place, _, names in os.walk(self.folder):
            self.assertNotIn(".incoming", place)
            self.assertFalse([name for name in names if ".incoming" in name], place)
        self.assertEqual(os.listdir(self.path("tmp")), [])


class Shells(Case):
    def test_a_greeting_is_left_out(self):
        self.shell(0, "printf 'Welcome \\033[31mto\\233 this board\\nDisk 90 %% full'\n")
        self.shell(1, "echo Hello; echo to all >&2\n")
        done = self.deploy("--trace", "--save")
        self.assert_trained(done)
        self.assertIn('rank 0 (pi@127.0.0.1): its login shell prints "Welcome ?[31mto? this board Disk 90 % full"',
                      done.stderr)
        self.assertIn('its login shell prints "Hello"', done.stderr)
        self.assertEqual(done.stdout, read(os.path.join(self.out, "table.txt")))
        self.assertNotIn("Welcome", done.stdout)
        self.assertIn("strategy", done.stdout)
        self.assertTrue(json.loads(read(os.path.join(self.out, "trace.json"))))
        self.assertGreater(os.path.getsize(os.path.join(self.out, "parameters.safetensors")), 1000)
        self.assert_tidy()

    def test_a_shell_that_runs_nothing_is_quoted(self):
        self.shell(1, "echo This account is not available.; exit 1\n")
        done = self.deploy()
        self.assert_refused(done, 4, "rank 1 (127.0.0.1): ", 'prints "This account is not available."')
        self.assertFalse(os.path.exists(self.board(0, "ringtmp")))

    def test_a_shell_that_says_nothing_and_goes_on_is_refused(self):
        self.shell(1, "echo Choose:; exit 0\n")
        self.assert_refused(self.deploy(), 4, "rank 1 (127.0.0.1): ", 'prints "Choose:"')

    def test_a_shell_that_takes_the_input_is_refused(self):
        self.shell(0, "echo 'Press return'; read answer\n")
        self.assert_refused(self.deploy(), 4, "rank 0 (pi@127.0.0.1): its login shell takes what is meant for",
                            'prints "Press return"')

    def test_an_endless_greeting_is_refused(self):
        self.shell(0, "yes and so on\n")
        begun = time.monotonic()
        self.assert_refused(self.deploy(), 4, "rank 0 (pi@127.0.0.1): ", 'prints "and so on and so on')
        self.assertLess(time.monotonic() - begun, 30)

    @unittest.skipUnless(os.path.isdir(os.path.join(INPUTS, "talking-shell")), "../shared/inputs is absent")
    def test_the_report_of_a_talking_shell(self):
        place = os.path.join(INPUTS, "talking-shell")
        self.scenario = write(self.path("two.xml"), read(os.path.join(place, "two.xml")).replace("@PROJECT@", SOURCE))
        write(self.path("bin", "ssh"), read(os.path.join(place, "ssh")), 0o755)
        done = subprocess.run(self.command(), capture_output=True, text=True, timeout=PATIENCE_S, cwd=self.folder,
                              env=dict(self.environment(), RINGTMP=self.path("bin")))
        self.assert_trained(done)
        self.assertIn('prints "Welcome to this board"', done.stderr)


class Hosts(Case):
    def refused_hosts(self, text, *words):
        hosts = write(self.path("odd.txt"), text)
        self.assert_refused(self.deploy(hosts=hosts), 2, *(word.replace("FILE", hosts) for word in words))
        self.assertEqual(os.listdir(self.path("boards")), [])

    def test_ports_of_ssh(self):
        for port in ("22x", "", "0", "65536", "022", "-1", "2 2", "99999999999999999999", "a[$(touch ran)]"):
            self.refused_hosts(f"# two\n127.0.0.1 ssh-port={port}\n", "FILE:2: ")
        self.refused_hosts("127.0.0.1 ssh-port=22x\n", "FILE:1: ssh-port=22x: a port is a number from 1 to 65535")
        self.assertFalse(os.path.exists(self.path("ran")))
        self.refused_hosts("127.0.0.1 dir=-x\n", "FILE:1: dir=-x")

    def test_what_is_no_host(self):
        for text in ("[boards]\n10.0.0.1\n10.0.0.2\n", "[boards:vars]\n10.0.0.1\n"):
            self.refused_hosts(text, "FILE:1: brackets are for an IPv6 address", "heading of an inventory")
            done = subprocess.run([RINGNODE, self.scenario, "--rank", "0", "--hosts", self.path("odd.txt")],
                                  capture_output=True, text=True, timeout=PATIENCE_S)
            self.assertEqual(done.returncode, 2)
            self.assertIn("odd.txt:1: brackets are for an IPv6 address", done.stderr)
        self.refused_hosts("# a list\n\n10.0.0.1\n10.0.0.2,10.0.0.3\n", "FILE:4: a host is a name")
        self.refused_hosts("# the same\n10.0.0.1 dir=a\n# again\n10.0.0.1 dir=b\n", "FILE:4: the same host", "line 2")

    @unittest.skipUnless(os.path.isfile(os.path.join(INPUTS, "inventory.ini")), "../shared/inputs is absent")
    def test_the_report_of_an_inventory(self):
        self.refused_hosts(read(os.path.join(INPUTS, "inventory.ini")), "FILE:1: ")

    def test_a_file_from_another_editor(self):
        text = "\ufeff" + "".join(line + " dir=w\r\n" for line in read(self.hosts).splitlines())
        done = self.deploy("--dry-run", hosts=write(self.path("dos.txt"), text))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count(": cd w && "), 2)
        self.assertEqual(sorted(n for n in os.listdir(self.path("boards")) if not n.endswith(".asked")),
                         sorted(self.targets))


def sent(name, data, size=None):
    return b"file %s %d\n" % (name.encode(), len(data) if size is None else size) + data


class Sent(Case):
    """Boards whose files are not what they should be. Nothing of it is taken, nothing else touched."""

    def setUp(self):
        super().setUp()
        self.victim = write(self.path("victim"), "mine\n")

    def check(self, data, *words, whole=(), status=4):
        shutil.rmtree(self.out, ignore_errors=True)
        self.sends(0, data)
        done = self.deploy("--trace")
        self.assertEqual(done.returncode, status, done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(sorted(os.listdir(self.out)), sorted({"table.txt", "rank-0.log", "rank-1.log", *whole}))
        self.assertEqual(read(self.victim), "mine\n")
        self.assert_tidy()
        return done

    def test_names(self):
        for name in ("../victim", self.victim, "a/b", "..", ".", "rank-1.log", "rank-1.meter.csv", "result.json/x",
                     "parameters.safetensors", "*", "result.jso", "$(touch\tran)", "x\x1b[2J\x9b31m"):
            self.check(sent(name, b"x\n") + b"end\n", "rank 0 (pi@127.0.0.1): not all gathered",
                       "what was not asked for")
        self.check(b"file  1\nx\nend\n", "what was not asked for")
        self.assertFalse(os.path.exists(self.path("ran")))

    def test_once_each(self):
        self.check(sent("result.json", b"{}\n") * 2 + b"end\n", "what was not asked for", whole=["result.json"])
        self.assertEqual(read(os.path.join(self.out, "result.json")), "{}\n")
        self.check(b"odd trace.json\n" + sent("result.json", b"{}\n") + b"end\n", "left no trace.json",
                   "no plain file", whole=["result.json"], status=5)

    def test_sizes(self):
        for size in (1 << 40, 10 ** 15, 10 ** 30):
            self.check(sent("result.json", b"", size), "result.json is too large")
        for size in ("-1", "0x10", "1e3", "010", "a[$(touch ran)]", ""):
            self.check(b"file result.json " + size.encode() + b"\nend\n", "result.json is too large")
        self.assertFalse(os.path.exists(self.path("ran")))
        self.check(sent("result.json", b"{}", 100), "result.json was cut short")

    def test_no_protocol(self):
        for data in (b"", b"end", b"\0" * 2000, b"x" * 100000, b"linkname", b"link result.json 3\nend\n"):
            self.check(data, "not all gathered")

    def test_an_archive(self):
        """As boards sent it before."""
        os.mkdir(self.path("pack"))
        write(self.path("pack", "result.json"), "{}")
        os.symlink(self.victim, self.path("pack", "trace.json"))
        self.check(subprocess.run(["tar", "-cf", "-", "-C", self.path("pack"), "."], capture_output=True).stdout,
                   "what was not asked for")

    def test_files_on_a_board_that_are_none(self):
        done = self.deploy("--trace", program=self.program(
            after=f'[ ! -d rank-0 ] || ln -sf {self.victim} rank-0/trace.json\n'))
        self.assert_trained(done, 5)
        self.assertIn("rank 0 (pi@127.0.0.1) left no trace.json: trace.json there is no plain file", done.stderr)
        shutil.rmtree(self.out)
        done = self.deploy("--trace", program=self.program(
            after='[ ! -d rank-0 ] || { rm rank-0/trace.json && mkfifo rank-0/trace.json; }\n'))
        self.assert_trained(done, 5)
        self.assertIn("no plain file", done.stderr)
        shutil.rmtree(self.out)
        done = self.deploy("--trace", program=self.program(
            after='[ ! -d rank-0 ] || { truncate -s 5G rank-0/trace.json; touch rank-0/more; }\n'))
        self.assert_trained(done, 4)
        self.assertIn("trace.json is too large: 5368709120 bytes, 4294967296 are allowed", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.out, "more")))


class Text(Case):
    def test_control_characters(self):
        """Of a rank's own words: none reach the terminal or the logs; other scripts do."""
        odd = r"printf 'a\033]0;title\007b\tc \302\265s \302\2331m \342\200\256x \233 \377 \360\237\230\200\r\n'"
        done = self.deploy(program=self.program(before=f"{odd}\n{odd} >&2\n"))
        self.assert_trained(done)
        plain = "a?]0;title?b\tc \u00b5s ?1m ?x ? ? \U0001f600\n"
        self.assertIn(plain, done.stdout)
        self.assertIn(plain, done.stderr)
        for name in ("table.txt", "rank-0.log", "rank-1.log"):
            self.assertIn(plain, read(os.path.join(self.out, name)))
            self.assertIsNone(CONTROL.search(read(os.path.join(self.out, name))))

    def test_a_log_is_bounded(self):
        """One line without an end: the rest is left out, and the rank runs on."""
        done = self.deploy(program=self.program(before="head -c 80000000 /dev/zero | tr '\\0' x >&2\n"))
        self.assert_trained(done)
        for rank in (0, 1):
            path = os.path.join(self.out, f"rank-{rank}.log")
            self.assertLess(os.path.getsize(path), 65 * MIB)
            self.assertIn("[cut here, after 67108864 bytes]", read(path)[-100:])

    def begin(self, word):
        """A run that goes on until it is ended; when it has said so much."""
        self.scenario = write(self.path("two.xml"), SCENARIO.replace('epochs="2"', 'epochs="1000000"'))
        run = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder,
                               env=self.environment(), start_new_session=True, text=True)
        for clean in (run.wait, run.kill, run.stdout.close, run.stderr.close):
            self.addCleanup(clean)
        said = []
        begun = time.monotonic()
        for line in run.stderr:
            said.append(line)
            if word in line:
                return run
            self.assertLess(time.monotonic() - begun, PATIENCE_S)
        self.fail(said)

    def test_a_host_that_does_not_let_go(self):
        """Its ssh ignores that it is told to end."""
        self.shell(1, 'case $* in *flock*) trap "" TERM; exec sleep 600 ;; esac\n')
        run = self.begin("rank 1 (127.0.0.1, ")
        ready = os.path.join(self.out, "rank-1.log")
        begun = time.monotonic()
        while not os.path.exists(ready):
            self.assertLess(time.monotonic() - begun, PATIENCE_S)
            time.sleep(0.1)
        time.sleep(1)
        for _ in range(2):
            os.killpg(run.pid, signal.SIGINT)
            time.sleep(1)
        _, told = run.communicate(timeout=PATIENCE_S)
        self.assertEqual(run.returncode, 130, told)
        self.assertEqual(told.count("rank 1 (127.0.0.1) does not answer: left to its host"), 1, told)
        self.assertEqual(told.count("interrupted: stopping all ranks"), 1, told)

    def test_a_host_that_stalls_when_it_is_to_send(self):
        """--timeout bounds that, too; what the other sends is taken."""
        self.shell(0, 'case $* in *.meter.csv*) exec sleep 613 ;; esac\n')
        begun = time.monotonic()
        done = self.deploy("--timeout", "6")
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertLess(time.monotonic() - begun, PATIENCE_S / 2)
        self.assertIn("rank 0 (pi@127.0.0.1): not all gathered: it has not answered in time", done.stderr)
        self.assertEqual(subprocess.run(["pgrep", "-f", "sleep 613"], stdout=subprocess.DEVNULL, check=False).returncode, 1)
        self.assert_tidy()

    def test_progress_comes_at_once(self):
        """Filters hold no line back, nor are they ended before the ranks, by Ctrl-C or when the terminal goes."""
        for number in (signal.SIGINT, signal.SIGHUP):
            run = self.begin("  all-reduce ")
            os.killpg(run.pid, number)
            run.communicate(timeout=PATIENCE_S)
            self.assertEqual(run.returncode, 130)
            self.assertEqual(self.result()["runs"][0]["status"], "interrupted")
            self.assertIn("interrupted", read(os.path.join(self.out, "table.txt")))
            self.assert_tidy()
            shutil.rmtree(self.out)


class Desk(Case):
    """Where results go."""

    def unsaved(self, done, name, why):
        """Told that it could not be saved; and where it is kept instead, where it is read."""
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("all-reduce", done.stdout)
        told = re.search(rf"{re.escape(self.out)}/{name} could not be saved \({why}\): it is kept as (\S+)\n",
                         done.stderr)
        self.assertTrue(told, done.stderr)
        return json.loads(read(told[1]))

    def test_links_are_replaced_not_followed(self):
        os.mkdir(self.out)
        victim = write(self.path("victim"), "mine\n")
        names = ("result.json", "trace.json", "parameters.safetensors", "table.txt", "rank-0.log", "rank-1.log")
        for name in names:
            os.symlink(victim, os.path.join(self.out, name))
        self.assert_trained(self.deploy("--trace", "--save"))
        self.assertEqual(read(victim), "mine\n")
        for name in names:
            self.assertTrue(stat.S_ISREG(os.lstat(os.path.join(self.out, name)).st_mode), name)
        self.assert_tidy()

    def test_an_older_result_stays_until_there_is_another(self):
        os.mkdir(self.out)
        write(os.path.join(self.out, "result.json"), "older")
        write(os.path.join(self.out, "rank-7.log"), "older")
        done = self.deploy(program=self.program(before="exit 1"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(read(os.path.join(self.out, "result.json")), "older")
        self.assertIn(f"{self.out}/result.json is of an earlier run", done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.out, "rank-7.log")))
        done = self.deploy()
        self.assert_trained(done)
        self.assertNotIn("earlier", done.stderr)

    def test_files_are_synced_before_they_replace(self):
        """And their folder after it: by the order of what is called."""
        for name in ("sync", "mv"):
            write(self.path("bin", name), f'#!/bin/sh\necho "{name} $*" >>{self.path("calls")}\n'
                  f'exec {shutil.which(name)} "$@"\n', 0o755)
        self.assert_trained(self.deploy())
        calls = [re.sub(r"\.incoming\.\w+", "I", line).replace(self.out, "OUT")
                 for line in read(self.path("calls")).splitlines() if self.out in line]
        self.assertEqual(calls, ["sync -- OUT/I/result.json", "mv -fT -- OUT/I/result.json OUT/result.json",
                                 "sync -- OUT"])

    def test_a_folder_that_cannot_be_made(self):
        self.out = "/proc/nothing"
        done = self.deploy()
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("--out /proc/nothing: cannot be written", done.stderr)
        self.assertFalse(os.path.exists(self.board(0, "ringtmp", "rank-0")))

    def test_a_folder_that_goes_away(self):
        done = self.deploy(program=self.program(after=f"rm -rf {self.out}"))
        kept = self.unsaved(done, "result.json", "No such file or directory")
        self.assertEqual(kept["runs"][0]["status"], "ok")

    def test_a_folder_in_a_files_place(self):
        os.makedirs(os.path.join(self.out, "result.json", "x"))
        done = self.deploy("--trace")
        self.unsaved(done, "result.json", "[^)]*")
        self.assertTrue(json.loads(read(os.path.join(self.out, "trace.json"))))
        self.assertNotIn("trace.json could not", done.stderr)

    def mounted(self, what):
        """A command before another one that has a small disk of its own as `what`."""
        os.makedirs(what, exist_ok=True)
        prefix = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=512k none "$0" && exec "$@"', what]
        if not shutil.which("unshare") or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            self.skipTest("no file system can be mounted here")
        return prefix

    def test_a_full_disk(self):
        fill = f"cat /dev/zero >{self.out}/rest-$$ 2>/dev/null"
        prefix = self.mounted(self.out)
        done = self.deploy(program=self.program(after=f"sleep 1; {fill}"), prefix=prefix)
        self.assertEqual(self.unsaved(done, "result.json", "No space left on device")["runs"][0]["status"], "ok")
        done = self.deploy(program=self.program(before=fill), prefix=prefix)  # no room for the table either
        self.assertEqual(self.unsaved(done, "result.json", "No space left on device")["runs"][0]["status"], "ok")
        self.assertIn(f"{self.out}/table.txt could not be saved whole", done.stderr)

    def test_a_disk_that_turns_read_only(self):
        done = self.deploy(program=self.program(after=f"sleep 1; mount -t tmpfs -o ro none {self.out}/.incoming.*"),
                           prefix=self.mounted(self.out))
        self.unsaved(done, "result.json", "Read-only file system")

    def test_no_room_anywhere_here(self):
        self.out = self.path("tmp", "out")
        done = self.deploy(program=self.program(after=f"sleep 1; cat /dev/zero >{self.path('tmp')}/rest-$$"),
                           prefix=self.mounted(self.path("tmp")))
        self.assertEqual(done.returncode, 5, done.stderr)
        self.assertIn("all-reduce", done.stdout)
        self.assertIn("it stays on pi@127.0.0.1, until the next run there, as ringtmp/rank-0/result.json",
                      done.stderr)
        self.assertTrue(json.loads(read(self.board(0, "ringtmp", "rank-0", "result.json"))))

    def test_a_rank_that_could_not_save(self):
        done = self.deploy(program=self.program(after='[ ! -d rank-0 ] || status=5\n'))
        self.assert_trained(done, 5)
        self.assertIn("rank 0 (pi@127.0.0.1): trained, but something could not be saved", done.stderr)
        done = self.deploy(program=self.program(after='if [ -d rank-0 ]; then status=5; else sleep 2; status=4; fi\n'))
        self.assert_trained(done, 4)  # a rank that was lost is worse


if __name__ == "__main__":
    unittest.main(verbosity=2)
