"""Jobs in."""

from __future__ import annotations

from hashlib import md5
from itertools import islice

from queuectl.errors import JobExists, JobNotFound
from queuectl.model import CANCELLED, COMPLETED, DEAD, PENDING
from queuectl.records import Record
from queuectl.store.encoding import (
    compact,
    made_up_number,
    store_list,
    store_map,
    stored_command,
)
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.failures import again_after_conflicts
from queuectl.store.postgres.proof import can_be_called, here
from queuectl.store.postgres.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    import psycopg

    from queuectl.model import NewJob
    from queuectl.store.postgres.wire import Answer

_COPY_FROM = 50
_COPIED_AT_ONCE = 5000
_CANDIDATES = 3
"""Of those that wait, others may be calling the first ones this moment."""


class _Numbers(Record):
    """What an enqueue found out: numbers for its jobs, and those of what they name.
    `captures` goes by the identity of `NewJob.captured`: most jobs share one object.
    `waiting` are workers that could have a job at once."""

    seqs: Sequence[int]
    queues: Mapping[str, int]
    captures: Mapping[int, int]
    waiting: Sequence[str]


class _Waiting(Record):
    """What `after` means for one job: the jobs it waits for, or why it waits in vain."""

    needs: Sequence[int]
    in_vain: str | None


_FREE = _Waiting((), None)


class Intake(Shared):
    """`enqueue`."""

    @again_after_conflicts
    def enqueue(self, jobs: Sequence[NewJob], now: int) -> list[str]:
        if not jobs:
            return []
        in_bulk = len(jobs) >= _COPY_FROM
        self.handed_to = None
        with self._db.write_in_bulk() if in_bulk else self._db.write():
            numbers = self._prepare(jobs)
            if in_bulk:
                # What nobody has to wait for goes first: from here on what the others wait
                # for can't end.
                numbered = zip(jobs, numbers.seqs, strict=True)
                free = [(job, seq, _FREE) for job, seq in numbered if not job.after]
                self._copy_in(free, numbers, now)
            waiting = self._waiting(jobs, numbers.seqs)
            rows = zip(jobs, numbers.seqs, waiting, strict=True)
            if in_bulk:
                self._copy_in([row for row in rows if row[0].after], numbers, now)
            else:
                for row in rows:
                    self._db.execute(sql("add_job"), _job_row(row, numbers, now))
                    self._db.execute(sql("add_spec"), _spec_row(row, numbers))
            self._add_tags_and_waits(jobs, numbers.seqs, waiting)
            self._add_total("enqueued", len(jobs))
            handed = self._hand_over(numbers, now)
        if handed is not None:
            self.handed_to = handed.fetchall()[0][0]
        self._fold_by_chance()
        return [job.id or f"j{seq}" for seq, job in zip(numbers.seqs, jobs, strict=True)]

    def _prepare(self, jobs: Sequence[NewJob]) -> _Numbers:
        chosen = [job.id for job in jobs if job.id is not None]
        numbered = [made_up_number(job_id) for job_id in chosen]
        names = sorted({job.queue for job in jobs})  # in order: see lock_jobs.sql
        distinct = {id(job.captured): job.captured for job in jobs if job.captured}
        envs = {key: compact(env) for key, env in distinct.items()}
        digests = {key: _digest(text) for key, text in envs.items()}
        place = here(self.slot_dir) if len(jobs) == 1 else (None,) * 4
        self._db.execute(sql("lock_numbers"), (any(n is not None for n in numbered),))
        facts = self._db.execute(
            sql("prepare"),
            (len(jobs), chosen, numbered, names, list(digests.values()), *place),
        ).fetchall()
        states = {text: state for kind, text, _n, state in facts if kind == "taken"}
        _refuse_taken(chosen, states)
        seqs = [n for kind, _text, n, _state in facts if kind == "seq"]
        if any(n is not None for n in numbered) or any(row[0] == "numbered" for row in facts):
            seqs = self._pass_over_chosen(jobs, seqs, {n for n in numbered if n is not None})
        queues = {text: n for kind, text, n, _state in facts if kind == "queue"}
        captures = {text: n for kind, text, n, _state in facts if kind == "capture"}
        for name in names:
            if name not in queues:
                self._db.execute(sql("add_queue"), (name,))
                queues[name] = self._db.execute(sql("find_queue"), (name,)).fetchall()[0][0]
        for key, digest in digests.items():
            if digest not in captures:
                self._db.execute(sql("add_capture"), (envs[key], digest))
                found = self._db.execute(sql("find_capture"), (digest,)).fetchall()
                captures[digest] = found[0][0]
        waiting = (
            text
            for kind, text, n, ticks in facts
            if kind == "waits" and can_be_called(n, int(ticks))
        )
        by_job = {key: captures[d] for key, d in digests.items()}
        return _Numbers(seqs, queues, by_job, list(islice(waiting, _CANDIDATES)))

    def _hand_over(self, numbers: _Numbers, now: int) -> Answer | psycopg.Cursor[Any] | None:
        """Have a lone job claimed for a worker that waits for one."""
        if not numbers.waiting:
            return None
        return self._db.execute(sql("hand_over"), (numbers.seqs[0], numbers.waiting, now))

    def _pass_over_chosen(
        self, jobs: Sequence[NewJob], seqs: list[int], taken: set[int]
    ) -> list[int]:
        """Other numbers in place of those whose made-up id is somebody's choice."""
        rows = self._db.execute(sql("ids_taken"), ([f"j{seq}" for seq in seqs],)).fetchall()
        taken = taken | {int(job_id[1:]) for (job_id,) in rows}
        good = [seq for seq in seqs if seq not in taken]
        while len(good) < len(jobs):
            more = self._db.execute(sql("next_seq"), (len(jobs) - len(good),)).fetchall()
            good += self._pass_over_chosen(jobs[: len(more)], [n for (n,) in more], taken)
        return good[: len(jobs)]

    def _waiting(self, jobs: Sequence[NewJob], seqs: Sequence[int]) -> list[_Waiting]:
        named = {job_id for job in jobs for job_id in job.after}
        if not named:
            return [_FREE] * len(jobs)
        known = self._needs(named)
        waiting = []
        for job, seq in zip(jobs, seqs, strict=True):
            mine = _judge(job.after, known)
            waiting.append(mine)
            # Jobs of the same batch can be waited for by those that come later in it.
            known[job.id or f"j{seq}"] = (seq, CANCELLED if mine.in_vain else PENDING)
        return waiting

    def _copy_in(self, rows: Sequence[Any], numbers: _Numbers, now: int) -> None:
        for start in range(0, len(rows), _COPIED_AT_ONCE):
            part = rows[start : start + _COPIED_AT_ONCE]
            self._db.copy(sql("copy_jobs"), (_job_row(row, numbers, now) for row in part))
            self._db.copy(sql("copy_specs"), (_spec_row(row, numbers) for row in part))

    def _add_tags_and_waits(
        self, jobs: Sequence[NewJob], seqs: Sequence[int], waiting: Sequence[_Waiting]
    ) -> None:
        tags = [
            (tag, seq)
            for job, seq in zip(jobs, seqs, strict=True)
            for tag in dict.fromkeys(job.tags)
        ]
        if tags:
            self._db.execute(sql("add_tags"), tuple(map(list, zip(*tags, strict=True))))
        waits = [(need, seq) for seq, w in zip(seqs, waiting, strict=True) for need in w.needs]
        if waits:
            self._db.execute(sql("add_waits"), tuple(map(list, zip(*waits, strict=True))))


def _refuse_taken(chosen: Sequence[str], states: Mapping[str, str]) -> None:
    seen: set[str] = set()
    for job_id in chosen:
        if job_id in states:
            raise JobExists(job_id, states[job_id])
        if job_id in seen:
            raise JobExists(job_id, "given twice")
        seen.add(job_id)


def _judge(after: Sequence[str], known: Mapping[str, tuple[int, str]]) -> _Waiting:
    needs = []
    for job_id in dict.fromkeys(after):
        if job_id not in known:
            raise JobNotFound(job_id)
        seq, state = known[job_id]
        if state in (DEAD, CANCELLED):
            return _Waiting((), f"waited for {job_id}, which is {state}")
        if state != COMPLETED:
            needs.append(seq)
    return _Waiting(needs, None)


def _digest(text: str) -> str:
    return md5(text.encode("utf-8", "surrogatepass"), usedforsecurity=False).hexdigest()


def _job_row(row: tuple[NewJob, int, _Waiting], numbers: _Numbers, now: int) -> tuple[Any, ...]:
    job, seq, waiting = row
    policy = job.policy
    due_at = now if job.run_at is None else job.run_at
    in_vain = waiting.in_vain
    return (
        seq,
        job.id,
        numbers.queues[job.queue],
        job.priority,
        CANCELLED if in_vain else PENDING,
        None if waiting.needs or in_vain else due_at <= now,
        None if in_vain else due_at,
        policy.max_retries,
        policy.backoff_base,
        policy.backoff_max,
        policy.backoff_jitter,
        job.timeout_seconds,
        now,
        now,
        now if in_vain else None,
        CANCELLED if in_vain else None,
        in_vain,
    )


def _spec_row(row: tuple[NewJob, int, _Waiting], numbers: _Numbers) -> tuple[Any, ...]:
    job, seq, _waiting = row
    command, is_argv = stored_command(job.command)
    return (
        seq,
        command,
        is_argv,
        job.cwd,
        job.cwd_explicit,
        job.created_by,
        numbers.captures.get(id(job.captured)),
        job.run_at,
        store_map(job.env),
        store_list(job.tags),
        store_list(job.after),
    )
