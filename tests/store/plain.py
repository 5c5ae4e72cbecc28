"""The contract as a plain model: lists and dictionaries, no speed, no disk.

It decides what a store must answer. Numbers that the store is free to choose (seq, token)
are taken from its answers and checked for what they promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    ENDED,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    RELEASED,
    Change,
    Claim,
    Finish,
    NewJob,
    Outcome,
    Settings,
)
from queuectl.retry import RetryPolicy
from queuectl.transitions import settle


@dataclass
class PlainRun:
    token: int
    number: int
    worker: str
    outcome: str = PROCESSING
    charged: bool = False
    ended_at: int | None = None


@dataclass(eq=False)
class PlainJob:
    id: str
    seq: int
    queue: str
    priority: int
    policy: RetryPolicy
    timeout: float
    after: tuple[str, ...]
    due_at: int
    waits: set[PlainJob] = field(default_factory=set)
    state: str = PENDING
    attempts: int = 0
    runs: list[PlainRun] = field(default_factory=list)
    outcome: str | None = None
    cancel: bool = False
    ended_at: int | None = None

    @property
    def run(self) -> PlainRun:
        """The present run of a job that is processing."""
        assert self.state == PROCESSING
        return self.runs[-1]

    def give(self, settings: Settings) -> None:
        if settings.timeout_seconds is not None:
            self.timeout = settings.timeout_seconds
        if settings.max_retries is not None:
            self.policy = self.policy.replace(max_retries=settings.max_retries)
        if settings.priority is not None:
            self.priority = settings.priority

    def is_due(self, now: int) -> bool:
        return self.state in (PENDING, FAILED) and not self.waits and self.due_at <= now

    def is_scheduled(self, now: int) -> bool:
        """Only time holds it back."""
        return self.state in (PENDING, FAILED) and not self.waits and self.due_at > now


@dataclass
class PlainQueue:
    paused: bool = False
    limit: int | None = None


@dataclass
class PlainWorker:
    id: str
    queues: tuple[str, ...]
    stop: float | None = None
    waits: bool = False
    handed: int | None = None
    """The token of what an enqueue has claimed for it, until it is told."""


class PlainStore:
    def __init__(self) -> None:
        self.jobs: dict[str, PlainJob] = {}
        self.queues: dict[str, PlainQueue] = {}
        self.workers: dict[str, PlainWorker] = {}
        self.seqs: set[int] = set()
        self.tokens: set[int] = set()
        self.events: Counter[str] = Counter()

    # -- jobs in -------------------------------------------------------------------------

    def refuses(self, batch: Sequence[NewJob]) -> set[str]:
        """What is wrong with this batch: names of the errors that a store may raise."""
        wrong = set()
        chosen = [job.id for job in batch if job.id is not None]
        if len(set(chosen)) < len(chosen) or any(id in self.jobs for id in chosen):
            wrong.add("JobExists")
        known = set(self.jobs)
        for job in batch:
            if not set(job.after) <= known:
                wrong.add("JobNotFound")
            known.add(job.id or "")
        return wrong

    def enqueue(
        self, batch: Sequence[NewJob], ids: Sequence[str], seqs: Sequence[int], now: int
    ) -> None:
        assert list(seqs) == sorted(set(seqs))
        assert not self.seqs or min(seqs) > max(self.seqs)
        assert not set(ids) & set(self.jobs)
        self.seqs |= set(seqs)
        self.events["enqueued"] += len(batch)
        for new, id, seq in zip(batch, ids, seqs, strict=True):
            assert id == (new.id or f"j{seq}")
            due_at = now if new.run_at is None else new.run_at
            job = PlainJob(
                id,
                seq,
                new.queue,
                new.priority,
                new.policy,
                new.timeout_seconds,
                new.after,
                due_at,
            )
            self.jobs[id] = job
            self.queues.setdefault(new.queue, PlainQueue())
            needs = [self.jobs[needed] for needed in new.after]
            if any(needed.state in (DEAD, CANCELLED) for needed in needs):
                self._cancel(job, now)
            else:
                job.waits = {needed for needed in needs if needed.state not in ENDED}

    # -- workers -------------------------------------------------------------------------

    def held(self, worker: str) -> dict[int, int]:
        return {
            job.run.token: job.seq
            for job in self.jobs.values()
            if job.state == PROCESSING and job.run.worker == worker
        }

    def job_of(self, token: int) -> PlainJob | None:
        """The job that is processing under this token."""
        for job in self.jobs.values():
            if job.state == PROCESSING and job.run.token == token:
                return job
        return None

    def finish(self, finish: Finish) -> bool:
        """Whether it is acknowledged: it counts now, or had counted before."""
        outcome, verdict = finish.outcome, finish.verdict
        job = self.job_of(finish.token)
        if job is None:
            return any(
                run.token == finish.token
                and (run.outcome, run.ended_at) == (outcome.kind, outcome.finished_at)
                for job in self.jobs.values()
                for run in job.runs
            )
        self._end_run(job, outcome.kind, verdict.charged, outcome.finished_at)
        job.attempts = verdict.attempts
        job.state, job.due_at = verdict.state, verdict.due_at or 0
        if job.cancel and job.state in (PENDING, FAILED):
            job.state = CANCELLED
        job.cancel = False
        self.events["dlq"] += job.state == DEAD
        for other in self._waiting_for(job):
            if job.state == COMPLETED:
                other.waits.discard(job)
            elif job.state in (DEAD, CANCELLED):
                self._cancel(other, outcome.finished_at)
        return True

    def _end_run(self, job: PlainJob, kind: str, charged: bool, now: int) -> None:
        job.run.outcome, job.run.charged, job.run.ended_at = kind, charged, now
        job.outcome, job.ended_at = kind, now
        self.events["completed"] += kind == COMPLETED
        self.events["failed"] += kind in (FAILED, LOST, "timeout")

    def next_claims(
        self, worker: str, free: int, ahead: int, plenty: int, now: int
    ) -> list[PlainJob]:
        """The jobs that a claim must give, in order (P5)."""
        open_queues = self.open_queues(worker)
        running = Counter(job.queue for job in self.jobs.values() if job.state == PROCESSING)
        in_line = []
        for job in sorted(self.jobs.values(), key=lambda job: (-job.priority, job.seq)):
            limit = self.queues[job.queue].limit
            full = limit is not None and running[job.queue] >= limit
            if job.is_due(now) and job.queue in open_queues and not full:
                running[job.queue] += 1
                in_line.append(job)
        if (parts := self._parts(worker)) is not None:
            ahead += max(0, min(plenty, (len(in_line) - free - ahead) // parts))
        chosen, rest = in_line[:free], in_line[free : free + ahead]
        for job in rest:
            if job.policy.limit <= 1:
                break
            chosen.append(job)
        return chosen

    def _parts(self, worker: str) -> int | None:
        """Of how many, with one slot each, this is one; None where others serve a part of its
        queues, or others too."""
        mine = set(self.workers[worker].queues)
        others = [set(other.queues) for other in self.workers.values()]
        rivals = [queues for queues in others if not queues or not mine or queues & mine]
        return len(rivals) if all(queues == mine for queues in rivals) else None

    def hand_over(self, job: PlainJob, token: int, worker: str, now: int) -> None:
        """An enqueue has claimed this job for the worker."""
        plain = self.workers[worker]
        assert plain.waits
        assert plain.stop is None
        assert self.next_claims(worker, 1, 0, 0, now) == [job]
        assert self.queues[job.queue].limit is None
        plain.waits, plain.handed = False, token
        self._begin(job, token, worker)

    def claim(self, job: PlainJob, claim: Claim, worker: str) -> None:
        self.check(job, claim)
        assert claim.attempt == len(job.runs) + 1
        self._begin(job, claim.token, worker)

    def check(self, job: PlainJob, claim: Claim) -> None:
        """Whether the claim tells what the job is."""
        assert (claim.id, claim.seq, claim.queue) == (job.id, job.seq, job.queue)
        assert (claim.attempts, claim.policy) == (job.attempts, job.policy)
        assert claim.timeout_seconds == job.timeout

    def _begin(self, job: PlainJob, token: int, worker: str) -> None:
        assert token not in self.tokens
        self.tokens.add(token)
        job.runs.append(PlainRun(token, len(job.runs) + 1, worker))
        job.state = PROCESSING
        self.events["started"] += 1

    def open_queues(self, worker: str) -> set[str]:
        served = self.workers[worker].queues
        return {
            name
            for name, queue in self.queues.items()
            if not queue.paused and (not served or name in served)
        }

    def cancels(self, worker: str) -> set[int]:
        return {token for token in self.held(worker) if self._asked_to_cancel(token)}

    def _asked_to_cancel(self, token: int) -> bool:
        job = self.job_of(token)
        return job is not None and job.cancel

    def drained(self, worker: str, now: int) -> bool:
        open_queues = self.open_queues(worker)
        return not any(
            job.queue in open_queues and (job.is_due(now) or job.state in (FAILED, PROCESSING))
            for job in self.jobs.values()
        )

    def release(self, worker: str, tokens: Iterable[int], now: int) -> None:
        for token in set(tokens) & set(self.held(worker)):
            job = self.job_of(token)
            assert job is not None
            job.runs.pop()
            self.events["started"] -= 1
            charged = job.attempts > 0 and job.outcome != RELEASED
            job.state, job.due_at = (FAILED if charged else PENDING), now
            if job.cancel:
                self._cancel(job, now)

    def rescue(self, worker: str, unstarted: Iterable[int] | None, now: int) -> list[str]:
        """The ids of the jobs that were settled."""
        self.release(worker, unstarted or (), now)
        settled = []
        for token in self.held(worker):
            job = self.job_of(token)
            assert job is not None
            kind = CANCELLED if job.cancel else LOST
            outcome = Outcome(kind, now)
            verdict = settle(job.attempts, job.policy, outcome)
            assert self.finish(Finish(token, job.seq, len(job.runs), outcome, verdict))
            settled.append(job.id)
        self.workers.pop(worker, None)
        return settled

    # -- verbs ---------------------------------------------------------------------------

    def cancel(self, ids: Sequence[str], now: int, only: Sequence[str]) -> list[Change]:
        return [self._cancel_one(self.jobs[id], now, only) for id in ids]

    def _cancel_one(self, job: PlainJob, now: int, only: Sequence[str]) -> Change:
        before = job.state
        if before == CANCELLED:
            return Change(job.id, before, "already")
        if only and before not in only:
            return Change(job.id, before, "refused")
        if before == PROCESSING:
            job.cancel = True
            return Change(job.id, before, "asked")
        if before in ENDED:
            return Change(job.id, before, "refused")
        self._cancel(job, now)
        return Change(job.id, before, "done")

    def _cancel(self, job: PlainJob, now: int) -> None:
        job.state, job.ended_at, job.cancel = CANCELLED, now, False
        job.outcome = CANCELLED
        job.waits = set()
        for other in self._waiting_for(job):
            self._cancel(other, now)

    def _waiting_for(self, job: PlainJob) -> list[PlainJob]:
        return [other for other in self.jobs.values() if job in other.waits]

    def retry(
        self, ids: Sequence[str], now: int, again: bool, settings: Settings | None
    ) -> list[Change]:
        in_order = sorted(ids, key=lambda id: self.jobs[id].seq)
        changes = {id: self._retry_one(self.jobs[id], now, again, settings) for id in in_order}
        return [changes[id] for id in ids]

    def _retry_one(
        self, job: PlainJob, now: int, again: bool, settings: Settings | None
    ) -> Change:
        before = job.state
        if before == PENDING:
            return Change(job.id, before, "already" if settings is None else "refused")
        if before == PROCESSING or (before == COMPLETED and not again):
            return Change(job.id, before, "refused")
        needs = [self.jobs[id] for id in job.after if id in self.jobs]
        if any(needed.state in (DEAD, CANCELLED) for needed in needs):
            return Change(job.id, before, "refused")
        job.waits = {needed for needed in needs if needed.state != COMPLETED}
        job.state, job.attempts, job.due_at, job.outcome = PENDING, 0, now, None
        if settings is not None:
            job.give(settings)
        return Change(job.id, before, "done")

    def delete(self, ids: Sequence[str], now: int) -> list[Change]:
        changes = []
        for job in [self.jobs[id] for id in ids]:
            refused = job.state == PROCESSING
            changes.append(Change(job.id, job.state, "refused" if refused else "done"))
            if not refused:
                for other in self._waiting_for(job):
                    self._cancel(other, now)
                del self.jobs[job.id]
        return changes

    def ended(self, before: int) -> set[str]:
        """What may be pruned."""
        return {
            job.id
            for job in self.jobs.values()
            if job.state in ENDED and job.ended_at is not None and job.ended_at < before
        }
