"""`worker start --ensure`: how many workers do already what new ones would."""

from __future__ import annotations

import time
from collections import Counter

from queuectl import host
from queuectl.worker import roster

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Worker
    from queuectl.store.base import Store

_PATIENCE = 3.0
_LOOK_EVERY = 0.05


def count_serving(store: Store, queues: tuple[str, ...]) -> int:
    """The workers of this host that serve these queues (none: all), and that a supervisor
    is about to start or to replace. Call it in a turn (`roster.Counting`)."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        # A worker that is missing may have died, or left a moment ago: its supervisor knows.
        living, planned = _count(store, queues)
        if living == planned or time.monotonic() >= deadline:
            return planned
        time.sleep(_LOOK_EVERY)


def _count(store: Store, queues: tuple[str, ...]) -> tuple[int, int]:
    """Those that live and stay, and those that there are to be."""
    kept = roster.supervisors(store.slot_dir)
    ours = [worker for worker in store.workers() if worker.alive and _is_here(worker)]
    ours = [worker for worker in ours if _serves(worker.queues, queues)]
    staying = [worker for worker in ours if worker.state == "running"]
    leaving = Counter(worker.supervisor_pid for worker in ours if worker.state != "running")
    # Of another home there may be workers too, whose supervisors can't be asked.
    planned = sum(worker.supervisor_pid not in kept for worker in staying)
    for pid, each in kept.items():
        if _serves(each.queues, queues):
            planned += max(0, each.count - leaving[pid])
    return len(staying), planned


def _is_here(worker: Worker) -> bool:
    return worker.host == host.host_name()


def _serves(theirs: tuple[str, ...], queues: tuple[str, ...]) -> bool:
    return not theirs or (bool(queues) and set(queues) <= set(theirs))
