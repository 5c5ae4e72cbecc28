"""The proof: reads only the witness file, the store and the processes that are alive, and
says which promise was broken where. Knows nothing of what was done to the system."""

from __future__ import annotations

import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable

from queuectl.model import CANCELLED, COMPLETED, ENDED, STATES, STDOUT, Attempt, Filter, Job
from queuectl.store.base import Store

from .arena import Arena, Spec

_NO_RUN = ("lost", "cancelled", "released")
"""Outcomes of claims that may never have come to a start."""


class Run:
    """What the witness saw of one token."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.stops: list[tuple[int, int]] = []
        self.jobs: set[str] = set()


def check(
    arena: Arena,
    accepted: Iterable[Spec],
    *,
    all_ended: bool = True,
    refused: Iterable[str] = (),
    frozen: Callable[[int, float], bool] = lambda _pid, _at: False,
) -> list[str]:
    """The violations. `accepted` were acknowledged, `refused` can't be there; `frozen` tells
    whether a process stood still, its whole host with it, at that time since boot."""
    with arena.store() as store:
        jobs = {job.id: job for job in store.list_jobs(Filter())}
        histories = {job_id: store.history(job_id) for job_id in jobs}
        wrong = _check_counts(store, jobs)
        for history in histories.values():
            wrong += _check_output(store, history)
    wrong += [f"{job_id} was accepted and is gone" for job_id in _ids(accepted) - jobs.keys()]
    wrong += [f"{job_id} was refused and is there" for job_id in jobs.keys() & set(refused)]
    wrong += arena.damage()
    for job_id, job in jobs.items():
        if all_ended and job.state not in ENDED:
            wrong.append(f"{job_id} is still {job.state}")
        wrong += _check_charges(job, histories[job_id])
    wrong += _check_witness(arena.lines(), jobs, histories, frozen)
    return wrong


def check_nothing_left(arena: Arena) -> list[str]:
    """After all workers were stopped: no process, no slot file, no bell."""
    wrong = [f"still alive: {process}" for process in arena.processes()]
    for top in arena.places():
        for folder, _folders, names in os.walk(top):
            # Those killed in the making are swept later, see test_trouble.
            found = [name for name in names if not name.endswith(".new")]
            wrong += [f"left behind: {folder}/{name}" for name in found]
    if workers := arena.registered():
        wrong.append(f"still registered: {workers}")
    return wrong


def check_now(
    arena: Arena, frozen: Callable[[int, float], bool] = lambda _pid, _at: False
) -> list[str]:
    """At any time: whatever the store says has ended, has no process (P4), and no lock is
    needed to see it. Looks at the store first: what had ended then can't be alive after."""
    wrong = []
    ended = arena.ended()
    mark = f"QUEUECTL_RUN={arena.uid}.".encode()
    for process in arena.processes():
        if process.kind != "job" or frozen(process.pid, _since_boot()):
            continue
        try:
            with open(f"/proc/{process.pid}/environ", "rb") as file:
                lines = file.read().split(b"\0")
            with open(f"/proc/{process.pid}/cmdline", "rb") as file:
                command = file.read().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        for line in lines:
            if line.startswith(mark):
                token = int(line[len(mark) :])
                if ended(token):
                    wrong.append(f"run {token} has ended, but {process.pid} lives: {command}")
    return wrong


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _ids(specs: Iterable[Spec]) -> set[str]:
    return {spec.id for spec in specs}


def _check_counts(store: Store, jobs: dict[str, Job]) -> list[str]:
    counts = store.stats().counts
    real = Counter(job.state for job in jobs.values())
    return [
        f"counts say {counts[state]} {state}, there are {real[state]}"
        for state in STATES
        if counts[state] != real[state]
    ]


def _check_output(store: Store, history: list[Attempt]) -> list[str]:
    """A run whose worker lived to tell how it ended has all that it printed."""
    wrong = []
    for attempt in history:
        if attempt.outcome != COMPLETED:
            continue
        chunks = [c for c in store.read_output(attempt.token) if c.stream == STDOUT]
        printed = b"".join(chunk.data for chunk in chunks)
        if not (printed.startswith(b"begins\n") and printed.endswith(b"ends 0\n")):
            wrong.append(f"token {attempt.token} completed and printed only {printed[-40:]!r}")
    return wrong


def _check_charges(job: Job, history: list[Attempt]) -> list[str]:
    wrong = []
    charged = sum(attempt.charged for attempt in history)
    limit = max(1, job.max_retries)
    if charged > limit:
        wrong.append(f"{job.id} was charged {charged} runs of {limit}")
    if charged != job.attempts:
        wrong.append(f"{job.id} has {job.attempts} attempts, its history {charged}")
    if [attempt.attempt for attempt in history] != list(range(1, len(history) + 1)):
        wrong.append(f"{job.id}: its runs are numbered {[a.attempt for a in history]}")
    if job.state in ENDED and any(attempt.outcome == "processing" for attempt in history):
        wrong.append(f"{job.id} is {job.state}, but a run of it goes on")
    completed = [attempt for attempt in history if attempt.outcome == COMPLETED]
    if len(completed) != (job.state == COMPLETED):
        wrong.append(f"{job.id} is {job.state} and completed {len(completed)} times")
    if job.state == "dead" and charged < limit:
        wrong.append(f"{job.id} is dead after {charged} charged runs of {limit}")
    return wrong


def _check_witness(
    lines: list[list[str]],
    jobs: dict[str, Job],
    histories: dict[str, list[Attempt]],
    frozen: Callable[[int, float], bool],
) -> list[str]:
    wrong: list[str] = []
    pids: dict[str, set[int]] = defaultdict(set)
    runs: dict[int, Run] = defaultdict(Run)
    started: Counter[str] = Counter()
    for number, line in enumerate(lines):
        word, job_id, token, pid, when, *rest = line
        run = runs[int(token)]
        run.jobs.add(job_id)
        if word == "start":
            pids[job_id].add(int(pid))
            run.starts.append(number)
            started[job_id] += 1
        elif word == "stop":
            run.stops.append((number, int(rest[0])))
        elif word == "overlap" and not any(frozen(p, float(when)) for p in pids[job_id]):
            wrong.append(f"{job_id}: run {token} overlaps an earlier one, at {when}")
    known: dict[int, tuple[str, Attempt]] = {}
    for job_id, history in histories.items():
        for attempt in history:
            if attempt.token in known:
                wrong.append(f"token {attempt.token} stands twice in the history")
            known[attempt.token] = (job_id, attempt)
    for token, run in runs.items():
        if len(run.starts) != 1:
            wrong.append(f"token {token} was started {len(run.starts)} times")
        if len(run.stops) > 1:
            wrong.append(f"token {token} was stopped {len(run.stops)} times")
        if token not in known:
            wrong.append(f"token {token} of {run.jobs} ran and is in no history")
        elif run.jobs != {known[token][0]}:
            wrong.append(f"token {token} ran {run.jobs}, the history says {known[token][0]}")
    for token, (job_id, attempt) in known.items():
        wrong += _check_run(job_id, attempt, runs.get(token, Run()))
    for job_id, job in jobs.items():
        if job.max_retries <= 1 and _charged_starts(histories[job_id], runs) > 1:
            wrong.append(f"{job_id} has max_retries 1 and ran more than once")
        wrong += _check_after(job, jobs, histories, runs)
    return wrong


def _charged_starts(history: list[Attempt], runs: dict[int, Run]) -> int:
    return sum(len(runs[a.token].starts) for a in history if a.token in runs)


def _check_run(job_id: str, attempt: Attempt, run: Run) -> list[str]:
    name = f"{job_id} run {attempt.attempt} (token {attempt.token}, {attempt.outcome})"
    if attempt.outcome in ("completed", "failed", "timeout") and not run.starts:
        return [f"{name} never started"]
    codes = [code for _at, code in run.stops]
    if attempt.outcome == COMPLETED and codes != [0]:
        return [f"{name} stopped with {codes}"]
    if attempt.outcome == "failed" and attempt.signal is None and codes != [attempt.exit_code]:
        return [f"{name} stopped with {codes}, history {attempt.exit_code}"]
    if attempt.outcome == "failed" and attempt.signal is not None and codes:
        return [f"{name} was ended by {attempt.signal} after it stopped with {codes}"]
    return []


def _check_after(
    job: Job, jobs: dict[str, Job], histories: dict[str, list[Attempt]], runs: dict[int, Run]
) -> list[str]:
    wrong = []
    for needed in job.after:
        if needed not in jobs:
            continue
        starts = [at for a in histories[job.id] for at in _starts(runs, a.token)]
        if jobs[needed].state == COMPLETED:
            token = histories[needed][-1].token
            ends = [at for at, _code in runs[token].stops] if token in runs else []
            if starts and ends and min(starts) < max(ends):
                wrong.append(f"{job.id} began before {needed} had ended")
        elif jobs[needed].state in ENDED and (starts or job.state != CANCELLED):
            wrong.append(f"{job.id} is {job.state}, {needed} is {jobs[needed].state}")
    return wrong


def _starts(runs: dict[int, Run], token: int) -> Collection[int]:
    return runs[token].starts if token in runs else ()
