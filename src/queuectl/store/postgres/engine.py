"""What workers do: turns, claims, finishes, rescue."""

from __future__ import annotations

import random

from queuectl.errors import Refused, WorkerGone
from queuectl.model import (
    CANCELLED,
    LOST,
    Claim,
    Finish,
    Outcome,
    Turn,
    Want,
    Worker,
    one_a_run,
)
from queuectl.retry import RetryPolicy
from queuectl.store.base import PROMOTED_A_TURN
from queuectl.store.encoding import read_command, read_map
from queuectl.store.postgres.arrays import columns
from queuectl.store.postgres.database import read_statements, sql
from queuectl.store.postgres.failures import OtherSessionError, again_after_conflicts
from queuectl.store.postgres.proof import folder_mark, is_dead_here
from queuectl.store.postgres.shared import Shared, storable
from queuectl.transitions import events_of, settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    import psycopg

    from queuectl.model import OutputPart
    from queuectl.store.postgres.wire import Answer

_ENDS_AT_ONCE = 40
"""Of many, the plan would look at each for each."""
_PARCEL = 1024 * 1024
"""Bytes of output that a round trip carries, about. (The server takes no message of 1 GB.)"""
_HEAD = 6
"""Columns of claim.sql before those of a job."""
_LOOK_AGAIN = 20
"""Milliseconds until what others held is looked at again."""
_CANDIDATES, _CANDIDATES_MORE = 4, 16
"""So many times what is wanted, and so many more: others take the first ones meanwhile."""


class _Look:
    """How things stand for a worker, by what claim.sql or look.sql found."""

    def __init__(self, worker_id: str, rows: list[Any]) -> None:
        heads = [row[:_HEAD] for row in rows if row[0] is not None]
        if not heads or not heads[0][1]:
            raise WorkerGone(f"worker {worker_id} was rescued, or its lease has ended")
        self.contended, _, self.stop, self.cancels, self.next_due, self.drained = heads[0]

    def answer(self, claims: list[Claim], refused: Sequence[int] = (), freed: int = 0) -> Turn:
        drained = not claims and self.drained
        orders = (self.cancels, self.stop, self.next_due)
        return Turn.make((claims, refused, *orders, drained, freed))


class Engine(Shared):
    """The operations of a worker's life, in its order."""

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
        if not (finishes or output or want.free or want.ahead):
            look = self._look(worker_id)
            if look.next_due is None or look.next_due > now:
                return look.answer([])
        turn, contended = self._take_turn(worker_id, finishes, output, want, now)
        if finishes or turn.claims:
            self._fold_by_chance()
        # Others hold what a free slot could have had, or what is due, and may leave it: nobody
        # will tell us when.
        missed = contended and len(turn.claims) < want.free
        overdue = not turn.claims and turn.next_due is not None and turn.next_due <= now
        if missed or overdue:
            due = [now + _LOOK_AGAIN]
            if turn.next_due is not None and not overdue:
                due.append(turn.next_due)
            turn = turn.replace(next_due=min(due))
        return turn

    def _look(self, worker_id: str) -> _Look:
        with self._db.read():
            rows = self._db.execute(sql("look"), (worker_id,))
        return _Look(worker_id, rows.fetchall())

    @again_after_conflicts
    def _take_turn(
        self,
        worker_id: str,
        finishes: Sequence[Finish],
        output: Sequence[OutputPart],
        want: Want,
        now: int,
    ) -> tuple[Turn, bool]:
        """All in one round trip, and whether others held what would have been ours."""
        try:
            with self._db.write():
                known = self._db.version if want.free + want.ahead else None
                self._db.execute(sql("enter_turn"), (worker_id, self._db.session, known))
                self._keep(worker_id, finishes, output)
                ends = self._finish(worker_id, finishes, now)
                found = self._claim(worker_id, want, now)
        except OtherSessionError:
            self.held(worker_id)
            raise
        rows = found.fetchall()
        look = _Look(worker_id, rows)
        *recorded, freed = [answer.fetchall()[0][0] for answer in ends] or [0]
        refused = self._refused(finishes) if sum(recorded) < len(finishes) else []
        return look.answer(self._claims_of(rows), refused, freed), look.contended

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
        in_order = sorted(first.values(), key=_seq_of)
        ends = [_end_of(finish) for finish in in_order]
        answers = []
        for some in range(0, len(ends), _ENDS_AT_ONCE):
            of_some = columns(ends[some : some + _ENDS_AT_ONCE])
            answers.append(self._db.execute(sql("finish"), (worker_id, *of_some)))
        seqs = [finish.seq for finish in in_order]
        return [*answers, self._settle_waiting(seqs, now)]

    def _claim(self, worker_id: str, want: Want, now: int) -> Answer | psycopg.Cursor[Any]:
        most = want.free + want.ahead
        if most <= 0:
            self._db.execute(sql("promote"), (now, PROMOTED_A_TURN))
            return self._db.execute(sql("look"), (worker_id,))
        candidates = _CANDIDATES * most + _CANDIDATES_MORE
        self._db.execute(sql("line_up"), (worker_id, now, PROMOTED_A_TURN, most, candidates))
        if len(self._captures) > 100:
            self._captures.clear()
        return self._db.execute(
            sql("claim"),
            (worker_id, now, want.free, most, candidates, list(self._captures)),
        )

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

    @again_after_conflicts
    def held(self, worker_id: str) -> dict[int, int]:
        # A turn whose reply was lost may be under way yet: it is waited for, and one that
        # has not begun will find another session.
        with self._db.write():
            self._db.execute(sql("lock_turns"), (worker_id,))
            self._db.execute(sql("lock_worker"), (worker_id,))
            self._db.execute(sql("adopt_worker"), (worker_id, self._db.session))
            rows = self._db.execute(sql("held"), (worker_id,))
        return dict(rows.fetchall())

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


def _seq_of(finish: Finish) -> int:
    return finish.seq


def _in_line(row: tuple[Any, ...]) -> tuple[int, int]:
    *_, priority = row
    return -priority, row[0]
