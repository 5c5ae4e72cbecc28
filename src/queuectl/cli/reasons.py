"""Why a job is not running yet, as a list of reasons: what `explain` says."""

from __future__ import annotations

from queuectl.cli.context import serving, start_line
from queuectl.cli.jsonshapes import busy
from queuectl.cli.screens.layout import Look, count, moment, span
from queuectl.cli.screens.words import waits_for_time, why
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
)
from queuectl.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from queuectl.model import Job, QueueInfo, Stats, Worker


class Reason(Record):
    """One thing that holds a job back (or why nothing does): a word for programs, a line
    for people, and what to type about it."""

    code: str
    message: str
    hint: str | None = None


def reasons(
    job: Job,
    queue: QueueInfo | None,
    workers: Sequence[Worker],
    needed: Mapping[str, str],
    ahead: int | None,
    look: Look,
    now: int,
    *,
    first: Sequence[str] = (),
    default_limit: float | None = None,
) -> list[Reason]:
    """Everything that holds the job back, what people can change first.

    `needed` are the states of the jobs it waits for, `ahead` how many due jobs of its
    queue come first (None: too many to count), `first` the jobs that have to be retried
    with it, `default_limit` the time limit of the config.
    """
    if job.state not in (PENDING, FAILED):
        return [_not_waiting(job, now, first, default_limit)]
    found = [*_blocked(needed), *_too_early(job, look, now, default_limit)]
    if queue is not None and queue.paused:
        hint = f"queuectl queue resume {job.queue}"
        found.append(Reason("queue_paused", f"its queue {job.queue} is paused", hint))
    found += _no_room(job, queue, workers)
    if ahead is None or ahead > 0:
        many = "many jobs come" if ahead is None else count(ahead, "job comes", "jobs come")
        found.append(Reason("behind_others", f"{many} first in its queue"))
    return found or [Reason("due", "nothing holds it back: a worker takes it next")]


def unserved(stats: Stats, workers: Sequence[Worker], now: int) -> list[str]:
    """The open queues with jobs that wait and no living worker, if anything is due at all."""
    if stats.oldest_due_at is None or stats.oldest_due_at > now:
        return []
    return [
        queue.name
        for queue in stats.queues
        if queue.counts.get(PENDING, 0) + queue.counts.get(FAILED, 0)
        and not queue.paused
        and not serving(workers, queue.name)
    ]


def _not_waiting(
    job: Job, now: int, first: Sequence[str], default_limit: float | None
) -> Reason:
    if job.state == PROCESSING:
        length = span((now - (job.started_at or now)) / 1000)
        return Reason("running", f"it is running, for {length}", f"queuectl logs {job.id} -f")
    if job.state == COMPLETED:
        hint = f"queuectl retry --again {job.id} runs it once more"
        return Reason("completed", "it has completed", hint)
    again = " ".join(["queuectl retry", *first, job.id])
    cause = why(job, default_limit)
    if job.state == DEAD:
        return Reason("dead", f"it gave up after {count(job.attempts, 'run')}: {cause}", again)
    if cause.startswith("cancelled "):
        return Reason(CANCELLED, f"it was {cause}", again)
    cause = f": {cause}" if job.error else ""
    return Reason(CANCELLED, f"it was cancelled{cause}", again)


def _blocked(needed: Mapping[str, str]) -> list[Reason]:
    unmet = {name: state for name, state in needed.items() if state != COMPLETED}
    if not unmet:
        return []
    listed = ", ".join([f"{name} ({state})" for name, state in list(unmet.items())[:5]])
    more = f" and {len(unmet) - 5} more" if len(unmet) > 5 else ""
    return [
        Reason(
            "waits_for_jobs",
            f"it waits for {listed}{more}",
            f"queuectl explain {next(iter(unmet))}",
        )
    ]


def _too_early(job: Job, look: Look, now: int, default_limit: float | None) -> list[Reason]:
    if not waits_for_time(job, now) or job.due_at is None:
        return []
    at = moment(look, job.due_at, now, seconds=True)
    when = f"{at}, in {span((job.due_at - now) / 1000 + 0.999)}"
    if job.state == FAILED:
        text = f"it failed: {why(job, default_limit)}; it runs again at {when}"
        return [Reason("backoff", text, f"queuectl retry {job.id} runs it now")]
    return [Reason("scheduled", f"it is scheduled for {when}")]


def _no_room(job: Job, queue: QueueInfo | None, workers: Sequence[Worker]) -> list[Reason]:
    serve = [worker for worker in workers if serving([worker], job.queue)]
    if not serve:
        text = f"no worker serves the queue {job.queue}"
        return [Reason("no_worker", text, start_line(job.queue))]
    running = queue.counts.get(PROCESSING, 0) if queue is not None else 0
    if queue is not None and queue.limit is not None and running >= queue.limit:
        text = f"its queue runs {queue.limit} at a time, and that many run"
        return [Reason("queue_limit", text, f"queuectl queue limit {job.queue} N")]
    slots = sum([worker.slots for worker in serve])
    if sum([busy(worker) for worker in serve]) >= slots:
        text = "the one slot that serves its queue is busy"
        if slots > 1:
            text = f"all {slots:,} slots that serve its queue are busy"
        return [Reason("all_busy", text, "queuectl worker start --detach adds more")]
    return []
