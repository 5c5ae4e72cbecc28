"""Cancelling: waiting jobs at once, running ones through their worker."""

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
    TIMEOUT,
    Change,
)
from queuectl.store.base import Store

from .helpers import HOUR, T0, LivingWorker, add, counted, ids, states, the_end


def test_a_pending_job_is_cancelled_at_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", now=T0 - HOUR)
    assert store.cancel(["a"], T0) == [Change("a", PENDING, "done")]
    job = store.get("a")
    assert (job.state, job.due_at, job.finished_at, job.updated_at) == (CANCELLED, None, T0, T0)
    assert ids(worker.claim(2, now=T0 + HOUR)) == ["b"]


def test_a_scheduled_job_is_cancelled_at_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a", run_at=T0 + HOUR)
    assert store.cancel(["a"], T0) == [Change("a", PENDING, "done")]
    assert worker.claim(now=T0 + 2 * HOUR) == []
    assert store.get("a").run_at == T0 + HOUR


def test_a_failed_job_is_cancelled_at_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    worker.run_one(FAILED)
    assert store.cancel(["a"], T0) == [Change("a", FAILED, "done")]
    assert worker.claim(now=T0 + HOUR) == []
    assert [run.outcome for run in store.history("a")] == [FAILED]


def test_a_cancelled_job_says_whether_it_had_run_before(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "ran", "never")
    worker.run_one(FAILED)
    store.cancel(["ran", "never"], T0)
    assert store.get("ran").error == "cancelled before it ran again"
    assert store.get("never").error == "cancelled before it ran"


def test_a_blocked_job_is_cancelled_at_once_and_stays_so(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    assert store.cancel(["b"], T0) == [Change("b", PENDING, "done")]
    worker.run_one()
    assert states(store) == {"a": COMPLETED, "b": CANCELLED}
    assert worker.claim(now=T0 + HOUR) == []


def test_a_running_job_is_ended_by_its_worker(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    assert store.cancel(["a"], T0) == [Change("a", PROCESSING, "asked")]
    assert states(store) == {"a": PROCESSING}
    assert list(worker.turn().cancels) == [claim.token]
    worker.finish(claim, CANCELLED, signal="SIGTERM")
    job = store.get("a")
    assert (job.state, job.outcome, job.attempts, job.signal) == (
        CANCELLED,
        CANCELLED,
        0,
        "SIGTERM",
    )
    assert [(run.outcome, run.charged) for run in store.history("a")] == [(CANCELLED, False)]
    assert list(worker.turn().cancels) == []


def test_every_turn_names_the_cancels_until_the_run_has_ended(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    a, b = worker.claim(2)
    store.cancel(["a"], T0)
    assert list(worker.turn(free=1).cancels) == [a.token]
    assert list(worker.turn(the_end(b)).cancels) == [a.token]
    assert list(worker.turn(the_end(a, CANCELLED)).cancels) == []


def test_only_the_worker_that_runs_the_job_is_asked(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a", "b")
    mine, theirs = worker.claim_one(), other_worker.claim_one()
    store.cancel([theirs.id], T0)
    assert list(worker.turn().cancels) == []
    assert list(other_worker.turn().cancels) == [theirs.token]
    assert mine.id != theirs.id


def test_asking_again_is_the_same_as_asking_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    for _ in range(2):
        assert store.cancel(["a"], T0) == [Change("a", PROCESSING, "asked")]
    assert list(worker.turn().cancels) == [claim.token]


def test_a_run_that_completes_before_it_could_be_ended_has_completed(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    store.cancel(["a"], T0)
    worker.finish(claim, COMPLETED)
    assert states(store) == {"a": COMPLETED}


@pytest.mark.parametrize("kind", [FAILED, TIMEOUT])
def test_a_job_that_was_asked_to_end_does_not_run_again_however_its_run_ended(
    store: Store, worker: LivingWorker, kind: str
) -> None:
    add(store, "a", base=0)
    claim = worker.claim_one()
    store.cancel(["a"], T0)
    worker.finish(claim, kind)
    assert states(store) == {"a": CANCELLED}
    assert worker.claim(now=T0 + HOUR) == []


def test_a_claim_that_is_given_back_after_a_cancel_does_not_run_again(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "child", after=("a",))
    claim = worker.claim_one()
    store.cancel(["a"], T0)
    store.release(worker.id, [claim.token], T0)
    assert states(store) == {"a": CANCELLED, "child": CANCELLED}
    assert worker.claim(now=T0 + HOUR) == []
    assert list(worker.turn().cancels) == []


@pytest.mark.parametrize("given_back", [False, True])
def test_an_old_cancel_does_not_haunt_a_job_that_was_revived(
    store: Store, worker: LivingWorker, given_back: bool
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    store.cancel(["a"], T0)
    if given_back:
        store.release(worker.id, [claim.token], T0)
    else:
        worker.finish(claim, CANCELLED)
    store.retry(["a"], T0)
    worker.claim_one()
    assert list(worker.turn().cancels) == []


@pytest.mark.parametrize("kind", [COMPLETED, FAILED])
def test_jobs_that_have_ended_are_refused_and_stay_as_they_are(
    store: Store, worker: LivingWorker, kind: str
) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(kind)
    before = store.get("a")
    assert before.state in (COMPLETED, DEAD)
    assert store.cancel(["a"], T0 + 1) == [Change("a", before.state, "refused")]
    assert store.get("a") == before


def test_a_cancelled_job_is_cancelled_already(store: Store) -> None:
    add(store, "a")
    store.cancel(["a"], T0)
    before = store.get("a")
    assert store.cancel(["a"], T0 + 1) == [Change("a", CANCELLED, "already")]
    assert store.get("a") == before


def test_each_job_gets_its_own_answer_in_the_order_asked(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "done", "running", "waiting", "gone")
    worker.run_one()
    worker.claim_one()
    store.cancel(["gone"], T0)
    changes = store.cancel(["gone", "waiting", "done", "running"], T0)
    assert changes == [
        Change("gone", CANCELLED, "already"),
        Change("waiting", PENDING, "done"),
        Change("done", COMPLETED, "refused"),
        Change("running", PROCESSING, "asked"),
    ]


def test_an_unknown_id_refuses_all_before_any_change(store: Store) -> None:
    add(store, "a", "b")
    with pytest.raises(JobNotFound, match="ghost") as missing:
        store.cancel(["a", "ghost", "b"], T0)
    assert missing.value.exit_code == 3
    assert counted(store) == {PENDING: 2}


def test_an_id_given_twice_is_cancelled_once(store: Store) -> None:
    add(store, "a")
    assert store.cancel(["a", "a"], T0)[0] == Change("a", PENDING, "done")
    assert counted(store) == {CANCELLED: 1}


def test_jobs_that_wait_for_it_are_cancelled_with_it_all_the_way_down(store: Store) -> None:
    add(store, "a", "other")
    add(store, "b", after=("a", "other"))
    add(store, "c", after=("b",))
    add(store, "free", after=("other",))
    assert store.cancel(["a"], T0)[0] == Change("a", PENDING, "done")
    assert states(store) == {
        "a": CANCELLED,
        "b": CANCELLED,
        "c": CANCELLED,
        "other": PENDING,
        "free": PENDING,
    }


def test_cancelling_a_job_and_one_that_waits_for_it_cancels_both(store: Store) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    for change in store.cancel(["a", "b"], T0):
        assert change.result in ("done", "already")
    assert counted(store) == {CANCELLED: 2}


def test_of_jobs_that_wait_for_each_other_each_says_why_it_ended_by_the_order_they_are_named(
    store: Store,
) -> None:
    def ends(*named: str) -> dict[str, str | None]:
        results = {change.id: change.result for change in store.cancel(named, T0)}
        assert list(results) == list(named)
        errors = {id: store.get(id).error for id in ("a", "b", "c", "d")}
        store.retry(["a", "b", "c", "d"], T0)
        return {id: f"{results.get(id)}, {error}" for id, error in errors.items()}

    add(store, "a", "b")
    add(store, "c", after=("a", "b"))
    add(store, "d", after=("c",))
    own = "done, cancelled before it ran"
    assert ends("d", "c", "b", "a") == {"a": own, "b": own, "c": own, "d": own}
    assert ends("b", "d", "a") == {
        "a": own,
        "b": own,
        "c": "None, waited for b, which is cancelled",
        "d": "already, waited for c, which is cancelled",
    }
    assert ends("d", "a", "c", "b") == {
        "a": own,
        "b": own,
        "c": "already, waited for a, which is cancelled",
        "d": own,
    }


def test_jobs_that_wait_for_a_running_one_are_cancelled_when_its_run_has_ended(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    claim = worker.claim_one()
    store.cancel(["a"], T0)
    assert states(store)["b"] == PENDING
    worker.finish(claim, CANCELLED)
    assert states(store)["b"] == CANCELLED


def test_an_empty_list_changes_nothing(store: Store) -> None:
    assert store.cancel([], T0) == []


def test_jobs_in_other_states_than_those_that_are_meant_are_refused(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "running", "again", "waiting", "gone")
    claim = worker.claim_one()
    worker.run_one(FAILED)
    store.cancel(["gone"], T0)
    asked = ["running", "again", "waiting", "gone"]
    assert store.cancel(asked, T0, only=(PENDING,)) == [
        Change("running", PROCESSING, "refused"),
        Change("again", FAILED, "refused"),
        Change("waiting", PENDING, "done"),
        Change("gone", CANCELLED, "already"),
    ]
    assert list(worker.turn().cancels) == []
    assert store.cancel(["running"], T0, only=(PROCESSING,)) == [
        Change("running", PROCESSING, "asked")
    ]
    assert list(worker.turn().cancels) == [claim.token]
