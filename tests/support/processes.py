"""Processes of a program under test that is started in a session, so a process group, of its own."""
import os
import signal
import time


def was_forked(pid):
    """The leak sanitizer looks at its process from a clone of it, which tells nobody of its end; whoever kills that one has a
    process that waits for it for ever."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return int(stream.read().rsplit(")", 1)[1].split()[35]) == signal.SIGCHLD  # exit_signal, proc(5)
    except OSError:
        return False


def children_of(pid):
    """In the order in which they were started; none of one that has ended."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as stream:
            return [child for child in map(int, stream.read().split()) if was_forked(child)]
    except OSError:
        return []


def is_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def ends_by(group, limit):
    """Do all of it end before that date of time.monotonic? It is waited for so long."""
    while is_alive(group):
        if time.monotonic() > limit:
            return False
        time.sleep(0.01)
    return True


def end_group(process):
    """Kills whatever is left of the group that a Popen began, and waits for the first of it."""
    if is_alive(process.pid):
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:  # it ended meanwhile
            pass
    process.wait()
