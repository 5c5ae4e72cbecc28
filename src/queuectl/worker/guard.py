"""`python -m queuectl.worker.guard SLOT_DIR STORE_UID`: the last to keep a fence.

Where claims are leases, what a worker runs must have ended before others may run it. The
worker sees to that, else its supervisor; when both were killed or stopped, this process
does, which has nothing else to do and talks to nobody. It reads the ids of workers, a line
each, until the supervisor is gone, and leaves with the last of them.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from select import POLLIN, poll

from queuectl import host
from queuectl.worker.heart import boot_ns
from queuectl.worker.process import Held
from queuectl.worker.rescue import end_runs
from queuectl.worker.slots import Watch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_AFTER_FENCE = 0.5
"""Seconds that worker and supervisor have for it, of the 1.5 between fence and lease."""
_LOOK_AGAIN = 0.5
_LONGEST = 60.0


class Guard:
    """The supervisor's side of it."""

    def __init__(self, slot_dir: str, store_uid: str) -> None:
        self._words = ["-P", "-m", "queuectl.worker.guard", slot_dir, store_uid]
        self._pid = 0
        self._pipe = -1
        self._told: set[str] = set()

    def keep(self, workers: Mapping[str, int]) -> None:
        """Have one, another if it was killed, that knows of these workers (id -> pid), children
        of this process. Where the machine is short of something, or an upgrade under way, the
        next call does it."""
        with suppress(OSError):
            if not self._pid:
                self._start(workers)
            self._told &= workers.keys()
            for worker_id in workers.keys() - self._told:
                self._tell(worker_id, workers[worker_id])

    def reaped(self, pid: int) -> None:
        """A child of this process was over and has been reaped: it may have been the guard."""
        if pid == self._pid:
            self._pid = 0
            os.close(self._pipe)

    def _start(self, workers: Mapping[str, int]) -> None:
        # It knows them from the start: we may be stopped before we can tell it.
        known = [_line(worker_id, pid) for worker_id, pid in workers.items()]
        read, write = os.pipe()
        try:
            self._pid = os.posix_spawn(
                sys.executable,
                [sys.executable, *self._words, *known],
                os.environ,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, read, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=(),
            )
        except OSError:
            os.close(write)
            raise
        finally:
            os.close(read)
        self._pipe = write
        self._told = set(workers)

    def _tell(self, worker_id: str, pid: int) -> None:
        with suppress(BrokenPipeError):  # it was killed: the next will be told
            os.write(self._pipe, f"{_line(worker_id, pid)}\n".encode())
        self._told.add(worker_id)

    def close(self) -> None:
        """Its workers are gone, and what they ran has ended."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self.reaped(self._pid)


def _line(worker_id: str, pid: int) -> str:
    """What the guard is told of a worker; 0 for its start if it is over, and to be replaced."""
    return f"{worker_id} {pid} {host.start_ticks(pid) or 0}"


class _Keeper:
    """The guard's own side."""

    def __init__(self, slot_dir: str, store_uid: str) -> None:
        self._slot_dir = slot_dir
        self._store_uid = store_uid
        self._workers: dict[str, tuple[Watch, int, int]] = {}
        """By id: its slot file, pid and start."""
        self._new: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._workers or self._new)

    def add(self, line: str) -> None:
        self._new.append(line)

    def look(self) -> float:
        """Keep the fences that have fallen; seconds until the next may. Where the machine is
        short of something, until that is tried again."""
        try:
            pause = self._keep_fences()
            return 0.0 if self._see_new() else pause
        except OSError as error:
            if not host.is_shortage(error):
                raise
            return _LOOK_AGAIN

    def _see_new(self) -> bool:
        seen = bool(self._new)
        while self._new:
            worker_id, pid, ticks = self._new[0].split()
            with suppress(FileNotFoundError):  # it has left already
                watch = Watch(self._slot_dir, worker_id)
                self._workers[worker_id] = watch, int(pid), int(ticks)
            del self._new[0]
        return seen

    def _keep_fences(self) -> float:
        pause = _LONGEST
        for worker_id, (watch, pid, ticks) in list(self._workers.items()):
            path = os.path.join(self._slot_dir, worker_id)
            if os.path.exists(path):
                left = watch.fence() / 1e9 + _AFTER_FENCE - boot_ns() / 1e9
                if left > 0:
                    pause = min(pause, left)
                    continue
                _kill(pid, ticks)
                end_runs(path, self._store_uid)
            watch.close()
            del self._workers[worker_id]
        return pause


def _kill(pid: int, ticks: int) -> None:
    """A worker that let its fence fall must not go on when it can again."""
    with suppress(ProcessLookupError), Held(pid) as held:
        if held.facts is not None and held.facts[0] == ticks:
            held.signal(signal.SIGKILL)


def main(argv: list[str]) -> int:
    """Guard until the supervisor and its workers are gone."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    host.keep_only()
    keeper = _Keeper(argv[1], argv[2])
    for known in argv[3:]:
        keeper.add(known)
    told = poll()
    told.register(0, POLLIN)
    unread = b""
    supervised = True
    while supervised or keeper:
        pause = keeper.look()
        if not supervised:  # files go without a word; then so do we
            pause = min(pause, _LOOK_AGAIN)
        if not told.poll(pause * 1000):
            continue
        data = os.read(0, 4096)
        if not data:
            supervised = False
            told.unregister(0)
        *lines, unread = (unread + data).split(b"\n")
        for line in lines:
            keeper.add(line.decode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
