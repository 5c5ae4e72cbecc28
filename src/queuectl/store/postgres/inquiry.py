"""What people ask."""

from __future__ import annotations

from queuectl.errors import JobNotFound
from queuectl.model import LAST_DIED, LONGEST_RUNNING, STATES, Attempt, Chunk
from queuectl.store.encoding import (
    MEASURED_RUNS,
    grouped,
    made_up_number,
    made_up_ranges,
    read_job,
    read_metrics,
    read_stats,
)
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.shared import Shared, sought

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.model import Filter, Job, Metrics, Stats


class Inquiry(Shared):
    """Reading; each answer is of one moment."""

    def get(self, job_id: str) -> Job:
        with self._db.read():
            return read_job(
                self._db.execute(sql("get_job"), (self._known(job_id),)).fetchall()[0]
            )

    def _known(self, job_id: str) -> int:
        seq = self._find([job_id])[job_id]
        if seq is None:
            raise JobNotFound(job_id)
        return seq

    def list_jobs(self, which: Filter) -> list[Job]:
        queue = which.queue and sought(which.queue)
        bounds = (queue, which.since, which.ended_before, which.limit)
        tag = which.tag and sought(which.tag)
        with self._db.read():
            ended, seq = which.beyond
            states = list(which.states or STATES)
            if which.order == LONGEST_RUNNING:
                rows = self._db.execute(sql("list_running"), (*bounds, tag))
            elif which.order == LAST_DIED:
                rows = self._db.execute(sql("list_dead"), (*bounds, tag, ended, seq))
            elif tag is not None:
                rows = self._db.execute(sql("list_tag"), (*bounds, states, seq, tag))
            elif which.states:
                rows = self._db.execute(sql("list_states"), (*bounds, states, seq))
            else:
                rows = self._db.execute(sql("list_all"), (*bounds, seq))
        return [read_job(row) for row in rows.fetchall()]

    def ids_like(self, beginning: str, states: Sequence[str], limit: int) -> list[str]:
        chosen = list(states or STATES)
        beginning = sought(beginning)
        with self._db.read():
            answers = [self._db.execute(sql("ids_like"), (beginning, chosen, limit))]
            for low, high in made_up_ranges(beginning):
                values = (low, high, chosen, limit)
                answers.append(self._db.execute(sql("made_up_ids"), values))
        return [job_id for answer in answers for (job_id,) in answer.fetchall()]

    def tags_like(self, beginning: str, limit: int) -> list[str]:
        with self._db.read():
            rows = self._db.execute(sql("tags_like"), (sought(beginning), limit))
        return [tag for (tag,) in rows.fetchall()]

    def needs(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        return self._related("still_needed", job_ids)

    def dependants(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        return self._related("dependants", job_ids)

    def _related(self, question: str, job_ids: Sequence[str]) -> dict[str, list[str]]:
        with self._db.read():
            seqs = [seq for seq in self._find(job_ids).values() if seq is not None]
            rows = self._db.execute(sql(question), (seqs,))
        return grouped(rows.fetchall())

    def states(self, job_ids: Sequence[str]) -> dict[str, str]:
        sought_ids = {sought(job_id): job_id for job_id in job_ids}
        numbers = [made_up_number(job_id) for job_id in sought_ids]
        with self._db.read():
            rows = self._db.execute(sql("states"), (list(sought_ids), numbers))
        return {sought_ids[found]: state for found, state in rows.fetchall()}

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
            due = self._db.execute(sql("oldest_due"))
        return read_stats(rows.fetchall(), dict(due.fetchall()))

    def metrics(self, recent: int) -> Metrics:
        most = max(recent, MEASURED_RUNS)
        with self._db.read():
            totals = self._db.execute(sql("totals"))
            runs = self._db.execute(sql("recent_runs"), (most,)).fetchall()
        return read_metrics(totals.fetchall(), runs, recent)
