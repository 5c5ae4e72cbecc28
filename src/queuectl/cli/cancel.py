"""`queuectl cancel`: stop jobs, running or not."""

from __future__ import annotations

from queuectl.cli.bulk import Rule, act, add_targets
from queuectl.cli.context import store_of
from queuectl.cli.filters import states_of
from queuectl.cli.waiting import changes
from queuectl.clock import now_ms
from queuectl.errors import JobNotFound
from queuectl.model import CANCELLED, FAILED, PENDING, PROCESSING, Change
from queuectl.worker.doorbell import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.store.base import Store

_RULE = Rule(
    "cancel", "cancelled", (PENDING, PROCESSING, FAILED), (CANCELLED,), ends_waiting=True
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.epilog = (
        "Returns when running jobs are dead. Jobs that wait for one are cancelled too."
    )


def run(args: argparse.Namespace) -> int:
    """Cancel; running jobs have ended when this returns."""
    with store_of(args) as store:
        only = states_of(args)
        return act(args, store, _RULE, lambda ids: _cancel(store, ids, only), now_ms())


def _cancel(store: Store, ids: Sequence[str], only: Sequence[str] = ()) -> list[Change]:
    asked = store.cancel(ids, now_ms(), only)
    wake(store)
    return [_dead(store, change) if change.result == "asked" else change for change in asked]


def _dead(store: Store, change: Change) -> Change:
    """Wait until the job runs no more."""
    try:
        for _ in changes(store):
            job = store.get(change.id)
            if job.state != PROCESSING:
                break
            if not any(w.alive for w in store.workers() if w.id == job.worker_id):
                # Nobody is there to hear of it: do what the next worker would.
                from queuectl.worker.rescue import rescue_all

                rescue_all(store, store.config().kill_grace)
    except JobNotFound:
        return change.replace(result="done")
    if job.state in (PENDING, FAILED):
        (again,) = _cancel(store, [change.id])  # it may have been claimed anew meanwhile
        return again.replace(state=change.state)
    if job.state == CANCELLED:
        return change.replace(result="done")
    return change.replace(state=job.state, result="refused")
