"""One look at all processes of the host: who belongs to which run.

Where the machine is too short of descriptors or memory to look, OSError is raised: then
nothing is known, which is not the same as nobody being there.
"""

from __future__ import annotations

import os
import signal
import time
from itertools import chain

from queuectl import host
from queuectl.worker.process import MARK, Held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_CHASE = 0.002
_HUNT = 0.005
_AT_ONCE = 16
_QUIET_READS = 10


class Census:
    """A picture of the moment it was made; zombies don't count.

    Signals go to processes that are held, after a second look, so they can't hit one that
    got the pid since (see `process.Held`). A chain of processes that fork and exit faster
    than one can look at them all has a newest member at any time: who is just being started
    is looked at last.
    """

    def __init__(self, store_uid: str) -> None:
        self._wanted = f"\0{MARK}={store_uid}.".encode()
        self._sessions: dict[int, list[int]] = {}
        self._groups: dict[int, list[int]] = {}
        self._tokens: dict[int, list[int]] | None = None
        self._own = os.getpid()
        self._pids: dict[int, None] = {}
        for pid in sorted(host.all_pids(), reverse=True):
            self._add(pid)
        for pid in _newcomers(_CHASE):
            self._add(pid)

    def _add(self, pid: int) -> None:
        facts = host.stat(pid)
        if facts is None or pid in self._pids or pid == self._own:
            return
        self._pids[pid] = None
        self._sessions.setdefault(facts[1], []).append(pid)
        self._groups.setdefault(facts[2], []).append(pid)

    def session(self, leader: int) -> list[int]:
        """The processes of the session that this process began."""
        return self._sessions.get(leader, [])

    def group(self, leader: int) -> list[int]:
        """The processes of the group that this process began."""
        return self._groups.get(leader, [])

    def marked(self, token: int) -> list[int]:
        """The processes that carry the mark of this run in their environment."""
        if self._tokens is None:
            tokens: dict[int, dict[int, None]] = {}
            for pid in chain(self._pids, _newcomers(_CHASE)):
                found = self._token_of(pid)
                if found is not None:
                    tokens.setdefault(found, {})[pid] = None
            self._tokens = {found: list(pids) for found, pids in tokens.items()}
        return self._tokens.get(token, [])

    def _token_of(self, pid: int) -> int | None:
        content = _environ(pid)
        at = content.find(self._wanted)
        if at < 0:
            return None
        digits = content[at + len(self._wanted) :].split(b"\0", 1)[0]
        return int(digits) if digits.isdigit() else None

    def signal_session(self, leader: int, number: int, told: Sequence[int] = ()) -> bool:
        """Signal a session's processes (0: none) but those that were told before; whether
        there were any: one that has gone since may have started another."""

        def belongs(pid: int) -> bool:
            facts = host.stat(pid)
            return facts is not None and facts[1] == leader

        return self._signal(self.session(leader), belongs, number, told)

    def signal_marked(self, token: int, number: int, told: Sequence[int] = ()) -> bool:
        """Signal the processes that carry a run's mark (0: none) but those that were told
        before; whether there were any."""
        return self._signal(
            self.marked(token), lambda pid: self._token_of(pid) == token, number, told
        )

    def _signal(
        self,
        pids: list[int],
        belongs: Callable[[int], bool],
        number: int,
        told: Sequence[int],
    ) -> bool:
        for pid in pids:
            if number and pid not in told:
                _signal_one(pid, belongs, number)
        if pids and number == signal.SIGKILL:
            for pid in _newcomers(_HUNT):
                _signal_one(pid, belongs, number)
        return bool(pids)


def _newcomers(seconds: float) -> Iterator[int]:
    """Pids as they are given out, newest first, for as long as that goes on, so many
    seconds at most (proc_loadavg(5): the last field is the newest). Threads have some of
    them too; no signal reaches those (pidfd_open(2))."""
    file = os.open("/proc/loadavg", os.O_RDONLY | os.O_CLOEXEC)
    try:
        seen = quiet = 0
        until = time.monotonic() + seconds
        while quiet < _QUIET_READS and time.monotonic() < until:
            newest = int(os.pread(file, 128, 0).split()[-1])
            quiet = quiet + 1 if newest == seen else 0
            oldest = seen if newest - _AT_ONCE < seen < newest else newest - 1
            yield from range(newest, oldest, -1)  # again if need be: it may not be there yet
            seen = newest
    finally:
        os.close(file)


def _environ(pid: int) -> bytes:
    """A process's environment, with a NUL before each variable."""
    content = _content(f"/proc/{pid}/environ")
    if not content:
        # A process whose first thread has ended has it at the others.
        for thread in _threads(pid):
            content = content or _content(f"/proc/{pid}/task/{thread}/environ")
    return b"\0" + content


def _threads(pid: int) -> list[str]:
    try:
        return [name for name in os.listdir(f"/proc/{pid}/task") if name != str(pid)]
    except OSError as error:
        if host.is_shortage(error):
            raise
        return []


def _content(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.readall()
    except OSError as error:
        if host.is_shortage(error):
            raise
        return b""


def _signal_one(pid: int, belongs: Callable[[int], bool], number: int) -> None:
    try:
        with Held(pid) as held:
            if held.facts is None or not belongs(pid) or not held.is_same():
                return
            group = held.facts[2]
            if number == signal.SIGKILL and group not in (0, os.getpgrp()):
                # All of a group at once: nobody of it can fork and escape.
                os.killpg(group, number)
            held.signal(number)
    except (ProcessLookupError, PermissionError):  # gone, or setuid: not ours to end
        return
