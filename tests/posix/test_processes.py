"""Whom tests kill: the children that a process has forked, and no clone that tells nobody of its end, as the leak sanitizer's."""
import ctypes
import os
import platform
import signal
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))
from processes import children_of  # noqa: E402

CLONE = {"x86_64": 56, "aarch64": 220, "armv7l": 120}  # numbers of clone(2)
WALL = 0x40000000  # waitpid(2): also for those that send no SIGCHLD


def sleeper(start):
    """`start` says 0 to a child, which then waits to be killed, and its number to this process."""
    pid = start()
    if pid == 0:
        while True:
            signal.pause()
    return pid


class Children(unittest.TestCase):
    @unittest.skipUnless(platform.machine() in CLONE, "the number of clone(2) is not known here")
    def test_clones_are_none(self):
        libc = ctypes.CDLL(None, use_errno=True)
        kinds = [os.fork, lambda: libc.syscall(CLONE[platform.machine()], 0, 0, 0, 0, 0), os.fork]
        pids = [sleeper(start) for start in kinds]
        try:
            self.assertTrue(all(pid > 0 for pid in pids), pids)
            self.assertEqual(children_of(os.getpid()), [pids[0], pids[2]])
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, WALL)
        self.assertEqual(children_of(os.getpid()), [])


if __name__ == "__main__":
    unittest.main()
