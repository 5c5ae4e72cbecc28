"""What people do to jobs and queues."""

from __future__ import annotations

from operator import itemgetter

from queuectl.errors import JobNotFound
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
    Change,
    Settings,
)
from queuectl.store.base import Store
from queuectl.store.encoding import read_list
from queuectl.store.sqlite.database import sql
from queuectl.store.sqlite.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.store.sqlite.shared import _Counted


class Verbs(Shared, Store):
    """Each job gets a `Change`; an unknown id refuses all before anything is done."""

    def cancel(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        with self._writing() as counts:
            found = self._all_known(job_ids)
            return [self._cancel_one(job_id, seq, only, counts, now) for job_id, seq in found]

    def _cancel_one(
        self, job_id: str, seq: int, only: Sequence[str], counts: _Counted, now: int
    ) -> Change:
        state, queue, _cancel = self._db.execute(sql("job_state"), (seq,)).fetchone()
        if state == CANCELLED:
            return Change(job_id, state, "already")
        if only and state not in only:
            return Change(job_id, state, "refused")
        if state == PROCESSING:
            self._db.execute(sql("ask_cancel"), (seq, now))
            return Change(job_id, state, "asked")
        if state in (PENDING, FAILED):
            self._db.execute(sql("drop_waits_of"), (seq,))
            self._db.execute(sql("cancel"), (seq, now, None))
            counts.move(queue, state, CANCELLED)
            counts.happened("cancelled")
            self._cancel_waiting(seq, CANCELLED, counts, now)
            return Change(job_id, state, "done")
        return Change(job_id, state, "refused")

    def retry(
        self,
        job_ids: Sequence[str],
        now: int,
        *,
        again: bool = False,
        settings: Settings | None = None,
    ) -> list[Change]:
        with self._writing() as counts:
            found = self._all_known(job_ids)
            # In order of arrival, so that a job finds those it waits for revived already.
            changes = {
                job_id: self._retry_one(job_id, seq, again, settings, counts, now)
                for job_id, seq in sorted(found, key=itemgetter(1))
            }
            return [changes[job_id] for job_id, _seq in found]

    def _retry_one(
        self,
        job_id: str,
        seq: int,
        again: bool,
        settings: Settings | None,
        counts: _Counted,
        now: int,
    ) -> Change:
        state, queue, _cancel = self._db.execute(sql("job_state"), (seq,)).fetchone()
        if state == PENDING:
            return Change(job_id, state, "already" if settings is None else "refused")
        if state == PROCESSING or (state == COMPLETED and not again):
            return Change(job_id, state, "refused")
        after = self._db.execute(sql("get_after"), (seq,)).get
        needs = self._still_needed(read_list(after))
        if needs is None:
            return Change(job_id, state, "refused")
        self._db.executemany(sql("add_wait"), [(need, seq) for need in needs])
        given = settings or Settings()
        self._db.execute(sql("revive"), (seq, now, None if needs else True, *given))
        counts.move(queue, state, PENDING)
        return Change(job_id, state, "done")

    def _still_needed(self, after: Sequence[str]) -> list[int] | None:
        """The jobs that one with this `after` must wait for yet; None if it waits in vain."""
        needs = []
        for job_id in after:
            seq = self._seq_of(job_id)
            if seq is None:
                continue
            state = self._db.execute(sql("job_state"), (seq,)).fetchone()[0]
            if state in (DEAD, CANCELLED):
                return None
            if state != COMPLETED:
                needs.append(seq)
        return needs

    def delete(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        with self._writing() as counts:
            changes = []
            for job_id, seq in self._all_known(job_ids):
                state, queue, _cancel = self._db.execute(sql("job_state"), (seq,)).fetchone()
                if state == PROCESSING or (only and state not in only):
                    changes.append(Change(job_id, state, "refused"))
                    continue
                self._cancel_waiting(seq, "deleted", counts, now)
                self._remove(seq)
                counts.add(queue, state, -1)
                changes.append(Change(job_id, state, "done"))
            return changes

    def prune(self, ended_before: int, limit: int) -> int:
        with self._writing() as counts:
            seqs = self._db.execute(sql("ended"), (ended_before, limit)).fetchall()
            for (seq,) in seqs:
                state, queue, _cancel = self._db.execute(sql("job_state"), (seq,)).fetchone()
                self._remove(seq)
                counts.add(queue, state, -1)
            return len(seqs)

    def _remove(self, seq: int) -> None:
        for (token,) in self._db.execute(sql("tokens_of"), (seq,)).fetchall():
            self._db.execute(sql("drop_all_output"), (token,))
        for table in (
            "delete_attempts",
            "delete_tags",
            "drop_waits_of",
            "delete_spec",
            "delete_job",
        ):
            self._db.execute(sql(table), (seq,))

    def _all_known(self, job_ids: Sequence[str]) -> list[tuple[str, int]]:
        found = []
        for job_id in dict.fromkeys(job_ids):
            seq = self._seq_of(job_id)
            if seq is None:
                raise JobNotFound(job_id)
            found.append((job_id, seq))
        return found

    def set_queue(
        self, name: str, *, paused: bool | None = None, limit: int | None = None
    ) -> None:
        with self._db.write():
            self._db.execute(sql("set_queue"), (self._queue_number(name), paused, limit))
