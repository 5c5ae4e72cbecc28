"""What workers do: turns, claims, finishes, rescue."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from queuectl import host
from queuectl.errors import Refused, StoreTooNew, WorkerGone
from queuectl.model import (
    CANCELLED,
    FAILED,
    LOST,
    PROCESSING,
    Claim,
    Finish,
    Outcome,
    Turn,
    Worker,
)
from queuectl.retry import RetryPolicy
from queuectl.store.base import COUNTED_A_TURN, PROMOTED_A_TURN, Store
from queuectl.store.encoding import compact, read_command, read_list, read_map, store_list
from queuectl.store.slotlock import is_locked
from queuectl.store.sqlite.database import read_statements, sql
from queuectl.store.sqlite.ends import Ends
from queuectl.transitions import settle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from queuectl.model import OutputPart, Want
    from queuectl.store.sqlite.shared import _Counted


class Engine(Ends, Store):
    """The operations of a worker's life, in its order."""

    def settle_in(self) -> None:
        with self._db.read():
            is_copy = self._db.is_copy()
        if is_copy:
            with self._db.write():
                if self._db.is_copy() and not any(w.alive for w in self._workers()):
                    self._db.rename()
        self.uid = self._db.uid

    def register(self, worker: Worker) -> None:
        read_statements()
        with self._db.write():
            for other in self._workers():
                if other.alive and other.pid_namespace != worker.pid_namespace:
                    raise Refused(
                        f"{self.url} is served from another pid namespace (worker {other.id})",
                        "one SQLite store, one container: use PostgreSQL to share it",
                    )
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
                    compact(worker.queues),
                    worker.started_at,
                    worker.heartbeat_at,
                    worker.version,
                ),
            )

    def heartbeat(self, worker_id: str, now: int) -> None:
        with self._db.write():
            self._db.execute(sql("heartbeat"), (worker_id, now))
            if not self._db.connection.changes():
                raise WorkerGone(f"worker {worker_id} was rescued")

    def unregister(self, worker_id: str) -> None:
        with self._db.write():
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
        if not finishes and not output:
            with self._db.read():
                stop, queues, _host = self._orders(worker_id, want)
                open_queues = self._open_queues(queues)
                if not self._anything_to_do(open_queues, want, now):
                    return self._answer(worker_id, [], [], stop, open_queues)
        with self._writing() as counts:
            stop, queues, host_name = self._orders(worker_id, want)
            if output:  # before the ends: then their tokens are current no more
                self._keep([part for part in output if self._is_current(worker_id, part)])
            refused = self._record(finishes, worker_id, host_name, counts) if finishes else []
            open_queues = self._open_queues(queues, counts)
            self._promote(now, open_queues, want)
            claims, more = self._claim(worker_id, open_queues, want, counts, now)
            return self._answer(worker_id, claims, refused, stop, open_queues, counts, more)

    def _orders(self, worker_id: str, want: Want) -> tuple[float | None, tuple[str, ...], str]:
        row = self._db.execute(sql("worker_orders"), (worker_id,)).fetchone()
        if row is None:
            raise WorkerGone(f"worker {worker_id} was rescued")
        if row[3] > self._db.version and want.jobs:
            raise StoreTooNew(self._db.path, row[4])
        return row[0], read_list(row[1]), row[2]

    def _open_queues(
        self, names: tuple[str, ...], counts: _Counted | None = None
    ) -> dict[int, int | None]:
        """Number of each queue that may be claimed from -> runs it may still start."""
        found = {}
        for number, name, room in self._db.execute(sql("open_queues")):
            if not names or name in names:
                unsaved = counts.pending_change(number, PROCESSING) if counts else 0
                found[number] = None if room is None else room - unsaved
        return found

    def _anything_to_do(
        self, open_queues: Mapping[int, int | None], want: Want, now: int
    ) -> bool:
        next_due = self._db.execute(sql("next_due")).get
        if next_due is not None and next_due <= now:
            return True
        return bool(want.jobs) and any(
            room is None or room > 0 for room in self._with_ready(open_queues).values()
        )

    def _with_ready(self, open_queues: Mapping[int, int | None]) -> dict[int, int | None]:
        """Those of the queues in which there is something to claim."""
        ready = self._db.execute(sql("ready_queues"))
        return {number: open_queues[number] for (number,) in ready if number in open_queues}

    def _answer(
        self,
        worker_id: str,
        claims: list[Claim],
        refused: list[int],
        stop: float | None,
        open_queues: Mapping[int, int | None],
        counts: _Counted | None = None,
        more: bool = False,
    ) -> Turn:
        cancels = [token for (token,) in self._db.execute(sql("any_to_cancel"), (worker_id,))]
        next_due = self._db.execute(sql("next_due")).get
        drained = not claims and self._drained(open_queues, counts)
        freed = counts.freed if counts else 0
        return Turn.make((claims, refused, cancels, stop, next_due, drained, freed, more))

    def _drained(self, open_queues: Mapping[int, int | None], counts: _Counted | None) -> bool:
        if self._with_ready(open_queues):
            return False
        rows = self._db.execute(sql("unfinished_counts"))
        saved = {(queue, state): n for queue, state, n in rows}
        for number in open_queues:
            for state in (FAILED, PROCESSING):
                n = saved.get((number, state), 0)
                if n + (counts.pending_change(number, state) if counts else 0):
                    return False
        return True

    def _promote(self, now: int, open_queues: Mapping[int, int | None], want: Want) -> None:
        next_due = self._db.execute(sql("next_due")).get
        if next_due is None or next_due > now:
            return
        self._db.execute(sql("promote"), (now, PROMOTED_A_TURN))
        if self._db.connection.changes() == PROMOTED_A_TURN:
            self._promote_first(now, open_queues, want.jobs)

    def _promote_first(
        self, now: int, open_queues: Mapping[int, int | None], wanted: int
    ) -> None:
        """More is due: what we claim next must not stand behind it."""
        left = {n: wanted if room is None else room for n, room in open_queues.items()}
        chosen: list[int] = []
        overdue = self._db.execute(sql("overdue"), (now,)).fetchall() if wanted else ()
        for _priority, lines in groupby(overdue, itemgetter(0)):
            first: list[tuple[int, int, int]] = []
            for priority, number in lines:
                most = min(left.get(number, 0), wanted - len(chosen))
                if most > 0:
                    values = (priority, number, now, most)
                    first += self._db.execute(sql("overdue_first"), values)
            for _due_at, seq, number in sorted(first)[: wanted - len(chosen)]:
                left[number] -= 1
                chosen.append(seq)
            if len(chosen) == wanted:
                break
        self._db.execute(sql("promote_first"), (store_list(chosen),))

    def _claim(
        self,
        worker_id: str,
        open_queues: Mapping[int, int | None],
        want: Want,
        counts: _Counted,
        now: int,
    ) -> tuple[list[Claim], bool]:
        """The claims, and whether there may be more."""
        most = want.free + want.ahead
        if not want.jobs:
            return [], False
        rows: list[Any] = []
        ready = self._with_ready(open_queues)
        if want.plenty:
            most += self._share(worker_id, ready, want)
        for number, room in ready.items():
            limit = most if room is None else min(most, room)
            if limit > 0:
                rows += self._db.execute(sql("pick"), (number, limit))
        if len(open_queues) > 1:
            rows.sort(key=_in_line)
        chosen = rows[: want.free]
        for row in rows[want.free : most]:
            if row[7] <= 1:  # max_retries: such a job never waits in a worker's hands
                break
            chosen.append(row)
        if not chosen:
            return [], False
        numbers = self._db.execute(sql("take_numbers"), (0, len(chosen))).fetchone()
        first_token = numbers[1]
        claims = []
        for token, row in enumerate(chosen, first_token):
            counts.move(row[2], row[4], PROCESSING)
            claims.append(self._claim_of(row, token))
        self._db.executemany(
            sql("claim"), [(claim.seq, claim.token, worker_id, now) for claim in claims]
        )
        counts.happened("started", len(claims))
        return claims, len(rows) >= most

    def _share(self, worker_id: str, ready: Mapping[int, int | None], want: Want) -> int:
        """How many of `want.plenty` leave the other workers as much as their slots could do."""
        parts = self._parts(worker_id)
        if not parts:
            return 0
        most = want.free + want.ahead
        enough = min(most + want.plenty * parts, COUNTED_A_TURN)
        found = 0
        for number, room in ready.items():
            limit = enough if room is None else max(0, min(room, enough))
            found += self._db.execute(sql("count_ready"), (number, limit)).get
        share = want.plenty if found >= enough else (found - most) // parts
        return max(0, min(want.plenty, share))

    def _parts(self, worker_id: str) -> int:
        """How many workers like this one there are, by slots; 0 where somebody serves but some
        of its queues, or others too: what comes first may be all that is there for it."""
        rows = self._db.execute(sql("all_slots")).fetchall()
        fleet = {id: (slots, frozenset(read_list(queues))) for id, slots, queues in rows}
        mine, my_queues = fleet[worker_id]
        whole: int = 0
        for slots, queues in fleet.values():
            if queues == my_queues:
                whole += slots
            elif not queues or not my_queues or queues & my_queues:
                return 0
        return -(-whole // int(mine))

    def _claim_of(self, row: tuple[Any, ...], token: int) -> Claim:
        (
            seq, job_id, queue, _priority, _state, attempts, runs, max_retries, base, most,
            jitter, timeout, command, is_argv, cwd, explicit, env, capture, created_by,
        ) = row  # fmt: skip
        return Claim.make(
            (
                seq,
                token,
                job_id or f"j{seq}",
                runs + 1,
                attempts,
                RetryPolicy.make((max_retries, base, most, jitter)),
                read_command(command, is_argv),
                self._queue_name(queue),
                timeout,
                cwd,
                bool(explicit),
                read_map(env),
                self._captured(capture),
                created_by,
            )
        )

    def _queue_name(self, number: int) -> str:
        name = self._queue_names.get(number)
        if name is None:
            self._queue_names.update(self._db.execute(sql("queue_names")))
            name = self._queue_names[number]
        return name

    def _captured(self, number: int | None) -> Mapping[str, str]:
        if number is None:
            return {}
        if number not in self._captures:
            if len(self._captures) > 100:
                self._captures.clear()
            self._captures[number] = read_map(
                self._db.execute(sql("get_capture"), (number,)).get
            )
        return self._captures[number]

    def held(self, worker_id: str) -> dict[int, int]:
        with self._db.read():
            return dict(self._db.execute(sql("held"), (worker_id,)))

    def release(self, worker_id: str, tokens: Iterable[int], now: int) -> None:
        with self._writing() as counts:
            held = dict(self._db.execute(sql("held"), (worker_id,)).fetchall())
            for token in tokens:
                if token in held:
                    self._give_back(held.pop(token), token, counts, now)

    def workers(self) -> list[Worker]:
        with self._db.read():
            return [
                worker.replace(
                    jobs=tuple(
                        job for (job,) in self._db.execute(sql("jobs_of_worker"), (worker.id,))
                    )
                )
                for worker in self._workers()
            ]

    def _workers(self) -> list[Worker]:
        found = []
        for row in self._db.execute(sql("workers")).fetchall():
            alive = bool(is_locked(self.slot_dir, row[0]))
            plain = (*row[:8], read_list(row[8]), *row[9:])
            found.append(Worker.make((*plain, alive, (), None)))
        return found

    def lost_workers(self, now: int) -> list[Worker]:  # noqa: ARG002 - no lease here
        # Without a slot file nobody can ask its lock: then only if there is no such process.
        with self._db.read():
            return [w for w in self._workers() if not w.alive and not host.is_running(w)]

    def rescue(self, worker_id: str, unstarted: Iterable[int] | None, now: int) -> list[str]:
        never_started = frozenset(unstarted or ())
        settled = []
        from random import random  # here: rescues are rare, and `enqueue` starts often

        with self._writing() as counts:
            worker = self._db.execute(sql("worker_orders"), (worker_id,)).fetchone()
            host_name = worker[2] if worker else ""
            for row in self._db.execute(sql("held_by"), (worker_id,)).fetchall():
                token, seq, _queue, attempts, runs, *policy, started_at, cancel, job_id = row
                if token in never_started:
                    self._give_back(seq, token, counts, now)
                    continue
                kind, error = (CANCELLED, "cancelled") if cancel else (LOST, "its worker died")
                outcome = Outcome(kind, now, started_at, error=error)
                verdict = settle(attempts, RetryPolicy(*policy), outcome, random())
                finish = Finish(token, seq, runs, outcome, verdict)
                self._record([finish], worker_id, host_name, counts)
                settled.append(job_id)
            self._db.execute(sql("delete_worker"), (worker_id,))
        return settled

    def ask_stop(self, worker_ids: Iterable[str], seconds: float) -> None:
        with self._db.write():
            for worker_id in worker_ids:
                self._db.execute(sql("ask_stop"), (worker_id, seconds))


_priority_and_seq = itemgetter(3, 0)


def _in_line(row: tuple[Any, ...]) -> tuple[int, int]:
    priority, seq = _priority_and_seq(row)
    return -priority, seq
