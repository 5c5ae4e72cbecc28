"""What workers do: turns, claims, finishes, rescue."""

from __future__ import annotations

import random

from queuectl.errors import Refused, WorkerGone
from queuectl.model import (
    CANCELLED,
    LOST,
    Finish,
    Outcome,
    Turn,
    Want,
    Worker,
    one_a_run,
)
from queuectl.retry import RetryPolicy
from queuectl.store.postgres.arrays import columns
from queuectl.store.postgres.claims import Claims, Look
from queuectl.store.postgres.database import read_statements, sql
from queuectl.store.postgres.failures import OtherSessionError, again_after_conflicts
from queuectl.store.postgres.proof import folder_mark, is_dead_here
from queuectl.store.postgres.shared import storable
from queuectl.transitions import events_of, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    import psycopg

    from queuectl.model import OutputPart
    from queuectl.store.postgres.wire import Answer

_PARCEL = 1024 * 1024
"""Bytes of output that a round trip carries, about. (The server takes no message of 1 GB.)"""
_LOOK_AGAIN = 20
"""Milliseconds until what others held is looked at again."""


class Engine(Claims):
    """The operations of a worker's life, in its order."""

    _next_due: int | None = None
    """By the last turn that looked."""

    @again_after_conflicts
    def register(self, worker: Worker) -> None:
        read_statements()
        lease = self.config().lease_seconds
        with self._db.write():
            self._db.execute(
                sql("register"),
                (
                    worker.id,
                    worker.host,
                    worker.pid,
                    worker.boot_id,
                    worker.pid_namespace,
                    worker.start_ticks,
                    worker.supervisor_pid,
                    worker.slots,
                    list(worker.queues),
                    worker.started_at,
                    worker.heartbeat_at,
                    worker.version,
                    folder_mark(self.slot_dir),
                    self._db.session,
                    lease,
                ),
            )

    def heartbeat(self, worker_id: str, now: int) -> None:
        with self._db.write():
            beat = self._db.execute(sql("heartbeat"), (worker_id, now))
        if not beat.rowcount:
            raise WorkerGone(f"worker {worker_id} was rescued, or its lease has ended")

    @again_after_conflicts
    def unregister(self, worker_id: str) -> None:
        with self._db.write():
            self._db.execute(sql("lock_turns"), (worker_id,))
            self._db.execute(sql("lock_worker"), (worker_id,))
            held = self._db.execute(sql("held"), (worker_id,)).fetchall()
            if held:
                raise Refused(f"worker {worker_id} still holds {len(held)} jobs")
            self._db.execute(sql("delete_worker"), (worker_id,))

    def turn(
        self,
        worker_id: str,
        finishes: Sequence[Finish],
        output: Sequence[OutputPart],
        want: Want,
        now: int,
    ) -> Turn:
        if not (finishes or output or want.jobs):
            look = self._look(worker_id)
            if look.handed == self._handed.get(worker_id) and not _is_past(look.next_due, now):
                return look.answer([])
        elif worker_id in self._waiters and not (finishes or output):
            handed = self._handed_over(worker_id)
            if handed is not None:  # of all else we have not looked: soon, if a slot is left
                return handed.replace(next_due=self._next_due, more=want.free > 1)
        turn, look = self._take_turn(worker_id, finishes, output, want, now)
        if look.handed != self._handed.get(worker_id):
            handed = self._handed_over(worker_id)
            if handed is None:
                self._handed[worker_id] = look.handed
            else:
                turn = turn.replace(claims=[*handed.claims, *turn.claims], more=True)
        if finishes or turn.claims:
            self._fold_by_chance()
        # Others hold what a free slot could have had, or what is due, and may leave it: nobody
        # will tell us when.
        missed = look.contended and len(turn.claims) < want.free
        overdue = not turn.claims and _is_past(turn.next_due, now)
        if missed or overdue:
            due = [now + _LOOK_AGAIN]
            if turn.next_due is not None and not overdue:
                due.append(turn.next_due)
            turn = turn.replace(next_due=min(due))
        self._next_due = turn.next_due
        return turn

    def _look(self, worker_id: str) -> Look:
        with self._db.read():
            rows = self._db.execute(sql("look"), (worker_id,))
        return Look(worker_id, rows.fetchall())

    @again_after_conflicts
    def _take_turn(
        self,
        worker_id: str,
        finishes: Sequence[Finish],
        output: Sequence[OutputPart],
        want: Want,
        now: int,
    ) -> tuple[Turn, Look]:
        """All in one round trip, and how things stood before."""
        try:
            with self._db.write():
                known = self._db.version if want.jobs else None
                self._db.execute(sql("enter_turn"), (worker_id, self._db.session, known))
                self._keep(worker_id, finishes, output)
                ends = self._finish(worker_id, finishes, now)
                found = self._claim(worker_id, want, now)
        except OtherSessionError:
            with self._db.write():
                self._adopt(worker_id)
            raise
        rows = found.fetchall()
        look = Look(worker_id, rows)
        *recorded, freed = [answer.fetchall()[0][0] for answer in ends] or [0]
        refused = self._refused(finishes) if sum(recorded) < len(finishes) else []
        claims = self._claims_of(rows)
        if want.waits and len(claims) < want.free:
            self._waiters.add(worker_id)
        else:
            self._waiters.discard(worker_id)
        return look.answer(claims, refused, freed), look

    def _refused(self, finishes: Sequence[Finish]) -> list[int]:
        """Tokens of those that are not on record: somebody else has ended these runs."""
        told = [(f.token, f.outcome.kind, f.outcome.finished_at) for f in finishes]
        with self._db.read():
            missing = self._db.execute(sql("refused"), columns(told))
        stale = set(missing.fetchall())
        return [end[0] for end in told if end in stale]

    def _keep(
        self, worker_id: str, finishes: Sequence[Finish], output: Sequence[OutputPart]
    ) -> None:
        """Before the finishes, while their tokens are still current."""
        ends = {f.token: f.output for f in reversed(finishes) if f.output is not None}
        runs = one_a_run([*output, *ends.values()])
        drops = [(token, number) for token, part in runs.items() for number in part.drop]
        rows = [(token, *chunk) for token, part in runs.items() for chunk in part.put]
        if drops:
            self._db.execute(sql("drop_output"), (worker_id, *columns(drops)))
        sent = None
        for parcel in _parcels(rows):
            if sent is not None:
                sent.fetchall()  # the next travels when this has arrived
            sent = self._db.execute(sql("put_output"), (worker_id, *columns(parcel)))

    def _finish(
        self, worker_id: str, finishes: Sequence[Finish], now: int
    ) -> list[Answer | psycopg.Cursor[Any]]:
        """Record ends of runs; the answers tell how many counted, the last one how many jobs
        this set free."""
        if not finishes:
            return []
        first = {finish.token: finish for finish in reversed(finishes)}
        # In order, so that who locks several jobs meanwhile and we don't wait for each other.
        in_order = left = sorted(first.values(), key=_seq_of)
        answers = []
        while left:
            some = {finish.seq: finish for finish in left}
            ends = columns([_end_of(finish) for finish in some.values()])
            answers.append(self._db.execute(sql("finish"), (worker_id, *ends)))
            left = [finish for finish in left if some[finish.seq] is not finish]
        seqs = [finish.seq for finish in in_order]
        return [*answers, self._settle_waiting(seqs, now)]

    @again_after_conflicts
    def held(self, worker_id: str) -> dict[int, int]:
        with self._db.write():
            self._adopt(worker_id)
            self._db.execute(sql("nothing_handed"), (worker_id,))
            rows = self._db.execute(sql("held"), (worker_id,))
        return dict(rows.fetchall())

    def _adopt(self, worker_id: str) -> None:
        """A turn whose reply was lost may be under way yet: it is waited for, and one that has
        not begun will find another session."""
        self._db.execute(sql("lock_turns"), (worker_id,))
        self._db.execute(sql("lock_worker"), (worker_id,))
        self._db.execute(sql("adopt_worker"), (worker_id, self._db.session))
        self._waiters.discard(worker_id)

    @again_after_conflicts
    def release(self, worker_id: str, tokens: Iterable[int], now: int) -> None:
        with self._db.write():
            self._give_back(worker_id, tokens, now)

    def _give_back(self, worker_id: str, tokens: Iterable[int], now: int) -> None:
        """Claims whose run never started."""
        back = self._db.execute(sql("give_back"), (worker_id, list(tokens), now)).fetchall()
        self._db.execute(sql("drop_all_output"), ([token for _, token, _ in back],))
        self._settle_waiting([seq for seq, _, state in back if state == CANCELLED], now)

    def workers(self) -> list[Worker]:
        with self._db.read():
            rows = self._db.execute(sql("workers"))
        return [self._worker_of(row) for row in rows.fetchall()]

    def _worker_of(self, row: tuple[Any, ...]) -> Worker:
        *plain, leased, slot_folder, jobs, silent = row
        plain[8] = tuple(plain[8])
        worker_id, host, pid, boot_id, pid_namespace, start_ticks, *_ = plain
        place = (host, boot_id, pid_namespace, slot_folder)
        alive = leased and not is_dead_here(self.slot_dir, worker_id, place, (pid, start_ticks))
        return Worker.make((*plain, alive, tuple(jobs), silent))

    def lost_workers(self, now: int) -> list[Worker]:  # noqa: ARG002 - the server's clock decides
        return [worker for worker in self.workers() if not worker.alive]

    @again_after_conflicts
    def rescue(self, worker_id: str, unstarted: Iterable[int] | None, now: int) -> list[str]:
        never_started = frozenset(unstarted or ())
        settled = []
        finishes = []
        with self._db.write():
            if not self._is_gone(worker_id):
                return []
            for row in self._db.execute(sql("held_by"), (worker_id,)).fetchall():
                token, seq, attempts, runs, *policy, started_at, cancel, job_id = row
                if token in never_started:
                    continue
                kind, error = (CANCELLED, "cancelled") if cancel else (LOST, "its worker died")
                outcome = Outcome(kind, now, started_at, error=error)
                verdict = settle(attempts, RetryPolicy(*policy), outcome, random.random())
                finishes.append(Finish(token, seq, runs, outcome, verdict))
                settled.append(job_id)
            if never_started:
                self._give_back(worker_id, never_started, now)
            self._finish(worker_id, finishes, now)
            self._db.execute(sql("delete_worker"), (worker_id,))
        self._fold_by_chance()
        return settled

    def _is_gone(self, worker_id: str) -> bool:
        """Look again, now that neither a heartbeat nor a turn can come in between."""
        self._db.execute(sql("lock_turns"), (worker_id,))
        rows = self._db.execute(sql("lock_worker"), (worker_id,)).fetchall()
        if not rows:
            return False
        ended, pid, start_ticks, *place = rows[0]
        if not ended and not is_dead_here(self.slot_dir, worker_id, place, (pid, start_ticks)):
            raise Refused(
                f"worker {worker_id} may live: its lease has not ended",
                "its jobs are taken back when it ends, by any worker",
            )
        return True

    def ask_stop(self, worker_ids: Iterable[str], seconds: float) -> None:
        with self._db.write():
            self._db.execute(sql("ask_stop"), (list(worker_ids), float(seconds)))


def _parcels(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Chunks of output, as many together as a round trip carries."""
    parcel: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        parcel.append(row)
        size += len(row[-1])
        if size >= _PARCEL:
            yield parcel
            parcel, size = [], 0
    if parcel:
        yield parcel


def _end_of(finish: Finish) -> tuple[float | str | None, ...]:
    """As finish.sql numbers it."""
    token, seq, attempt, outcome, verdict, _output = finish
    return (
        token,
        seq,
        attempt,
        verdict.state,
        verdict.attempts,
        verdict.due_at,
        verdict.charged,
        outcome.kind,
        outcome.exit_code,
        outcome.signal,
        None if outcome.error is None else storable(outcome.error),
        outcome.started_at,
        outcome.finished_at,
        outcome.duration,
        " ".join(events_of(outcome.kind)),
    )


def _is_past(due_at: int | None, now: int) -> bool:
    return due_at is not None and due_at <= now


def _seq_of(finish: Finish) -> int:
    return finish.seq
