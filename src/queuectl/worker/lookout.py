"""The round that a worker's store thread makes while the loop does other things."""

from __future__ import annotations

import time

from queuectl.clock import now_ms
from queuectl.errors import WorkerGone
from queuectl.records import Record
from queuectl.worker.rescue import Gone, dead_here, lost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.config import Config
    from queuectl.store.base import Store
    from queuectl.worker.slots import SlotFile

_BEATS_A_LEASE = 2
"""Where a lock proves that a worker lives, they only tell people when it last went round."""
_LOOKS_A_LEASE = 6
_LEAP = 0.5
"""Seconds that the time of day may move against the clock that timers run on, unnoticed."""
_PRUNE_EVERY = 60.0
_PRUNED_AT_ONCE = 1000


class News(Record):
    """What a round saw. `folder` is where the slot files are."""

    changed: bool
    config: Config | None
    gone: tuple[Gone, ...]
    folder: str


class Lookout:
    """Look for changes that nobody rang for, for dead workers, for what is to be pruned."""

    def __init__(self, worker_id: str, config: Config, slot_file: SlotFile) -> None:
        self._worker_id = worker_id
        self._slot_file = slot_file
        self._config = config
        self._mark: object = None
        self._time_of_day = 0.0
        self._beat_at = 0.0
        self._look_at = 0.0
        self._prune_at = 0.0

    def __call__(self, store: Store) -> News | None:
        if not self._slot_file.in_place():
            raise WorkerGone("the slot file is gone: nobody could tell that we live")
        now = time.monotonic()
        gone = dead_here(store)
        if now >= self._look_at:
            self._look_at = now + self._config.lease_seconds / _LOOKS_A_LEASE
            gone += lost(store)
        if now >= self._beat_at and not store.leases:  # else a thread of its own: see `heart`
            store.heartbeat(self._worker_id, now_ms())
            self._beat_at = now + self._config.lease_seconds / _BEATS_A_LEASE
        retention = self._config.retention
        if retention is not None and now >= self._prune_at:
            pruned = store.prune(now_ms() - round(retention * 1000), _PRUNED_AT_ONCE)
            every = min(_PRUNE_EVERY, retention)
            self._prune_at = now + (0 if pruned == _PRUNED_AT_ONCE else every)
        changed, config = self._changes(store)
        changed |= self._clock_leapt()
        if not changed and not gone:
            return None
        return News(changed, config, tuple(gone), store.slot_dir)

    def _clock_leapt(self) -> bool:
        """Whether it was set, or the machine slept, since the last round: what falls due may
        be due now."""
        time_of_day = time.time() - time.monotonic()
        if abs(time_of_day - self._time_of_day) < _LEAP:
            return False
        self._time_of_day = time_of_day
        return True

    def _changes(self, store: Store) -> tuple[bool, Config | None]:
        mark = store.change_mark()
        if mark == self._mark:
            return False, None
        self._mark = mark
        config = store.config()
        if config == self._config:
            return True, None
        self._config = config
        return True, config
