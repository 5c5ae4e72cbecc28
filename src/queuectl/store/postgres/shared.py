"""What the parts of the PostgreSQL store share."""

from __future__ import annotations

import random

from queuectl.errors import StoreError
from queuectl.model import ENDED
from queuectl.store.base import Store
from queuectl.store.encoding import made_up_number
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.failures import ConflictError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    import psycopg

    from queuectl.store.postgres.database import Database
    from queuectl.store.postgres.wire import Answer

_FOLD_ONCE_IN = 64


class Shared(Store):
    """The connection, and what several parts ask of it."""

    _db: Database
    _captures: dict[int, Mapping[str, str]]

    def _find(self, job_ids: Sequence[str]) -> dict[str, int | None]:
        """The inner key of each public id, None for those that there are not."""
        ids = [sought(job_id) for job_id in job_ids]
        numbers = [made_up_number(job_id) for job_id in job_ids]
        found = dict(self._db.execute(sql("find_jobs"), (ids, numbers)).fetchall())
        return {job_id: found[id] for job_id, id in zip(job_ids, ids, strict=True)}

    def _needs(self, after: Iterable[str]) -> dict[str, tuple[int, str]]:
        """Seq and state of the jobs that are waited for, by id; those that there are. What
        has not ended yet does not before this transaction has."""
        seqs = [seq for seq in self._find(list(after)).values() if seq is not None]
        locked = self._db.execute(sql("lock_needs"), (seqs,))
        rows = self._db.execute(sql("needs"), (seqs,)).fetchall()
        held = {seq for (seq,) in locked.fetchall()}
        if any(state not in ENDED and seq not in held for _id, seq, state in rows):
            raise ConflictError("a job was revived meanwhile", "try again")
        return {job_id: (seq, state) for job_id, seq, state in rows}

    def _settle_waiting(
        self, seqs: Iterable[int], now: int, reason: str | None = None
    ) -> Answer | psycopg.Cursor[Any]:
        """These have ended, or go: free or cancel what waits for them; how many are free."""
        return self._db.execute(sql("settle_waiting"), (list(seqs), now, reason))

    def _add_total(self, event: str, n: int) -> None:
        self._db.execute(sql("add_total"), (event, n))

    def _fold_by_chance(self) -> None:
        """After a write: fold the changes of counts, now and then, so that there are never
        more than some hundreds. Whoever writes does it, by lot, without knowing of others."""
        if random.random() * _FOLD_ONCE_IN < 1:
            self._fold()

    def _fold(self) -> None:
        try:
            with self._db.write():
                self._db.execute(sql("fold_counts"))
                self._db.execute(sql("fold_totals"))
        except StoreError:
            return  # the work is done and answered for; somebody else will fold


def storable(text: str) -> str:
    """Text with what PostgreSQL can't take made visible: NUL, and bytes that are no UTF-8."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()


def sought(text: str) -> str:
    """Text that is looked for. NUL stands in none; raises UnicodeEncodeError as SQLite does."""
    text.encode()
    return text.replace("\0", "\\0")
