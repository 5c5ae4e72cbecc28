"""What holds of a real store after every step that it takes beside a plain model.

`MODEL_EXAMPLES=5000 pytest tests/store/test_model.py` looks longer.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from queuectl.model import COMPLETED, FAILED, PENDING, PROCESSING, STATES, Filter, Job

from .backends import SqliteBackend
from .machine import Steps
from .plain import PlainQueue

EXAMPLES = {"sqlite": "200", "postgres": "100"}


class StoreMachine(Steps):
    """What holds after every step."""

    @invariant()
    def every_job_is_in_the_one_state_that_the_model_says(self) -> None:
        jobs = self.stores[0].list_jobs(Filter())
        assert {job.id for job in jobs} == set(self.plain.jobs)
        for job in jobs:
            self._compare(job)

    def _compare(self, job: Job) -> None:
        plain = self.plain.jobs[job.id]
        assert (job.seq, job.state, job.attempts, job.runs) == (
            plain.seq,
            plain.state,
            plain.attempts,
            len(plain.runs),
        )
        assert (job.timeout_seconds, job.max_retries, job.priority) == (
            plain.timeout,
            plain.policy.max_retries,
            plain.priority,
        )
        assert job.attempts <= max(1, job.max_retries)
        if job.state in (PENDING, FAILED):
            assert job.due_at is not None
            assert max(job.due_at, self.now) == max(plain.due_at, self.now)
        else:
            assert job.due_at is None
        if job.state == PROCESSING:
            assert job.worker_id == plain.run.worker
        else:
            assert job.outcome == plain.outcome
            assert (job.error is None) == (job.outcome in (None, COMPLETED))

    @invariant()
    def no_job_has_more_than_one_valid_claim(self) -> None:
        # As people see it: a worker that asks what it holds changes what may come to it.
        held = {worker.id: worker.jobs for worker in self.stores[1].workers()}
        assert held.keys() == self.plain.workers.keys()
        for worker, mine in held.items():
            seqs = self.plain.held(worker).values()
            assert sorted(self.stores[1].get(id).seq for id in mine) == sorted(seqs)
        every = [id for mine in held.values() for id in mine]
        assert len(set(every)) == len(every)

    @invariant()
    def counts_are_what_is_there(self) -> None:
        stats = self.stores[1].stats()
        jobs = self.plain.jobs.values()
        for state in STATES:
            assert stats.counts[state] == sum(job.state == state for job in jobs)
        for queue in stats.queues:
            plain = self.plain.queues.get(queue.name, PlainQueue())
            assert (queue.paused, queue.limit) == (plain.paused, plain.limit)
            for state in STATES:
                there = [job for job in jobs if job.queue == queue.name and job.state == state]
                assert queue.counts[state] == len(there)

    @invariant()
    def totals_are_those_of_the_stores_life(self) -> None:
        events = self.stores[0].metrics(0).events
        for event in ("enqueued", "started", "completed", "failed", "dlq"):
            assert events[event] == self.plain.events[event], event

    @invariant()
    def history_shows_every_run(self) -> None:
        for id, job in self.plain.jobs.items():
            if job.runs:
                shown = [
                    (run.token, run.attempt, run.worker_id, run.outcome, run.charged)
                    for run in self.stores[0].history(id)
                ]
                assert shown == [
                    (run.token, run.number, run.worker, run.outcome, run.charged)
                    for run in job.runs
                ]


def test_the_store_does_what_the_model_says(backend: SqliteBackend) -> None:
    # The model is the same for both; a statement on PostgreSQL takes ten times as long.
    examples = int(os.environ.get("MODEL_EXAMPLES", EXAMPLES[backend.name]))
    run_state_machine_as_test(
        lambda: StoreMachine(backend),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
        ),
    )
