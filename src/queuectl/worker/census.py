"""One look at all processes of the host: who belongs to which run."""

from __future__ import annotations

import os
import signal

from queuectl import host
from queuectl.worker.process import MARK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Census:
    """A picture of the moment it was made; zombies don't count.

    Signals go through a pidfd, after a second look, so they can't hit a process that got
    the pid since.
    """

    def __init__(self, store_uid: str) -> None:
        self._wanted = f"\0{MARK}={store_uid}.".encode()
        self._sessions: dict[int, list[int]] = {}
        self._groups: dict[int, list[int]] = {}
        self._tokens: dict[int, list[int]] | None = None
        own = os.getpid()
        self._pids = [pid for pid in host.all_pids() if pid != own]
        for pid in self._pids:
            facts = host.stat(pid)
            if facts is not None:
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
            self._tokens = {}
            for pid in self._pids:
                found = self._token_of(pid)
                if found is not None:
                    self._tokens.setdefault(found, []).append(pid)
        return self._tokens.get(token, [])

    def _token_of(self, pid: int) -> int | None:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                content = b"\0" + file.read()
        except OSError:
            return None
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
        return bool(pids)


def _signal_one(pid: int, belongs: Callable[[int], bool], number: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if belongs(pid):
            signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):  # gone, or setuid: not ours to end
        return
    finally:
        os.close(descriptor)
