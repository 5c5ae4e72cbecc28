"""Rescue: ending what a dead worker left running on this host, then giving back its jobs.

No leader: whoever takes the lock of the dead worker's slot file does it.
"""

from __future__ import annotations

import os
import signal
import time

from queuectl import host
from queuectl.clock import now_ms
from queuectl.records import Record
from queuectl.store.slotlock import is_locked, try_lock
from queuectl.worker import doorbell, slots
from queuectl.worker.census import Census
from queuectl.worker.faultpoints import reach
from queuectl.worker.slots import Entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from queuectl.errors import QueuectlError
    from queuectl.model import Worker
    from queuectl.store.base import Store
    from queuectl.worker.report import Report
    from queuectl.worker.storethread import StoreThread

_LOOK_AGAIN = 0.02
_AFTER_KILL = 5.0
_CLEAR_LOOKS = 3
"""One look over /proc can miss what is being started, or is just at its exec."""


class Gone(Record):
    """A worker that lives no more. `tokens` are claims whose processes may be alive on this
    host; `has_file` tells whether its slot file is here, to be locked and read."""

    worker_id: str
    tokens: tuple[int, ...]
    has_file: bool


class Rescue:
    """One dead worker's. Call `step` until it returns None, then `settle`, then `close`.

    `begin` returns None if the worker lives after all, or is being rescued by another.
    """

    def __init__(
        self,
        folder: str,
        worker_id: str,
        store_uid: str,
        *,
        lock: int = -1,
        tokens: Iterable[int] = (),
    ) -> None:
        """`tokens` are what to look for if there is no slot file, or it tells nothing."""
        self.worker_id = worker_id
        self._path = os.path.join(folder, worker_id)
        self._uid = store_uid
        self._lock = lock
        self._entries = slots.read_entries(self._path)
        self._to_end = self._entries
        if self._to_end is None:
            self._to_end = [Entry(token, 0, 0, 0) for token in tokens]
        self._fence = slots.read_fence(self._path)
        self._kill_at: float | None = None
        self._give_up_at = 0.0
        self._clear_looks = 0

    @classmethod
    def begin(
        cls, folder: str, worker_id: str, store_uid: str, tokens: Iterable[int] = ()
    ) -> Rescue | None:
        """Take the lock; hold it until `close`."""
        path = os.path.join(folder, worker_id)
        try:
            lock = try_lock(path)
        except FileNotFoundError:
            return None
        if lock is None:
            return None
        if not os.path.exists(path):  # another rescuer was just done with it
            os.close(lock)
            return None
        try:
            return cls(folder, worker_id, store_uid, lock=lock, tokens=tokens)
        except BaseException:  # others would take it for alive
            os.close(lock)
            raise

    def step(self, grace: float) -> float | None:
        """Signal what is left: TERM, after `grace` seconds KILL. Seconds until the next
        step; None when nothing is left, or nothing helps."""
        if not self._to_end:
            return None
        now = time.monotonic()
        if self._kill_at is None:
            self._kill_at = now + min(grace, self._seconds_left())
            self._give_up_at = self._kill_at + _AFTER_KILL
            number = int(signal.SIGTERM)
        else:
            number = signal.SIGKILL if now >= self._kill_at else 0
        try:
            found = self._signal(number)
        except OSError:  # too short of something to see who lives: nobody is given up
            return _LOOK_AGAIN
        self._clear_looks = 0 if found else self._clear_looks + 1
        if self._clear_looks >= _CLEAR_LOOKS or now >= self._give_up_at:
            return None
        return _LOOK_AGAIN

    def _signal(self, number: int) -> bool:
        """Signal every process of the worker's runs (0: none); whether there were any."""
        census = Census(self._uid)
        found = False
        for entry in self._to_end or ():
            told: list[int] = []
            if entry.pid and _is_same_session(census, entry):
                told = census.session(entry.pid)
                found |= census.signal_session(entry.pid, number)
            found |= census.signal_marked(entry.token, number, told)
        return found

    def _seconds_left(self) -> float:
        """Until others may run the jobs, lease or no lease."""
        if not self._fence:
            return float("inf")
        left = self._fence - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        return max(0.0, left / 1e9)

    def settle(self, store: Store) -> list[str]:
        """Give the jobs back. Returns the ids of those that had started."""
        unstarted = None
        if self._entries is not None:
            started = {entry.token for entry in self._entries}
            unstarted = store.held(self.worker_id).keys() - started
        reach("rescue.ended")
        settled = store.rescue(self.worker_id, unstarted, now_ms())
        reach("rescue.settled")
        return settled

    def close(self, *, done: bool) -> None:
        """Let go; with `done` the slot file goes too."""
        if done:
            # The file last: who is killed in between is repeated by whoever finds it.
            doorbell.take_down_for(self._uid, self.worker_id)
            slots.remove(self._path)
        if self._lock >= 0:
            os.close(self._lock)


def end_runs(path: str, store_uid: str, grace: float = 0.0) -> None:
    """End what the worker of this slot file runs: its own way out, or the supervisor's for
    one that is dead."""
    patience = time.monotonic() + _AFTER_KILL
    while True:
        try:
            rescue = Rescue(*os.path.split(path), store_uid)
            break
        except OSError as error:  # too short of something to read it
            if not host.is_shortage(error) or time.monotonic() >= patience:
                raise
        time.sleep(_LOOK_AGAIN)
    while (pause := rescue.step(grace)) is not None:
        time.sleep(pause)


class Rescues:
    """Those that a worker's loop has under way, a step at a time. True while there are any."""

    def __init__(self, store: StoreThread, store_uid: str, report: Report) -> None:
        self._store = store
        self._uid = store_uid
        self._report = report
        self._under_way: dict[str, Rescue] = {}
        self._settling: set[str] = set()
        self._settled = False
        self.due_at = float("inf")
        """When (monotonic) to `go_on`."""

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def begin(self, folder: str, gone: Iterable[Gone]) -> None:
        """Begin with those that nobody else has begun; `folder` is that of the slot files."""
        for worker in gone:
            if worker.worker_id in self._under_way:
                continue
            try:
                rescue = _begin(folder, worker, self._uid)
            except OSError as error:
                if not host.is_shortage(error):
                    raise
                continue  # the next look finds it again
            if rescue is not None:
                self._report.line(f"worker {worker.worker_id} died; taking back its jobs")
                self._under_way[worker.worker_id] = rescue
                self.due_at = 0.0

    def go_on(self, grace: float) -> bool:
        """Do what is due. True if jobs were given back since the last call."""
        self.due_at = float("inf")
        for worker_id, rescue in self._under_way.items():
            if worker_id in self._settling:
                continue
            pause = rescue.step(grace)
            if pause is not None:
                self.due_at = min(self.due_at, time.monotonic() + pause)
            else:
                self._settling.add(worker_id)
                self._settle(worker_id, rescue)
        settled, self._settled = self._settled, False
        return settled

    def _settle(self, worker_id: str, rescue: Rescue) -> None:
        def settled(ids: list[str] | None, _error: QueuectlError | None) -> None:
            del self._under_way[worker_id]
            self._settling.remove(worker_id)
            rescue.close(done=ids is not None)
            self._settled = True
            self.due_at = 0.0
            if ids:
                self._report.line(f"worker {worker_id} had been running {', '.join(ids)}")

        self._store.call(rescue.settle, settled)


def _is_same_session(census: Census, entry: Entry) -> bool:
    """Whether the session with this pid is the run's, not a later one's."""
    leader = host.start_ticks(entry.pid)
    if leader is not None:
        return entry.earliest <= leader <= entry.latest
    # The leader is gone; as long as others of its session live nobody gets its pid.
    starts = [host.start_ticks(pid) for pid in census.session(entry.pid)]
    return all(start is None or start >= entry.earliest for start in starts)


def _begin(folder: str, gone: Gone, store_uid: str) -> Rescue | None:
    if gone.has_file:
        return Rescue.begin(folder, gone.worker_id, store_uid, gone.tokens)
    # Nobody can lock what is not there: several may do it, to the same end.
    return Rescue(folder, gone.worker_id, store_uid, tokens=gone.tokens)


def dead_workers(folder: str) -> list[str]:
    """The ids of workers whose slot file nobody holds."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if "." not in name and not is_locked(folder, name)]


def dead_here(store: Store) -> list[Gone]:
    """The workers whose slot file is here, and held by nobody. Of one with a lease that is
    of another boot, say, only the end of the lease is proof."""
    dead = dead_workers(store.slot_dir)
    if dead and store.leases:
        may_live = {worker.id for worker in store.workers() if worker.alive}
        dead = [worker_id for worker_id in dead if worker_id not in may_live]
    found = []
    for worker_id in dead:
        path = os.path.join(store.slot_dir, worker_id)
        tokens = () if slots.is_whole(path) else tuple(store.held(worker_id))
        found.append(Gone(worker_id, tokens, has_file=True))
    return found


def lost(store: Store) -> list[Gone]:
    """The workers that the store knows to be gone and that left no slot file here: another
    host's, or another boot's, or one whose file somebody has removed."""
    return [
        Gone(worker.id, _tokens_here(store, worker), has_file=False)
        for worker in store.lost_workers(now_ms())
        if not os.path.exists(os.path.join(store.slot_dir, worker.id))
    ]


def _tokens_here(store: Store, worker: Worker) -> tuple[int, ...]:
    return tuple(store.held(worker.id)) if host.is_here(worker) else ()


def rescue_all(store: Store, grace: float) -> list[str]:
    """Rescue every worker that is known to be gone, waiting for the end of what it ran here.
    Returns the ids of the jobs that were settled."""
    settled: list[str] = []
    for gone in (*dead_here(store), *lost(store)):
        rescue = _begin(store.slot_dir, gone, store.uid)
        if rescue is None:
            continue
        done = False
        try:
            while (pause := rescue.step(grace)) is not None:
                time.sleep(pause)
            settled += rescue.settle(store)
            done = True
        finally:
            rescue.close(done=done)
    slots.sweep(store.slot_dir)
    return settled
