"""`queuectl explain`: why a job is not running yet."""

from __future__ import annotations

import sys

from queuectl.cli.aftermath import limit_from_config, needs_first
from queuectl.cli.context import out, out_json, store_of
from queuectl.cli.jsonshapes import job_json
from queuectl.cli.parser import json_option
from queuectl.cli.reasons import Reason, reasons
from queuectl.cli.screens.layout import BOLD, STATE_STYLE, Look, fold
from queuectl.clock import now_ms
from queuectl.model import COMPLETED, FAILED, PENDING, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from queuectl.model import Job, QueueInfo
    from queuectl.store.base import Store

# Beyond that many the place in the line is not counted: it must stay cheap.
_COUNTED = 2_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the job")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print every reason, and what to type about it."""
    look, now = Look.of(sys.stdout), now_ms()
    with store_of(args) as store:
        job = store.get(args.id)
        found = _find(store, job, look, now)
    if args.json:
        shape = job_json(job)
        known = {name: shape[name] for name in ("id", "state", "due_at")}
        out_json({**known, "reasons": [dict(reason.items()) for reason in found]})
        return 0
    state = look.paint(job.state, STATE_STYLE.get(job.state, ""))
    out(f"{look.paint(job.id, BOLD)} is {state}:")
    for reason in found:
        for line in fold(reason.message, look.width and look.width - 2):
            out(f"  {line}")
        if reason.hint:
            out(f"    {reason.hint}")
    return 0


def _find(store: Store, job: Job, look: Look, now: int) -> list[Reason]:
    queues = {queue.name: queue for queue in store.stats().queues}
    queue = queues.get(job.queue)
    needs = store.needs([job.id]).get(job.id, ())
    states = store.states(needs)
    # Only jobs that completed can go without cancelling those that wait.
    needed = {name: states.get(name, COMPLETED) for name in needs}
    ahead = _ahead(store, job, queue, now)
    return reasons(
        job,
        queue,
        store.workers(),
        needed,
        ahead,
        look,
        now,
        first=needs_first(store, [job]),
        default_limit=limit_from_config(store, job),
    )


def _ahead(store: Store, job: Job, queue: QueueInfo | None, now: int) -> int | None:
    """How many due jobs of the queue come first; None beyond what is counted."""
    if job.state not in (PENDING, FAILED) or queue is None:
        return 0
    if queue.counts[PENDING] + queue.counts[FAILED] > _COUNTED:
        return None
    place = (-job.priority, job.seq)
    first = [
        other
        for other in store.list_jobs(Filter(states=(PENDING, FAILED), queue=job.queue))
        if (-other.priority, other.seq) < place
        and (other.due_at is None or other.due_at <= now)
    ]
    return len(first) - len(store.needs([other.id for other in first if other.after]))
