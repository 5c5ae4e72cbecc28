"""What the parts of the SQLite store share."""

from __future__ import annotations

from queuectl.model import CANCELLED, PENDING
from queuectl.store.encoding import made_up_number, store_list
from queuectl.store.sqlite.database import sql

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from queuectl.store.sqlite.database import Database


class Shared:
    """The connection, the counts, and the rules that jobs which wait for others follow."""

    _db: Database
    _captures: dict[int, Mapping[str, str]]
    _queue_names: dict[int, str]

    def _writing(self) -> _Counted:
        return _Counted(self._db)

    def _seq_of(self, job_id: str) -> int | None:
        """The inner key of a public id."""
        seq = self._db.execute(sql("find_by_id"), (job_id,)).get
        number = made_up_number(job_id)
        if seq is None and number is not None:
            seq = self._db.execute(sql("find_by_seq"), (number,)).get
        return seq  # type: ignore[no-any-return]

    def _queue_number(self, name: str) -> int:
        number = self._db.execute(sql("find_queue"), (name,)).get
        if number is None:
            number = self._db.execute(sql("add_queue"), (name,)).get
        return int(number)

    def _free_waiting(self, seq: int, counts: _Counted, now: int) -> None:
        """This job completed: those that waited for it alone can go on."""
        freed = self._db.execute(sql("free_waiting"), (seq, now)).fetchall()
        counts.freed += sum([ready for (ready,) in freed])
        self._db.execute(sql("drop_waits_for"), (seq,))

    def _cancel_waiting(self, seq: int, state: str, counts: _Counted, now: int) -> None:
        """This job can no longer succeed: cancel those that wait for it, and so on down."""
        gone = [seq]
        while True:
            values = (store_list(gone), now, state)
            doomed = self._db.execute(sql("cancel_waiting"), values).fetchall()
            if not doomed:
                return
            gone, state = [child for child, _queue in doomed], CANCELLED
            self._db.execute(sql("drop_waits_of_all"), (store_list(gone),))
            for _child, queue in doomed:
                counts.move(queue, PENDING, CANCELLED)


class _Counted:
    """A write transaction that keeps the counts: `with self._writing() as counts`."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._counts: dict[tuple[int, str], int] = {}
        self._totals: dict[str, int] = {}
        self.freed = 0
        """Jobs that had waited for nothing else, and can be claimed now."""

    def add(self, queue: int, state: str, n: int = 1) -> None:
        """`n` more jobs of this queue are in this state."""
        key = (queue, state)
        self._counts[key] = self._counts.get(key, 0) + n

    def move(self, queue: int, old: str, new: str) -> None:
        """A job went from one state to another."""
        self.add(queue, old, -1)
        self.add(queue, new)

    def pending_change(self, queue: int, state: str) -> int:
        """What this transaction has added so far and not saved."""
        return self._counts.get((queue, state), 0)

    def happened(self, event: str, n: int = 1) -> None:
        """Count events for the store's life."""
        self._totals[event] = self._totals.get(event, 0) + n

    def __enter__(self) -> _Counted:
        self._db.write().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        transaction = self._db.write()
        if error is None:
            try:
                self._save()
            except BaseException as failure:
                transaction.__exit__(type(failure), failure, failure.__traceback__)
                raise
        transaction.__exit__(kind, error, trace)

    def _save(self) -> None:
        for (queue, state), n in self._counts.items():
            if n:
                self._db.execute(sql("add_count"), (queue, state, n))
        for event, n in self._totals.items():
            self._db.execute(sql("add_total"), (event, n))
