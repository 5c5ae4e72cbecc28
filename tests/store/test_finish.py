"""Ends of runs: what each records, and that one sent again is not counted again (P3)."""

from __future__ import annotations

import pytest

from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
    RELEASED,
    TIMEOUT,
)
from queuectl.store.base import Store

from .helpers import (
    HOUR,
    SECOND,
    T0,
    LivingWorker,
    add,
    counted,
    everything,
    some_output,
    states,
    the_end,
)


def test_a_run_that_completed_is_kept_with_its_facts(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", now=T0 - HOUR)
    claim = worker.claim_one(T0)
    end = T0 + 5 * SECOND
    worker.finish(claim, now=end, started_at=T0 + 1, duration=4.25)
    job = store.get("a")
    assert (job.state, job.attempts, job.outcome) == (COMPLETED, 0, COMPLETED)
    assert (job.exit_code, job.signal, job.error) == (0, None, None)
    assert (job.started_at, job.finished_at, job.duration) == (T0 + 1, end, 4.25)
    assert (job.updated_at, job.due_at, job.runs) == (end, None, 1)
    assert worker.held() == {}
    assert counted(store) == {COMPLETED: 1}


def test_a_run_that_failed_waits_out_its_backoff(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    worker.run_one(FAILED, exit_code=7, error="exit code 7")
    job = store.get("a")
    assert (job.state, job.attempts, job.outcome) == (FAILED, 1, FAILED)
    assert (job.exit_code, job.error, job.due_at) == (7, "exit code 7", T0 + 2 * SECOND)


@pytest.mark.parametrize(
    "error", ["", "NULL", "{a,b}", 'said "no"', "C:\\new\\", "one\ntwo, three\t", "naïve 🦊"]
)
def test_an_error_is_kept_to_the_letter(store: Store, worker: LivingWorker, error: str) -> None:
    add(store, "a", "b")
    a, b = worker.claim(2)
    worker.turn(the_end(a, FAILED, error=error), the_end(b))
    assert store.get("a").error == error
    assert store.get("b").error is None


def test_a_run_that_timed_out_is_charged_and_says_so(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(TIMEOUT, signal="SIGKILL", error="timed out after 1s")
    job = store.get("a")
    assert (job.state, job.outcome, job.exit_code, job.signal) == (
        DEAD,
        TIMEOUT,
        None,
        "SIGKILL",
    )
    assert job.error == "timed out after 1s"


def test_a_job_is_dead_when_its_attempts_are_used_up(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=2, base=0)
    worker.run_one(FAILED)
    assert states(store) == {"a": FAILED}
    worker.run_one(FAILED, now=T0 + 1)
    job = store.get("a")
    assert (job.state, job.attempts, job.due_at, job.finished_at) == (DEAD, 2, None, T0 + 1)
    assert worker.claim(now=T0 + HOUR) == []


def test_a_run_cut_off_by_a_shutdown_goes_back_uncharged(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=2)
    worker.run_one(RELEASED)
    job = store.get("a")
    assert (job.state, job.attempts, job.outcome) == (PENDING, 0, RELEASED)
    assert job.error
    (run,) = store.history("a")
    assert (run.outcome, run.charged) == (RELEASED, False)
    assert worker.claim_one().attempt == 2


@pytest.mark.parametrize("retries", [0, 1])
def test_a_run_cut_off_by_a_shutdown_is_charged_when_it_was_the_only_one(
    store: Store, worker: LivingWorker, retries: int
) -> None:
    add(store, "a", max_retries=retries)
    worker.run_one(RELEASED)
    job = store.get("a")
    assert (job.state, job.attempts) == (DEAD, 1)
    assert [(run.outcome, run.charged) for run in store.history("a")] == [(RELEASED, True)]
    assert worker.claim(now=T0 + HOUR) == []


def test_the_history_shows_every_run_oldest_first_and_the_running_one(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=5, base=0)
    first = worker.run_one(FAILED, now=T0 + 1, exit_code=3, started_at=T0, duration=0.001)
    second = worker.run_one(TIMEOUT, now=T0 + 2, signal="SIGTERM")
    third = worker.claim_one(T0 + 3)
    history = store.history("a")
    assert [(run.attempt, run.token, run.outcome, run.charged) for run in history] == [
        (1, first.token, FAILED, True),
        (2, second.token, TIMEOUT, True),
        (3, third.token, PROCESSING, False),
    ]
    assert {run.worker_id for run in history} == {worker.id}
    assert {run.host for run in history} == {store.workers()[0].host}
    failed, timed_out, running = history
    assert (failed.started_at, failed.finished_at, failed.duration) == (T0, T0 + 1, 0.001)
    assert (failed.exit_code, failed.signal, failed.error) == (3, None, "it was failed")
    assert (timed_out.exit_code, timed_out.signal) == (None, "SIGTERM")
    assert (running.finished_at, running.duration, running.exit_code) == (None, None, None)


def test_several_runs_are_recorded_in_one_turn(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", "c")
    a, b, c = worker.claim(3)
    turn = worker.turn(the_end(a), the_end(b, FAILED), the_end(c, CANCELLED))
    assert list(turn.refused) == []
    assert states(store) == {"a": COMPLETED, "b": FAILED, "c": CANCELLED}


# -- repeated ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [COMPLETED, FAILED, TIMEOUT, CANCELLED, RELEASED])
@pytest.mark.parametrize("retries", [1, 3])
def test_a_finish_repeated_is_acknowledged_and_not_doubled(
    store: Store, worker: LivingWorker, kind: str, retries: int
) -> None:
    add(store, "a", max_retries=retries)
    add(store, "b", after=("a",))
    claim = worker.claim_one()
    finish = worker.finish(claim, kind, output=some_output(claim.token, b"once"))
    before = everything(store)
    assert list(worker.turn(finish, finish).refused) == []
    assert everything(store) == before


def test_a_finish_given_twice_in_one_turn_counts_once(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    finish = the_end(worker.claim_one(), FAILED)
    assert list(worker.turn(finish, finish).refused) == []
    assert store.get("a").attempts == 1
    assert len(store.history("a")) == 1
    assert store.metrics(0).events["failed"] == 1


def test_of_two_ends_of_one_run_in_one_turn_the_first_counts(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    turn = worker.turn(
        the_end(claim, FAILED), the_end(claim, COMPLETED), the_end(claim, FAILED)
    )
    assert list(turn.refused) == [claim.token]
    assert store.get("a").outcome == FAILED
    assert [(run.outcome, run.charged) for run in store.history("a")] == [(FAILED, True)]


def test_a_finish_repeated_while_the_job_runs_again_disturbs_nothing(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a", base=0)
    old = worker.claim_one()
    finish = worker.finish(old, FAILED)
    new = other_worker.claim_one()
    assert new.token != old.token
    before = everything(store)
    assert list(worker.turn(finish).refused) == []
    assert everything(store) == before
    assert other_worker.held() == {new.token: new.seq}


def test_a_finish_repeated_after_a_revival_disturbs_nothing(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    claim = worker.claim_one()
    finish = worker.finish(claim, FAILED)
    store.retry(["a"], T0)
    before = everything(store)
    assert list(worker.turn(finish).refused) == []
    assert everything(store) == before


def test_a_repeated_finish_with_another_end_changes_nothing(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    claim = worker.claim_one()
    worker.finish(claim, COMPLETED)
    before = everything(store)
    worker.turn(the_end(claim, FAILED, output=some_output(claim.token)))
    assert everything(store) == before
