"""What the contract suite says everything with: jobs, workers and an audit of the store."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from queuectl.model import (
    COMPLETED,
    PROCESSING,
    STATES,
    Chunk,
    Claim,
    Filter,
    Finish,
    Job,
    NewJob,
    Outcome,
    OutputPart,
    Turn,
    Want,
    Worker,
)
from queuectl.retry import RetryPolicy
from queuectl.store.base import Store
from queuectl.transitions import settle

T0 = 1_800_000_000_000
"""When tests begin, in milliseconds. Stores never look at a clock."""

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE


def a_job(
    id: str | None = None, *, max_retries: int = 3, base: float = 2, **fields: Any
) -> NewJob:
    """A job to enqueue; what is not said is plain."""
    given: dict[str, Any] = {
        "id": id,
        "command": "true",
        "policy": RetryPolicy(max_retries, base, 3600, 0),
        "timeout_seconds": 300,
        "cwd": "/tmp",
        "created_by": "ann@here",
    }
    return NewJob(**given | fields)


def add(store: Store, *ids: str, now: int = T0, **fields: Any) -> list[str]:
    """Enqueue jobs of these ids, alike in everything else."""
    return store.enqueue([a_job(i, **fields) for i in ids], now)


def the_end(claim: Claim, kind: str = COMPLETED, now: int = T0, **facts: Any) -> Finish:
    """The finish of a run, as a worker would send it."""
    output: OutputPart | None = facts.pop("output", None)
    if kind == COMPLETED:
        facts.setdefault("exit_code", 0)
    else:
        facts.setdefault("error", f"it was {kind}")
    facts.setdefault("started_at", now)
    facts.setdefault("duration", 0.5)
    outcome = Outcome(kind, now, **facts)
    verdict = settle(claim.attempts, claim.policy, outcome)
    return Finish(claim.token, claim.seq, claim.attempt, outcome, verdict, output)


class LivingWorker:
    """A registered worker whose slot file this process holds locked, as a real one does."""

    def __init__(self, store: Store, id: str | None = None, **fields: Any) -> None:
        self.store = store
        self.id = id or "w" + secrets.token_hex(6)
        os.makedirs(store.slot_dir, mode=0o700, exist_ok=True)
        self.slot_file = os.path.join(store.slot_dir, self.id)
        self._lock: int | None = _locked_file(self.slot_file)
        try:
            store.register(a_worker(self.id, **fields))
        except BaseException:
            self.leave()
            raise

    def turn(
        self,
        *finishes: Finish,
        free: int = 0,
        ahead: int = 0,
        plenty: int = 0,
        waits: bool = False,
        output: Sequence[OutputPart] = (),
        now: int = T0,
    ) -> Turn:
        want = Want(free, ahead, plenty, waits)
        return self.store.turn(self.id, finishes, output, want, now)

    def claim(self, free: int = 1, ahead: int = 0, now: int = T0) -> list[Claim]:
        """Up to `free` jobs and `ahead` more."""
        return list(self.turn(free=free, ahead=ahead, now=now).claims)

    def claim_one(self, now: int = T0) -> Claim:
        """The next job, which must be there."""
        (claim,) = self.claim(1, now=now)
        return claim

    def finish(
        self, claim: Claim, kind: str = COMPLETED, now: int = T0, **facts: Any
    ) -> Finish:
        """Record the end of a run, which must be accepted."""
        finish = the_end(claim, kind, now, **facts)
        assert list(self.turn(finish, now=now).refused) == []
        return finish

    def run_one(self, kind: str = COMPLETED, now: int = T0, **facts: Any) -> Claim:
        """Claim the next job and finish it."""
        claim = self.claim_one(now)
        self.finish(claim, kind, now, **facts)
        return claim

    def held(self) -> dict[int, int]:
        return self.store.held(self.id)

    def die(self) -> None:
        """Let go of the lock, as the kernel does for a process that ends; the row stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def leave(self) -> None:
        """Die, and take the slot file away."""
        self.die()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.slot_file)


def a_worker(id: str, **fields: Any) -> Worker:
    """The record of a worker that is this very process."""
    given: dict[str, Any] = {
        "id": id,
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "boot_id": _first_line("/proc/sys/kernel/random/boot_id"),
        "pid_namespace": os.readlink("/proc/self/ns/pid"),
        "start_ticks": int(_first_line("/proc/self/stat").rpartition(")")[2].split()[19]),
        "supervisor_pid": os.getppid(),
        "slots": 1,
        "queues": (),
        "started_at": T0,
        "heartbeat_at": T0,
        "version": "0.0",
    }
    return Worker(**given | fields)


def _locked_file(path: str) -> int:
    """Created under another name and renamed once it is locked: never seen unlocked."""
    descriptor = os.open(path + ".new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.rename(path + ".new", path)
    return descriptor


def _first_line(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()


@contextlib.contextmanager
def living_worker(store: Store, id: str | None = None, **fields: Any) -> Iterator[LivingWorker]:
    """A worker that lives until the end of the block or its `die()`."""
    worker = LivingWorker(store, id, **fields)
    try:
        yield worker
    finally:
        worker.leave()


def ids(claims: Iterable[Claim | Job]) -> list[str]:
    return [claim.id for claim in claims]


def states(store: Store) -> dict[str, str]:
    """The state of every job, by id."""
    return {job.id: job.state for job in store.list_jobs(Filter())}


def counted(store: Store) -> dict[str, int]:
    """The counts that are not zero."""
    return {state: n for state, n in store.stats().counts.items() if n}


def everything(store: Store) -> tuple[Any, ...]:
    """All that a finish could change."""
    jobs = store.list_jobs(Filter())
    history = [store.history(job.id) for job in jobs]
    return (
        jobs,
        history,
        [store.read_output(run.token) for runs in history for run in runs],
        store.stats(),
        store.metrics(100),
    )


def some_output(token: int, data: bytes = b"late") -> OutputPart:
    return OutputPart(token, [Chunk(1, 1, 0, data)])


def audit(store: Store) -> None:
    """What holds at every moment of every store (P1, P2, P3, P6)."""
    jobs = store.list_jobs(Filter())
    assert len({job.id for job in jobs}) == len(jobs)
    assert [job.seq for job in jobs] == sorted({job.seq for job in jobs}, reverse=True)
    _audit_counts(store, jobs)
    _audit_runs(store, jobs)


def _audit_counts(store: Store, jobs: Sequence[Job]) -> None:
    stats = store.stats()
    real = Counter(job.state for job in jobs)
    assert dict(stats.counts) == {state: real[state] for state in STATES}
    for queue in stats.queues:
        there = Counter(job.state for job in jobs if job.queue == queue.name)
        assert {state: n for state, n in queue.counts.items() if n} == dict(there)
    assert {job.queue for job in jobs} <= {queue.name for queue in stats.queues}
    for state in STATES:
        assert store.list_jobs(Filter(states=(state,))) == [j for j in jobs if j.state == state]


def _audit_runs(store: Store, jobs: Sequence[Job]) -> None:
    tokens: list[int] = []
    running: dict[int, int] = {}
    for job in jobs:
        history = store.history(job.id)
        tokens += [run.token for run in history]
        numbers = [run.attempt for run in history]
        assert numbers == list(range(1, len(history) + 1)) == list(range(1, job.runs + 1))
        open_runs = [run for run in history if run.outcome == PROCESSING]
        assert len(open_runs) == (job.state == PROCESSING)
        running |= {run.token: job.seq for run in open_runs}
        assert job.attempts <= max(1, job.max_retries)
        assert job.attempts <= sum(run.charged for run in history)
    assert len(tokens) == len(set(tokens))
    held: dict[int, int] = {}
    for worker in store.workers():
        held |= store.held(worker.id)
    assert held == running
