"""`worker stop`: ask workers to finish and leave, and wait until they are gone."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from queuectl import host
from queuectl.errors import Refused, WorkerNotFound
from queuectl.worker import doorbell, roster
from queuectl.worker.rescue import rescue_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Worker
    from queuectl.store.base import Store

_LOOK_EVERY = 0.05
_MARGIN = 5.0


def stop(
    store: Store,
    worker_ids: tuple[str, ...],
    seconds: float | None,
    now: bool,
    all_hosts: bool,
) -> list[str]:
    """Stop these workers (none named: all) of this host, or of all; the ids that were stopped.

    What runs gets `seconds` (None: `shutdown_timeout`; `now`: none) to end.
    Raises WorkerNotFound, or Refused if some are still there after all.
    """
    config = store.config()
    grant = 0.0 if now else config.shutdown_timeout if seconds is None else seconds
    stopped: list[str] = []
    deadline = time.monotonic() + grant + config.kill_grace + _MARGIN
    if worker_ids:
        _all_known(store, worker_ids, all_hosts)
    while True:
        living = [
            worker
            for worker in _living(store, all_hosts)
            if not worker_ids or worker.id in worker_ids
        ]
        if not living:
            break
        if time.monotonic() >= deadline:
            names = ", ".join(worker.id for worker in living)
            raise Refused(f"still running: {names}", "queuectl worker stop --now, or kill -9")
        new = [worker.id for worker in living if worker.id not in stopped]
        if new:
            store.ask_stop(new, grant)
            doorbell.wake(store)
            stopped += new
        time.sleep(_LOOK_EVERY)
    if not worker_ids:
        _end_supervisors(store.slot_dir, deadline)
    rescue_all(store, config.kill_grace)
    return stopped


def _living(store: Store, all_hosts: bool) -> list[Worker]:
    return [w for w in store.workers() if w.alive and (all_hosts or host.is_here(w))]


def _all_known(store: Store, worker_ids: tuple[str, ...], all_hosts: bool) -> None:
    known = {worker.id for worker in _living(store, all_hosts)}
    elsewhere = {worker.id: worker.host for worker in _living(store, all_hosts=True)}
    for worker_id in worker_ids:
        if worker_id not in known and worker_id in elsewhere:
            raise WorkerNotFound(
                f"worker {worker_id} is on {elsewhere[worker_id]}",
                f"queuectl worker stop --all-hosts {worker_id}",
            )
        if worker_id not in known:
            raise WorkerNotFound(
                f"no living worker {worker_id!r}", "queuectl worker list shows them"
            )


def _end_supervisors(slot_dir: str, deadline: float) -> None:
    """A supervisor leaves with its last worker, unless it was about to start another."""
    told: set[int] = set()
    while living := roster.supervisors(slot_dir):
        for pid in living:
            if pid not in told:
                told.add(pid)
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
        if time.monotonic() >= deadline:
            names = ", ".join(str(pid) for pid in living)
            raise Refused(f"supervisors are still there: {names}", "kill -9 them")
        time.sleep(_LOOK_EVERY)
