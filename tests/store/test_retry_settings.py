"""Reviving jobs with other settings than they were enqueued with."""

from __future__ import annotations

import pytest

from queuectl.errors import JobNotFound
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
    Change,
    Settings,
)
from queuectl.store.base import Store

from .helpers import HOUR, T0, LivingWorker, add, ids, states

ALL = Settings(timeout_seconds=7.5, max_retries=9, priority=8)


def settings_of(store: Store, job_id: str) -> Settings:
    job = store.get(job_id)
    return Settings(job.timeout_seconds, job.max_retries, job.priority)


@pytest.mark.parametrize("state", [FAILED, DEAD, CANCELLED, COMPLETED])
def test_a_revived_job_has_the_settings_that_were_given(
    store: Store, worker: LivingWorker, state: str
) -> None:
    add(store, "a", max_retries=1 if state == DEAD else 3)
    worker.run_one(FAILED if state == DEAD else state)
    again = state == COMPLETED
    changes = store.retry(["a"], T0 + 1, again=again, settings=ALL)
    assert changes == [Change("a", state, "done")]
    assert settings_of(store, "a") == ALL
    claim = worker.claim_one(now=T0 + 1)
    assert (claim.timeout_seconds, claim.policy.max_retries, claim.attempts) == (7.5, 9, 0)


@pytest.mark.parametrize(
    ("given", "after"),
    [
        (Settings(timeout_seconds=0), Settings(0, 3, 5)),
        (Settings(max_retries=0), Settings(300, 0, 5)),
        (Settings(priority=1), Settings(300, 3, 1)),
        (Settings(), Settings(300, 3, 5)),
        (None, Settings(300, 3, 5)),
    ],
)
def test_what_is_not_given_stays(
    store: Store, worker: LivingWorker, given: Settings | None, after: Settings
) -> None:
    add(store, "a")
    worker.run_one(FAILED)
    before = store.get("a").replace(state=PENDING)
    store.retry(["a"], T0, settings=given)
    job = store.get("a")
    assert settings_of(store, "a") == after
    assert (job.backoff_base, job.queue, job.cwd) == (
        before.backoff_base,
        before.queue,
        before.cwd,
    )


def test_a_revived_job_of_higher_priority_comes_first(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b", "c", max_retries=1)
    worker.run_one(FAILED)
    worker.run_one(FAILED)
    store.retry(["a"], T0, settings=Settings(priority=4))
    store.retry(["b"], T0, settings=Settings(priority=6))
    assert [worker.run_one().id for _ in range(3)] == ["b", "c", "a"]


def test_a_revived_job_dies_after_as_many_runs_as_it_was_given(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED)
    store.retry(["a"], T0, settings=Settings(max_retries=2))
    worker.run_one(FAILED)
    assert states(store) == {"a": FAILED}
    worker.run_one(FAILED, now=T0 + HOUR)
    assert states(store) == {"a": DEAD}


def test_jobs_that_are_not_revived_keep_their_settings(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "done", "runs")
    worker.run_one()
    claim = worker.claim_one()
    add(store, "waits", "dead", max_retries=1)
    add(store, "vain", after=("dead",))
    store.cancel(["dead"], T0)
    before = {id: store.get(id) for id in ("done", "runs", "waits", "vain")}
    assert store.retry(list(before), T0 + 1, settings=ALL) == [
        Change("done", COMPLETED, "refused"),
        Change("runs", PROCESSING, "refused"),
        Change("waits", PENDING, "refused"),
        Change("vain", CANCELLED, "refused"),
    ]
    assert {id: store.get(id) for id in before} == before
    worker.finish(claim)


def test_a_pending_job_that_waits_is_not_given_settings(store: Store) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    assert store.retry(["b"], T0, settings=ALL) == [Change("b", PENDING, "refused")]
    assert store.retry(["b"], T0) == [Change("b", PENDING, "already")]
    assert settings_of(store, "b") == Settings(300, 3, 5)


def test_jobs_that_wait_for_each_other_are_revived_with_the_same_settings(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    add(store, "b", after=("a",))
    worker.run_one(FAILED)
    store.retry(["b", "a"], T0, settings=ALL)
    assert [settings_of(store, id) for id in ("a", "b")] == [ALL, ALL]
    assert ids(worker.claim(9)) == ["a"]


def test_an_unknown_id_refuses_all_settings(store: Store, worker: LivingWorker) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED)
    with pytest.raises(JobNotFound, match="ghost"):
        store.retry(["a", "ghost"], T0, settings=ALL)
    assert settings_of(store, "a") == Settings(300, 1, 5)
