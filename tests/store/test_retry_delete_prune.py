"""Reviving, deleting and pruning jobs."""

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
    Chunk,
    OutputPart,
)
from queuectl.store.base import Store

from .helpers import HOUR, SECOND, T0, LivingWorker, a_job, add, counted, ids, states

# -- retry ---------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [FAILED, DEAD, CANCELLED])
def test_a_job_that_did_not_complete_is_revived(
    store: Store, worker: LivingWorker, state: str
) -> None:
    add(store, "a", max_retries=1 if state == DEAD else 3)
    worker.run_one(CANCELLED if state == CANCELLED else FAILED)
    assert store.retry(["a"], T0 + 1) == [Change("a", state, "done")]
    job = store.get("a")
    assert (job.state, job.attempts, job.due_at, job.updated_at) == (PENDING, 0, T0 + 1, T0 + 1)
    assert len(store.history("a")) == 1
    claim = worker.claim_one(now=T0 + 1)
    assert (claim.attempt, claim.attempts) == (2, 0)


def test_a_job_cancelled_before_it_ran_can_be_revived(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", run_at=T0 + HOUR)
    store.cancel(["a"], T0)
    assert store.retry(["a"], T0) == [Change("a", CANCELLED, "done")]
    assert store.get("a").run_at == T0 + HOUR
    assert ids(worker.claim(now=T0)) == ["a"]


def test_a_revived_job_has_all_its_attempts_again(store: Store, worker: LivingWorker) -> None:
    add(store, "a", max_retries=2, base=0)
    for _ in range(2):
        worker.run_one(FAILED)
        worker.run_one(FAILED)
        assert (store.get("a").state, store.get("a").attempts) == (DEAD, 2)
        store.retry(["a"], T0)
    assert [run.attempt for run in store.history("a")] == [1, 2, 3, 4]
    assert [run.charged for run in store.history("a")] == [True] * 4


def test_a_revived_job_keeps_its_place(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", max_retries=1)
    worker.run_one(FAILED)
    store.retry(["a"], T0 + HOUR)
    assert ids(worker.claim(2, now=T0 + HOUR)) == ["a", "b"]


def test_a_completed_job_is_run_again_only_when_asked_for(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    worker.run_one()
    before = store.get("a")
    assert store.retry(["a"], T0 + 1) == [Change("a", COMPLETED, "refused")]
    assert store.get("a") == before
    assert store.retry(["a"], T0 + 1, again=True) == [Change("a", COMPLETED, "done")]
    assert worker.claim_one(now=T0 + 1).attempt == 2


def test_a_pending_job_is_already_as_wished(store: Store, worker: LivingWorker) -> None:
    add(store, "a", run_at=T0 + HOUR)
    before = store.get("a")
    assert store.retry(["a"], T0 + 1) == [Change("a", PENDING, "already")]
    assert store.get("a") == before
    assert worker.claim(now=T0 + 1) == []


@pytest.mark.parametrize("again", [False, True])
def test_a_running_job_is_not_run_again(
    store: Store, worker: LivingWorker, again: bool
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    assert store.retry(["a"], T0, again=again) == [Change("a", PROCESSING, "refused")]
    assert worker.held() == {claim.token: claim.seq}
    worker.finish(claim)


def test_an_unknown_id_refuses_all_revivals(store: Store, worker: LivingWorker) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED)
    with pytest.raises(JobNotFound, match="ghost"):
        store.retry(["a", "ghost"], T0)
    assert states(store) == {"a": DEAD}


def test_a_revived_job_may_be_waited_for(store: Store, worker: LivingWorker) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED)
    store.retry(["a"], T0)
    add(store, "b", after=("a",))
    assert states(store)["b"] == PENDING
    worker.run_one()
    assert ids(worker.claim()) == ["b"]


def test_retries_of_several_get_an_answer_each(store: Store, worker: LivingWorker) -> None:
    add(store, "dead", max_retries=1)
    add(store, "done")
    worker.run_one(FAILED)
    worker.run_one()
    add(store, "new")
    assert store.retry(["new", "done", "dead"], T0) == [
        Change("new", PENDING, "already"),
        Change("done", COMPLETED, "refused"),
        Change("dead", DEAD, "done"),
    ]


def test_an_id_given_twice_is_revived_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED)
    assert store.retry(["a", "a"], T0)[0] == Change("a", DEAD, "done")
    assert counted(store) == {PENDING: 1}


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_jobs_that_wait_for_each_other_are_revived_together_in_any_order(
    store: Store, worker: LivingWorker, order: str
) -> None:
    add(store, "a", max_retries=1)
    add(store, "b", after=("a",))
    add(store, "c", after=("b",))
    worker.run_one(FAILED)
    changes = store.retry(list(order), T0)
    assert [(change.id, change.result) for change in changes] == [(id, "done") for id in order]
    ran = []
    for _ in range(3):
        (claim,) = worker.claim(9)
        ran.append(claim.id)
        worker.finish(claim)
    assert ran == ["a", "b", "c"]


def test_a_job_that_waits_for_one_that_cannot_succeed_is_not_revived_alone(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    add(store, "b", after=("a",))
    worker.run_one(FAILED)
    assert store.retry(["b"], T0) == [Change("b", CANCELLED, "refused")]
    assert states(store) == {"a": DEAD, "b": CANCELLED}


def test_of_many_that_are_revived_together_each_waits_for_what_has_not_completed(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "dead", "done", max_retries=1)
    worker.run_one(FAILED)
    worker.run_one()
    add(store, "open")
    for id, after in (
        ("free", ("done",)),
        ("first", ("done", "open", "open")),
        ("second", ("first", "done")),
        ("vain", ("dead", "open")),
        ("too", ("vain", "first")),
    ):
        add(store, id, after=after)
    store.cancel(["free", "first", "second"], T0)
    results = store.retry(["too", "second", "open", "first", "vain", "free"], T0)
    assert [(change.id, change.result) for change in results] == [
        ("too", "refused"),
        ("second", "done"),
        ("open", "already"),
        ("first", "done"),
        ("vain", "refused"),
        ("free", "done"),
    ]
    assert store.needs(["free", "first", "second"]) == {"first": ["open"], "second": ["first"]}
    assert ids(worker.claim(9)) == ["open", "free"]


def test_a_job_is_revived_though_those_it_waited_for_are_deleted(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    store.delete(["a"], T0)
    assert store.retry(["b"], T0) == [Change("b", CANCELLED, "done")]
    assert ids(worker.claim()) == ["b"]


# -- delete --------------------------------------------------------------------------------


def test_a_deleted_job_is_gone_with_its_history_and_its_output(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", tags=("t",))
    claim = worker.claim_one()
    worker.finish(claim, output=OutputPart(claim.token, [Chunk(1, 1, 0, b"out")]))
    assert store.delete(["a"], T0) == [Change("a", COMPLETED, "done")]
    for look in (store.get, store.history):
        with pytest.raises(JobNotFound):
            look("a")
    assert store.read_output(claim.token) == []
    assert counted(store) == {}


@pytest.mark.parametrize("state", [PENDING, FAILED, DEAD, COMPLETED, CANCELLED])
def test_jobs_in_every_state_but_processing_can_be_deleted(
    store: Store, worker: LivingWorker, state: str
) -> None:
    add(store, "a", max_retries=1 if state == DEAD else 3)
    if state == CANCELLED:
        store.cancel(["a"], T0)
    elif state != PENDING:
        worker.run_one(COMPLETED if state == COMPLETED else FAILED)
    assert store.delete(["a"], T0) == [Change("a", state, "done")]
    assert states(store) == {}
    assert worker.claim(now=T0 + HOUR) == []


def test_a_running_job_is_not_deleted(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b")
    claim = worker.claim_one()
    assert store.delete(["b", "a"], T0) == [
        Change("b", PENDING, "done"),
        Change("a", PROCESSING, "refused"),
    ]
    assert states(store) == {"a": PROCESSING}
    worker.finish(claim)


def test_of_those_in_some_states_what_was_revived_meanwhile_is_not_deleted(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "died", "revived", max_retries=1)
    worker.run_one(FAILED)
    worker.run_one(FAILED)
    store.retry(["revived"], T0)
    changes = store.delete(["died", "revived"], T0, only=(DEAD,))
    assert [(c.id, c.state, c.result) for c in changes] == [
        ("died", DEAD, "done"),
        ("revived", PENDING, "refused"),
    ]
    assert states(store) == {"revived": PENDING}


def test_jobs_that_wait_for_one_that_runs_and_is_not_deleted_go_on_waiting(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    claim = worker.claim_one()
    store.delete(["a"], T0)
    assert states(store) == {"a": PROCESSING, "b": PENDING}
    worker.finish(claim)
    assert ids(worker.claim()) == ["b"]


def test_jobs_that_wait_for_a_deleted_one_are_cancelled(store: Store) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    add(store, "c", after=("b",))
    store.delete(["a"], T0)
    assert states(store) == {"b": CANCELLED, "c": CANCELLED}
    assert store.get("b").after == ("a",)


def test_jobs_that_waited_for_a_completed_one_run_though_it_is_deleted(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "other")
    add(store, "b", after=("a", "other"))
    worker.run_one()
    store.delete(["a"], T0)
    assert states(store) == {"b": PENDING, "other": PENDING}
    worker.run_one()
    assert ids(worker.claim()) == ["b"]


def test_a_job_and_those_that_wait_for_it_are_deleted_together(store: Store) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    add(store, "c", after=("b",))
    for change in store.delete(["a", "b", "c"], T0):
        assert change.result == "done"
    assert states(store) == {}


def test_the_id_of_a_deleted_job_belongs_to_a_new_one_with_nothing_of_the_old(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED)
    store.delete(["a"], T0)
    add(store, "a", command="new")
    job = store.get("a")
    assert (job.command, job.state, job.runs, job.outcome) == ("new", PENDING, 0, None)
    assert store.history("a") == []
    assert worker.claim_one().attempt == 1


def test_an_unknown_id_refuses_all_deletions(store: Store) -> None:
    add(store, "a")
    with pytest.raises(JobNotFound, match="ghost"):
        store.delete(["a", "ghost"], T0)
    assert states(store) == {"a": PENDING}


# -- prune ---------------------------------------------------------------------------------


def an_old_job_in_each_state(store: Store, worker: LivingWorker) -> None:
    """All of them last changed at T0."""
    for id, kind in [("completed", COMPLETED), ("cancelled", CANCELLED), ("failed", FAILED)]:
        add(store, id, base=1_000_000)
        worker.run_one(kind)
    add(store, "dead", max_retries=1)
    worker.run_one(FAILED)
    add(store, "never-ran")
    store.cancel(["never-ran"], T0)
    add(store, "processing")
    worker.claim_one()
    add(store, "pending")
    add(store, "blocked", after=("pending",))


def test_only_jobs_that_ended_before_the_time_are_pruned(
    store: Store, worker: LivingWorker
) -> None:
    an_old_job_in_each_state(store, worker)
    assert store.prune(T0, 100) == 0
    assert store.prune(T0 + 1, 100) == 4
    assert set(states(store)) == {"failed", "processing", "pending", "blocked"}


def test_pruning_takes_no_more_than_the_limit(store: Store, worker: LivingWorker) -> None:
    store.enqueue([a_job() for _ in range(5)], T0)
    for _ in range(5):
        worker.run_one()
    assert [store.prune(T0 + 1, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert states(store) == {}


def test_pruned_jobs_take_their_output_with_them(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.finish(claim, output=OutputPart(claim.token, [Chunk(1, 1, 0, b"out")]))
    assert store.prune(T0 + 1, 10) == 1
    assert store.read_output(claim.token) == []
    with pytest.raises(JobNotFound):
        store.history("a")


def test_a_job_that_waits_for_a_pruned_one_that_completed_still_runs(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "other")
    add(store, "b", after=("a", "other"))
    worker.run_one()
    assert store.prune(T0 + 1, 10) == 1
    worker.run_one(now=T0 + 2)
    assert ids(worker.claim(now=T0 + 2)) == ["b"]


def test_a_job_that_ran_again_is_pruned_by_its_last_end(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    worker.run_one(now=T0)
    store.retry(["a"], T0 + 1, again=True)
    assert store.prune(T0 + HOUR, 10) == 0
    worker.run_one(now=T0 + HOUR)
    assert store.prune(T0 + HOUR, 10) == 0
    assert store.prune(T0 + HOUR + 1, 10) == 1


def test_a_failed_run_given_back_is_not_taken_for_an_end(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    worker.run_one(FAILED)
    claim = worker.claim_one(now=T0 + 2 * SECOND)
    store.release(worker.id, [claim.token], T0 + 2 * SECOND)
    assert store.prune(T0 + HOUR, 10) == 0
