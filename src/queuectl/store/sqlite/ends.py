"""How the end of a run is recorded."""

from __future__ import annotations

from queuectl.model import CANCELLED, COMPLETED, DEAD, PROCESSING, Finish, one_a_run
from queuectl.store.sqlite.database import sql
from queuectl.store.sqlite.shared import Shared
from queuectl.transitions import events_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from queuectl.model import OutputPart
    from queuectl.store.sqlite.shared import _Counted


class Ends(Shared):
    """Finishes and what a run printed, and claims that were never started."""

    def _record(
        self, finishes: Sequence[Finish], worker_id: str, host_name: str, counts: _Counted
    ) -> list[int]:
        """Record ends of runs; the tokens of those that were stale."""
        updated = self._db.executemany(sql("finish"), [_finish_row(f) for f in finishes])
        recorded = {token: (state, queue) for token, state, queue in updated}
        fresh: dict[int, Finish] = {}
        others = []
        for finish in finishes:
            if finish.token in recorded and finish.token not in fresh:
                fresh[finish.token] = finish
            else:
                others.append(finish)
        rows = [_attempt_row(finish, worker_id, host_name) for finish in fresh.values()]
        self._db.executemany(sql("add_attempt"), rows)
        self._keep([f.output for f in fresh.values() if f.output is not None])
        anybody_waits = self._db.execute(sql("anybody_waits")).get
        for token, finish in fresh.items():
            state, queue = recorded[token]
            counts.move(queue, PROCESSING, state)
            self._count_outcome(finish.outcome.kind, state, counts)
            if anybody_waits:
                self._tell_waiting(finish.seq, state, finish.outcome.finished_at, counts)
        return self._stale(others)

    def _stale(self, finishes: Sequence[Finish]) -> list[int]:
        """Those of these that were not recorded earlier either."""
        return [
            f.token
            for f in finishes
            if not self._db.execute(
                sql("was_finished"), (f.token, f.outcome.kind, f.outcome.finished_at)
            ).get
        ]

    def _tell_waiting(self, seq: int, state: str, now: int, counts: _Counted) -> None:
        if state == COMPLETED:
            self._free_waiting(seq, counts, now)
        elif state in (DEAD, CANCELLED):
            self._cancel_waiting(seq, state, counts, now)

    def _count_outcome(self, kind: str, state: str, counts: _Counted) -> None:
        for event in events_of(kind):
            counts.happened(event)
        if state == DEAD:
            counts.happened("dlq")

    def _is_current(self, worker_id: str, part: OutputPart) -> bool:
        return bool(self._db.execute(sql("is_current"), (worker_id, part.token)).get)

    def _keep(self, parts: Sequence[OutputPart]) -> None:
        if not parts:
            return
        runs = one_a_run(parts)
        drops = [(token, number) for token, part in runs.items() for number in part.drop]
        puts = [(token, *chunk) for token, part in runs.items() for chunk in part.put]
        self._db.executemany(sql("drop_output"), drops)
        self._db.executemany(sql("put_output"), puts)

    def _give_back(self, seq: int, token: int, counts: _Counted, now: int) -> None:
        state, queue, cancel = self._db.execute(sql("give_back"), (seq, token, now)).get
        self._db.execute(sql("drop_all_output"), (token,))
        counts.move(queue, PROCESSING, state)
        counts.happened("started", -1)
        if cancel:
            self._db.execute(sql("cancel"), (seq, now, "cancelled before it started"))
            counts.move(queue, state, CANCELLED)
            self._cancel_waiting(seq, CANCELLED, counts, now)


def _finish_row(finish: Finish) -> tuple[Any, ...]:
    outcome, verdict = finish.outcome, finish.verdict
    return (
        finish.seq,
        finish.token,
        verdict.state,
        None if verdict.due_at is None else verdict.due_at <= outcome.finished_at,
        verdict.due_at,
        verdict.attempts,
        outcome.kind,
        outcome.exit_code,
        outcome.signal,
        outcome.error,
        outcome.started_at,
        outcome.finished_at,
        outcome.duration,
    )


def _attempt_row(finish: Finish, worker_id: str, host_name: str) -> tuple[Any, ...]:
    token, seq, attempt, outcome, verdict, _output = finish
    kind, finished_at, started_at, duration, exit_code, signal, error = outcome
    return (
        token, seq, attempt, worker_id, host_name, started_at, finished_at, duration, kind,
        verdict.charged, exit_code, signal, error,
    )  # fmt: skip
