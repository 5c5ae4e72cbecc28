"""The documented JSON: what `--json` prints, and the API after it. Keys are never changed.

Times become ISO 8601 with milliseconds and `Z`, absent values null, whole numbers stay whole.
"""

from __future__ import annotations

from math import ceil

from queuectl.instants import iso
from queuectl.model import STATES, STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from queuectl.cli.outputs import Piece
    from queuectl.config import Config
    from queuectl.model import Attempt, Job, Metrics, QueueInfo, Stats, Worker

MASK = "***"
EVENTS = ("enqueued", "started", "completed", "failed", "dlq")

_TIMES = frozenset(
    ("at", "run_at", "due_at", "created_at", "updated_at", "started_at", "finished_at")
)
_INSIDE = frozenset(("seq", "runs"))


def job_json(job: Job, *, reveal: bool = False) -> dict[str, Any]:
    """A job, its variables masked unless `reveal`."""
    shape = {name: _plain(name, value) for name, value in job.items() if name not in _INSIDE}
    shape["env"] = dict(job.env) if reveal else dict.fromkeys(job.env, MASK)
    return shape


def show_json(job: Job, history: Iterable[Attempt], *, reveal: bool = False) -> dict[str, Any]:
    """A job with all its runs."""
    return {**job_json(job, reveal=reveal), "history": [attempt_json(run) for run in history]}


def attempt_json(run: Attempt) -> dict[str, Any]:
    """A run, as `history` has it."""
    return {name: _plain(name, value) for name, value in run.items()}


def worker_json(worker: Worker) -> dict[str, Any]:
    """A worker, as `worker list` has it; `state` is "gone" for one that is to be rescued."""
    return {
        "id": worker.id,
        "host": worker.host,
        "pid": worker.pid,
        "slots": worker.slots,
        "busy": busy(worker),
        "queues": list(worker.queues),
        "state": worker.state if worker.alive else "gone",
        "started_at": iso(worker.started_at),
        "heartbeat_at": iso(worker.heartbeat_at),
        "silent_seconds": None if worker.silent is None else round(worker.silent, 1),
        "jobs": list(worker.jobs),
    }


def queue_json(queue: QueueInfo) -> dict[str, Any]:
    """A queue with its counts by state."""
    counts = {state: queue.counts.get(state, 0) for state in STATES}
    return {"name": queue.name, "paused": queue.paused, "limit": queue.limit, **counts}


def status_json(stats: Stats, workers: Iterable[Worker]) -> dict[str, Any]:
    """How things stand; only living workers count."""
    counts = {state: stats.counts.get(state, 0) for state in STATES}
    living = [worker for worker in workers if worker.alive]
    return {
        **counts,
        "total": sum(counts.values()),
        "workers": len(living),
        "slots": sum([worker.slots for worker in living]),
        "busy": sum([busy(worker) for worker in living]),
        "queues": [queue_json(queue) for queue in stats.queues],
        "oldest_due_at": _time(stats.oldest_due_at),
    }


def metrics_json(metrics: Metrics) -> dict[str, Any]:
    """Totals, durations in seconds, throughput of the last runs, and recent events."""
    return {
        "events": {event: metrics.events.get(event, 0) for event in EVENTS},
        "duration": durations_json(metrics.durations),
        "throughput": throughput_json(metrics),
        "recent": [
            {name: _plain(name, value) for name, value in event.items()}
            for event in sorted(metrics.recent, key=lambda event: -event.at)
        ],
    }


def durations_json(durations: Sequence[float]) -> dict[str, float | None]:
    """Mean, percentiles (nearest rank) and maximum in seconds; all null without a run."""
    names = ("mean", "p50", "p95", "p99", "max")
    if not durations:
        return dict.fromkeys(names)
    ordered = sorted(durations)
    ranks = [ordered[max(0, ceil(share * len(ordered)) - 1)] for share in (0.5, 0.95, 0.99, 1)]
    values = (sum(ordered) / len(ordered), *ranks)
    return {name: round(value, 6) for name, value in zip(names, values, strict=True)}


def throughput_json(metrics: Metrics) -> dict[str, float | None]:
    """Runs ended among the last 1,000, the seconds between first and last end, and the rate."""
    runs = len(metrics.durations)
    seconds = (metrics.span[1] - metrics.span[0]) / 1000 if metrics.span else 0.0
    # N ends span N - 1 intervals
    rate = (runs - 1) / seconds if runs > 1 and seconds > 0 else None
    return {
        "runs": runs,
        "seconds": round(seconds, 3),
        "per_second": None if rate is None else round(rate, 3),
        "per_minute": None if rate is None else round(rate * 60, 3),
    }


def config_json(config: Config) -> dict[str, Any]:
    """Every key with its value; what is not set is null."""
    return {name: _plain(name, value) for name, value in config.items()}


def output_json(job_id: str, attempt: int | None, pieces: Sequence[Piece]) -> dict[str, Any]:
    """A run's kept output by stream, decoded, and how many bytes of each were dropped."""
    data = {STDOUT: b"", STDERR: b""}
    dropped = {STDOUT: 0, STDERR: 0}
    for stream in data:
        mine = [piece for piece in pieces if piece.stream == stream]
        data[stream] = b"".join([piece.data for piece in mine])
        dropped[stream] = sum([piece.dropped for piece in mine])
    return {
        "id": job_id,
        "attempt": attempt,
        "stdout": data[STDOUT].decode("utf-8", "replace"),
        "stderr": data[STDERR].decode("utf-8", "replace"),
        "dropped": {"stdout": dropped[STDOUT], "stderr": dropped[STDERR]},
    }


def busy(worker: Worker) -> int:
    """Slots in use; a worker may hold jobs ahead of that."""
    return min(worker.slots, len(worker.jobs))


def _plain(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in _TIMES:
        return iso(value)
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _time(at: int | None) -> str | None:
    return None if at is None else iso(at)
