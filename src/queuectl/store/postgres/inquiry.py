"""What people ask."""

from __future__ import annotations

from queuectl.errors import JobNotFound
from queuectl.model import (
    LAST_DIED,
    LONGEST_RUNNING,
    STATES,
    Attempt,
    Chunk,
    Event,
    Job,
    Metrics,
    QueueInfo,
    Stats,
)
from queuectl.store.encoding import read_command, read_list, read_map
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.shared import Shared, storable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from queuectl.model import Filter

_MEASURED_RUNS = 1000
_ORDERED = {LONGEST_RUNNING: "list_running", LAST_DIED: "list_dead"}


class Inquiry(Shared):
    """Reading; each answer is of one moment."""

    def get(self, job_id: str) -> Job:
        with self._db.read():
            return _job(self._db.execute(sql("get_job"), (self._known(job_id),)).fetchall()[0])

    def _known(self, job_id: str) -> int:
        seq = self._find([job_id])[job_id]
        if seq is None:
            raise JobNotFound(job_id)
        return seq

    def list_jobs(self, which: Filter) -> list[Job]:
        queue = which.queue and storable(which.queue)
        bounds = (queue, which.since, which.ended_before, which.limit)
        tag = which.tag and storable(which.tag)
        with self._db.read():
            if which.order in _ORDERED:
                rows = self._db.execute(sql(_ORDERED[which.order]), (*bounds, tag))
            elif tag is not None:
                states = list(which.states or STATES)
                rows = self._db.execute(sql("list_tag"), (*bounds, states, tag))
            elif which.states:
                rows = self._db.execute(sql("list_states"), (*bounds, list(which.states)))
            else:
                rows = self._db.execute(sql("list_all"), bounds)
        return [_job(row) for row in rows.fetchall()]

    def history(self, job_id: str) -> list[Attempt]:
        with self._db.read():
            rows = self._db.execute(sql("history"), (self._known(job_id),))
        return [Attempt.make(row) for row in rows.fetchall()]

    def read_output(self, token: int, after: int = 0) -> list[Chunk]:
        with self._db.read():
            rows = self._db.execute(sql("read_output"), (token, after))
        return [Chunk.make(row) for row in rows.fetchall()]

    def stats(self) -> Stats:
        with self._db.read():
            rows = self._db.execute(sql("queue_counts"))
            oldest = self._db.execute(sql("oldest_due"))
        due = dict(oldest.fetchall())
        queues: dict[str, QueueInfo] = {}
        for name, paused, limit, state, n in rows.fetchall():
            if name not in queues:
                counts = dict.fromkeys(STATES, 0)
                queues[name] = QueueInfo(name, paused, limit, counts, due.get(name))
            if state is not None:
                queues[name].counts[state] = n  # type: ignore[index]
        counts = {s: sum(queue.counts[s] for queue in queues.values()) for s in STATES}
        return Stats(counts, list(queues.values()), min(due.values(), default=None))

    def metrics(self, recent: int) -> Metrics:
        most = max(recent, _MEASURED_RUNS)
        with self._db.read():
            totals = self._db.execute(sql("totals"))
            runs = self._db.execute(sql("recent_runs"), (most,)).fetchall()
        events = dict.fromkeys(("enqueued", "started", "completed", "failed", "dlq"), 0)
        events.update(totals.fetchall())
        measured = runs[:_MEASURED_RUNS]
        ends = [run[0] for run in measured]
        return Metrics(
            events,
            [run[3] for run in measured if run[3] is not None],
            (min(ends), max(ends)) if ends else None,
            [Event.make(run) for run in runs[:recent]],
        )


def _job(row: tuple[Any, ...]) -> Job:
    job_id, command, is_argv, *before, after, cwd, env, tags = row[:16]
    return Job.make(
        (
            job_id,
            read_command(command, is_argv),
            *before,
            read_list(after),
            cwd,
            read_map(env),
            read_list(tags),
            *row[16:],
        )
    )
