"""What people ask."""

from __future__ import annotations

from queuectl.errors import JobNotFound
from queuectl.model import LAST_DIED, LONGEST_RUNNING, STATES, Attempt, Chunk
from queuectl.store.base import Store
from queuectl.store.encoding import (
    MEASURED_RUNS,
    compact,
    grouped,
    made_up_number,
    made_up_ranges,
    read_job,
    read_metrics,
    read_stats,
    store_list,
)
from queuectl.store.sqlite.database import sql
from queuectl.store.sqlite.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.model import Filter, Job, Metrics, Stats


class Inquiry(Shared, Store):
    """Reading; each answer is of one moment."""

    def get(self, job_id: str) -> Job:
        with self._db.read():
            return read_job(self._db.execute(sql("get_job"), (self._known(job_id),)).fetchone())

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
            ended, seq = which.beyond
            if which.order == LONGEST_RUNNING:
                rows = self._db.execute(sql("list_running"), (*bounds, which.tag))
            elif which.order == LAST_DIED:
                rows = self._db.execute(sql("list_dead"), (*bounds, which.tag, ended, seq))
            elif which.tag is not None:
                rows = self._db.execute(sql("list_tag"), (*bounds, *chosen, seq, which.tag))
            else:
                # No more than there are: whoever has found the last one reads no further.
                values = (compact(list(states)), queue)
                there = dict(self._db.execute(sql("count_states"), values))
                chosen = tuple(state in there for state in STATES)
                found = sum(there.values())
                most = found if which.limit is None else min(which.limit, found)
                bounds = (*bounds[:-1], most)
                if which.states:
                    rows = self._db.execute(sql("list_states"), (*bounds, *chosen, seq))
                else:
                    rows = self._db.execute(sql("list_all"), (*bounds, seq))
            return [read_job(row) for row in rows]

    def ids_like(self, beginning: str, states: Sequence[str], limit: int) -> list[str]:
        chosen = compact(list(states or STATES))
        with self._db.read():
            rows = self._db.execute(sql("ids_like"), (beginning, chosen, limit)).fetchall()
            for low, high in made_up_ranges(beginning):
                values = (low, high, chosen, limit)
                rows += self._db.execute(sql("made_up_ids"), values).fetchall()
        return [job_id for (job_id,) in rows]

    def tags_like(self, beginning: str, limit: int) -> list[str]:
        with self._db.read():
            rows = self._db.execute(sql("tags_like"), (beginning, limit)).fetchall()
        return [tag for (tag,) in rows]

    def needs(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        return self._related("still_needed", job_ids)

    def dependants(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        return self._related("dependants", job_ids)

    def _related(self, question: str, job_ids: Sequence[str]) -> dict[str, list[str]]:
        with self._db.read():
            seqs = [seq for job_id in job_ids if (seq := self._seq_of(job_id)) is not None]
            return grouped(self._db.execute(sql(question), (store_list(seqs),)))

    def states(self, job_ids: Sequence[str]) -> dict[str, str]:
        with self._db.read():
            values = [(job_id, made_up_number(job_id)) for job_id in job_ids]
            return dict(self._db.executemany(sql("states"), values))

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
            return read_stats(self._db.execute(sql("queue_counts")), due)

    def metrics(self, recent: int) -> Metrics:
        with self._db.read():
            totals = self._db.execute(sql("totals")).fetchall()
            most = max(recent, MEASURED_RUNS)
            runs = self._db.execute(sql("recent_runs"), (most,)).fetchall()
        return read_metrics(totals, runs, recent)
