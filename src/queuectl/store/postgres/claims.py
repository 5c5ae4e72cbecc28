"""Claims as a worker gets them: by its own turn, or by an enqueue that claims for it."""

from __future__ import annotations

from queuectl.errors import WorkerGone
from queuectl.model import Claim, Turn
from queuectl.retry import RetryPolicy
from queuectl.store.base import COUNTED_A_TURN, PROMOTED_A_TURN
from queuectl.store.encoding import read_command, read_map
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    import psycopg

    from queuectl.model import Want
    from queuectl.store.postgres.wire import Answer

_HEAD = 8
"""Columns of claim.sql before those of a job."""
_CANDIDATES, _CANDIDATES_MORE = 4, 16
"""So many times what is wanted, and so many more: others take the first ones meanwhile."""


class Look:
    """How things stand for a worker, by what claim.sql or look.sql found."""

    def __init__(self, worker_id: str, rows: list[Any]) -> None:
        head = next((row[:_HEAD] for row in rows if row[0] is not None), None)
        if head is None or not head[2]:
            raise WorkerGone(f"worker {worker_id} was rescued, or its lease has ended")
        self.contended, self._more, _lives, self.handed, *orders = head
        self._stop, self._cancels, self.next_due, self._drained = orders

    def answer(self, claims: list[Claim], refused: Sequence[int] = (), freed: int = 0) -> Turn:
        drained = not claims and self._drained
        news = (self._cancels, self._stop, self.next_due, drained, freed, self._more)
        return Turn.make((claims, refused, *news))


class Claims(Shared):
    """What engine.py asks for claims."""

    _waiters: set[str]
    """Workers for which an enqueue may have claimed meanwhile."""
    _handed: dict[str, int | None]
    """The last claim that came to a worker so: its token."""

    def _claim(self, worker_id: str, want: Want, now: int) -> Answer | psycopg.Cursor[Any]:
        most = want.free + want.ahead
        if not want.jobs:
            self._db.execute(sql("promote"), (now, PROMOTED_A_TURN))
            return self._db.execute(sql("look"), (worker_id,))
        candidates = _CANDIDATES * most + _CANDIDATES_MORE + want.plenty
        flood = (PROMOTED_A_TURN, want.jobs, candidates)
        self._db.execute(sql("line_up"), (worker_id, now, *flood))
        if len(self._captures) > 100:
            self._captures.clear()
        waits = self._db.version if want.waits else None
        limits = (want.free, most, want.plenty, candidates)
        known = (list(self._captures), waits, COUNTED_A_TURN, self._handed.get(worker_id))
        return self._db.execute(sql("claim"), (worker_id, now, *limits, *known))

    def _handed_over(self, worker_id: str) -> Turn | None:
        """What an enqueue has claimed for this worker, if that is new, and what is asked of it:
        the bell that told of that may have been heard as well."""
        with self._db.read_once():
            found = self._db.execute(sql("handed"), (worker_id, list(self._captures)))
        for stop, cancels, *row in found.fetchall():
            claim = self._claim_of(tuple(row))
            if claim.token != self._handed.get(worker_id):
                self._handed[worker_id] = claim.token
                self._waiters.discard(worker_id)
                return Turn([claim], cancels=cancels, stop=stop)
        return None

    def _claims_of(self, rows: list[Any]) -> list[Claim]:
        jobs = [row[_HEAD:] for row in rows if row[0] is None]
        return [self._claim_of(job) for job in sorted(jobs, key=_in_line)]

    def _claim_of(self, row: tuple[Any, ...]) -> Claim:
        (
            seq, token, job_id, runs, attempts, max_retries, base, most, jitter, command,
            is_argv, queue, timeout, cwd, explicit, env, capture, captured, created_by, _,
        ) = row  # fmt: skip
        if captured is not None:
            self._captures[capture] = read_map(captured)
        return Claim.make(
            (
                seq,
                token,
                job_id,
                runs,
                attempts,
                RetryPolicy.make((max_retries, base, most, jitter)),
                read_command(command, is_argv),
                queue,
                timeout,
                cwd,
                explicit,
                read_map(env),
                self._captures[capture] if capture is not None else {},
                created_by,
            )
        )


def _in_line(row: tuple[Any, ...]) -> tuple[int, int]:
    *_, priority = row
    return -priority, row[0]
