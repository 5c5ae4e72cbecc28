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
from queuectl.store.base import Store
from queuectl.store.encoding import read_command, read_list, read_map
from queuectl.store.sqlite.database import sql
from queuectl.store.sqlite.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from queuectl.model import Filter

_MEASURED_RUNS = 1000
_ORDERED = {LONGEST_RUNNING: "list_running", LAST_DIED: "list_dead"}


class Inquiry(Shared, Store):
    """Reading; each answer is of one moment."""

    def get(self, job_id: str) -> Job:
        with self._db.read():
            return _job(self._db.execute(sql("get_job"), (self._known(job_id),)).fetchone())

    def _known(self, job_id: str) -> int:
        seq = self._seq_of(job_id)
        if seq is None:
            raise JobNotFound(job_id)
        return seq

    def list_jobs(self, which: Filter) -> list[Job]:
        with self._db.read():
            queue = None
            if which.queue is not None:
                queue = self._db.execute(sql("find_queue"), (which.queue,)).get
                if queue is None:
                    return []
            limit = -1 if which.limit is None else which.limit
            bounds = (queue, which.since, which.ended_before, limit)
            states = which.states or STATES
            chosen = tuple(state in states for state in STATES)
            if which.order in _ORDERED:
                rows = self._db.execute(sql(_ORDERED[which.order]), (*bounds, which.tag))
            elif which.tag is not None:
                rows = self._db.execute(sql("list_tag"), (*bounds, *chosen, which.tag))
            elif which.states:
                rows = self._db.execute(sql("list_states"), (*bounds, *chosen))
            else:
                rows = self._db.execute(sql("list_all"), bounds)
            return [_job(row) for row in rows]

    def history(self, job_id: str) -> list[Attempt]:
        with self._db.read():
            seq = self._known(job_id)
            rows = self._db.execute(sql("history"), (seq,))
            return [Attempt.make((*row[:8], bool(row[8]), *row[9:])) for row in rows]

    def read_output(self, token: int, after: int = 0) -> list[Chunk]:
        with self._db.read():
            rows = self._db.execute(sql("read_output"), (token, after))
            return [Chunk.make(row) for row in rows]

    def stats(self) -> Stats:
        with self._db.read():
            due = dict(self._db.execute(sql("oldest_due")))
            queues: dict[str, QueueInfo] = {}
            for name, paused, limit, state, n in self._db.execute(sql("queue_counts")):
                if name not in queues:
                    queues[name] = QueueInfo(
                        name, bool(paused), limit, dict.fromkeys(STATES, 0), due[name]
                    )
                if state is not None:
                    queues[name].counts[state] = n  # type: ignore[index]
            counts = {s: sum(queue.counts[s] for queue in queues.values()) for s in STATES}
            oldest = min((at for at in due.values() if at is not None), default=None)
            return Stats(counts, list(queues.values()), oldest)

    def metrics(self, recent: int) -> Metrics:
        with self._db.read():
            events = dict.fromkeys(("enqueued", "started", "completed", "failed", "dlq"), 0)
            events.update(self._db.execute(sql("totals")))
            most = max(recent, _MEASURED_RUNS)
            runs = self._db.execute(sql("recent_runs"), (most,)).fetchall()
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
