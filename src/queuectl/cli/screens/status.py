"""`status`: how things stand, on half a screen."""

from __future__ import annotations

from queuectl.cli.jsonshapes import busy
from queuectl.cli.screens.layout import (
    DIM,
    GAP,
    LABEL,
    STATE_STYLE,
    Look,
    Styled,
    count,
    flow,
    labelled,
    moment,
    span,
)
from queuectl.cli.screens.words import command_line, why
from queuectl.model import DEFAULT_QUEUE, FAILED, PENDING, PROCESSING
from queuectl.text import display_width, one_line, pad

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from queuectl.model import Job, QueueInfo, Stats, Worker

RUNNING_ROWS = 8
DIED_ROWS = 3
_QUEUE_ROWS = 8
_CELLS = (
    ("processing", "processing"),
    ("pending", "pending"),
    ("failed", "failed (will retry)"),
    ("dead", "dead (DLQ)"),
    ("completed", "completed"),
    ("cancelled", "cancelled"),
)


def render_status(
    stats: Stats,
    workers: Sequence[Worker],
    running: Sequence[Job],
    died: Sequence[Job],
    look: Look,
    now: int,
) -> list[str]:
    """The screen. `running` and `died` may be cut short; the rest is counted."""
    lines = [*_jobs(stats, look), *_workers(workers, look), *_queues(stats.queues, look)]
    running_in_all = stats.counts.get(PROCESSING, 0)
    rows = _running(running[:RUNNING_ROWS], running_in_all, workers, look, now)
    rows += _died(died[:DIED_ROWS], look, now)
    if rows:
        lines += ["", *rows]
    if died:
        lines += ["", look.fit(f"Why: queuectl show {died[0].id}")]
    elif not sum(stats.counts.values()):
        lines += ["", "Add a job: queuectl enqueue 'echo hello'"]
    return lines


def _jobs(stats: Stats, look: Look) -> list[str]:
    numbers = [(stats.counts.get(state, 0), state, label) for state, label in _CELLS]
    numbers.append((sum([n for n, _state, _label in numbers]), "", "total"))
    digits = max(3, *[len(f"{n:,}") for n, _state, _label in numbers])
    cells = [
        Styled(f"{n:>{digits},} {label}", STATE_STYLE.get(state, "") if n else DIM)
        for n, state, label in numbers
    ]
    return flow(look, "JOBS", cells)


def _workers(workers: Iterable[Worker], look: Look) -> list[str]:
    workers = list(workers)
    living = [worker for worker in workers if worker.alive]
    if not living:
        text = "none"
    else:
        hosts = {worker.host for worker in living}
        where = one_line(next(iter(hosts))) if len(hosts) == 1 else f"{len(hosts)} hosts"
        slots = sum([worker.slots for worker in living])
        used = sum([busy(worker) for worker in living])
        text = f"{len(living):,} on {where}, {used:,} of {count(slots, 'slot')} busy"
        stopping = sum([worker.state == "stopping" for worker in living])
        text += f", {stopping} stopping" if stopping else ""
    silent = [worker.silent for worker in living if worker.silent is not None]
    text += f"; {len(silent)} silent for {span(max(silent))}" if silent else ""
    gone = len(workers) - len(living)
    text += f"; {gone} died, to be cleared up" if gone else ""
    return [_line(look, "WORKERS", text)]


def _queues(queues: Sequence[QueueInfo], look: Look) -> list[str]:
    """Only if there is something to tell: more than one, paused, limited."""
    told = [
        queue
        for queue in queues
        if queue.paused
        or queue.limit is not None
        or (queue.name != DEFAULT_QUEUE and any(queue.counts.values()))
    ]
    if not told:
        return []
    if queues and len(told) < len(queues):
        told = [queue for queue in queues if queue in told or any(queue.counts.values())]
    told.sort(key=_rank)
    lines = []
    width = max([len(one_line(queue.name, 20)) for queue in told[:_QUEUE_ROWS]])
    for index, queue in enumerate(told[:_QUEUE_ROWS]):
        waiting, running = _work(queue)
        parts = [f"{waiting:,} waiting", f"{running:,} running"]
        if queue.limit is not None:
            parts[1] += f" of {queue.limit} at most"
        if queue.paused:
            parts.append("PAUSED")
        name = pad(one_line(queue.name, 20), width)
        lines.append(_line(look, "" if index else "QUEUES", f"{name}  {', '.join(parts)}"))
    if len(told) > _QUEUE_ROWS:
        rest = f"and {len(told) - _QUEUE_ROWS} more: queuectl queue list"
        lines.append(_line(look, "", rest))
    return lines


def _rank(queue: QueueInfo) -> int:
    """Those with work come first, then those that are paused or limited, the idle ones last."""
    if any(_work(queue)):
        return 0
    return 1 if queue.paused or queue.limit is not None else 2


def _work(queue: QueueInfo) -> tuple[int, int]:
    """How many jobs of the queue wait, and how many run."""
    waiting = queue.counts.get(PENDING, 0) + queue.counts.get(FAILED, 0)
    return waiting, queue.counts.get(PROCESSING, 0)


def _running(
    jobs: Sequence[Job], total: int, workers: Sequence[Worker], look: Look, now: int
) -> list[str]:
    times = [span((now - (job.started_at or now)) / 1000) for job in jobs]
    texts = [command_line(job.command) for job in jobs]
    hosts = {worker.id: one_line(worker.host, look.width and 20) for worker in workers}
    if len(set(hosts.values())) > 1:
        where = [hosts.get(job.worker_id or "", "-") for job in jobs]
        width = max(map(display_width, where), default=0)
        pairs = zip(where, texts, strict=True)
        texts = [f"{pad(host, width)}{GAP}{text}" for host, text in pairs]
    lines = _rows("RUNNING", jobs, times, texts, look)
    if jobs and total > len(jobs):
        rest = f"and {total - len(jobs):,} more: queuectl list --state processing"
        lines.append(_line(look, "", rest))
    return lines


def _died(jobs: Sequence[Job], look: Look, now: int) -> list[str]:
    times = [moment(look, job.finished_at, now) for job in jobs]
    return _rows("DIED", jobs, times, [why(job) for job in jobs], look)


def _rows(
    label: str, jobs: Sequence[Job], times: Sequence[str], texts: Sequence[str], look: Look
) -> list[str]:
    if not jobs:
        return []
    longest = look.width and max(12, look.width // 4)
    ids = [one_line(job.id, longest) for job in jobs]
    id_width, time_width = max(map(len, ids)), max(map(len, times))
    lines = []
    for index, (job_id, when, text) in enumerate(zip(ids, times, texts, strict=True)):
        start = f"{pad(job_id, id_width)}{GAP}{when:>{time_width}}{GAP}"
        room = None if look.width is None else look.width - LABEL - display_width(start)
        lines.append(_line(look, "" if index else label, start + one_line(text, room)))
    return lines


def _line(look: Look, label: str, text: str) -> str:
    return labelled(look, label, look.fit(text, LABEL))
