"""Ends of runs: a stale result changes nothing, a repeated one is acknowledged (P3)."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl.errors import WorkerGone
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    RELEASED,
    TIMEOUT,
    Chunk,
    Claim,
    Filter,
    Finish,
    OutputPart,
)
from queuectl.store.base import Store

from .helpers import (
    HOUR,
    SECOND,
    T0,
    LivingWorker,
    a_job,
    add,
    counted,
    ids,
    living_worker,
    states,
    the_end,
)


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


# -- stale ---------------------------------------------------------------------------------


def released(store: Store, worker: LivingWorker) -> Finish:
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    return the_end(claim)


def rescued(store: Store, worker: LivingWorker) -> Finish:
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        store.rescue(late.id, None, T0)
    return the_end(claim)


def rescued_unstarted(store: Store, worker: LivingWorker) -> Finish:
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        store.rescue(late.id, [claim.token], T0)
    return the_end(claim)


def never_given(store: Store, worker: LivingWorker) -> Finish:
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    return the_end(claim.replace(token=claim.token + 1_000))


def deleted(store: Store, worker: LivingWorker) -> Finish:
    finish = released(store, worker)
    store.delete(["a"], T0)
    return finish


STALE = [released, rescued, rescued_unstarted, never_given, deleted]


@pytest.mark.parametrize("make_stale", STALE)
@pytest.mark.parametrize("kind", [COMPLETED, FAILED, CANCELLED])
def test_a_stale_finish_is_refused_and_changes_nothing(
    store: Store, worker: LivingWorker, make_stale: Any, kind: str
) -> None:
    add(store, "a", base=0)
    stale = make_stale(store, worker)
    outcome = the_end(_claim_like(stale), kind)
    stale = stale.replace(outcome=outcome.outcome, verdict=outcome.verdict)
    before = everything(store)
    assert list(worker.turn(stale).refused) == [stale.token]
    assert everything(store) == before


def _claim_like(finish: Finish) -> Any:
    job = a_job()
    return Claim(
        finish.seq, finish.token, "a", finish.attempt, 0, job.policy, job.command, job.queue,
        job.timeout_seconds, job.cwd, False, {}, {}, job.created_by,
    )  # fmt: skip


@pytest.mark.parametrize("make_stale", [released, rescued, rescued_unstarted])
def test_a_stale_finish_is_refused_while_the_job_runs_elsewhere(
    store: Store, worker: LivingWorker, other_worker: LivingWorker, make_stale: Any
) -> None:
    add(store, "a", base=0)
    stale = make_stale(store, worker)
    stale = stale.replace(output=some_output(stale.token))
    claim = other_worker.claim_one()
    before = everything(store)
    assert list(worker.turn(stale).refused) == [stale.token]
    assert everything(store) == before
    other_worker.finish(claim)
    assert states(store) == {"a": COMPLETED}
    assert list(worker.turn(stale).refused) == [stale.token]


def test_a_stale_finish_does_not_keep_the_good_ones_of_its_turn_from_counting(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    a, b, c = worker.claim(3)
    store.release(worker.id, [b.token], T0)
    turn = worker.turn(the_end(a), the_end(b), the_end(c), free=1)
    assert list(turn.refused) == [b.token]
    assert ids(turn.claims) == ["b"]
    assert states(store) == {"a": COMPLETED, "b": PROCESSING, "c": COMPLETED}


def test_turn_and_heartbeat_are_refused_after_rescue_and_nothing_is_recorded(
    store: Store, other_worker: LivingWorker
) -> None:
    add(store, "a", "b")
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        assert other_worker.store.rescue(late.id, None, T0) == ["a"]
        before = everything(store)
        with pytest.raises(WorkerGone) as gone:
            late.turn(the_end(claim), free=1)
        assert gone.value.exit_code == 4
        with pytest.raises(WorkerGone):
            late.turn(free=1)
        with pytest.raises(WorkerGone):
            late.turn(output=[some_output(claim.token)])
        with pytest.raises(WorkerGone):
            store.heartbeat(late.id, T0 + 1)
        assert late.held() == {}
    assert everything(store) == before
    assert store.get("a").outcome == LOST


# -- held ----------------------------------------------------------------------------------


def test_held_names_every_claim_of_this_worker_and_no_other(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, *"abcd")
    mine = worker.claim(2)
    theirs = other_worker.claim(2)
    worker.finish(mine[0])
    assert worker.held() == {mine[1].token: mine[1].seq}
    assert other_worker.held() == {claim.token: claim.seq for claim in theirs}
    assert store.held("nobody") == {}


# -- release -------------------------------------------------------------------------------


def test_a_released_claim_leaves_no_trace(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", max_retries=1)
    before = everything(store)
    claims = worker.claim(2)
    worker.turn(output=[some_output(claims[0].token)])
    store.release(worker.id, [claim.token for claim in claims], T0)
    assert store.history("a") == []
    assert store.read_output(claims[0].token) == []
    assert everything(store) == before
    assert worker.held() == {}


def test_a_released_claim_keeps_its_place_and_its_number(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    again, other = worker.claim(2)
    assert (again.id, again.attempt, again.attempts, other.id) == ("a", 1, 0, "b")
    assert again.token > claim.token


def test_a_released_retry_keeps_what_it_was_charged_and_its_history(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", base=0)
    worker.run_one(FAILED, exit_code=7)
    before = store.get("a"), store.history("a")
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    job = store.get("a")
    assert job.attempts == 1
    assert (job.outcome, job.exit_code, job.error) == (FAILED, 7, before[0].error)
    assert (job.started_at, job.finished_at, job.duration) == (
        before[0].started_at,
        before[0].finished_at,
        before[0].duration,
    )
    assert store.history("a") == before[1]
    assert worker.claim_one().attempt == 2


def test_release_passes_over_tokens_that_are_not_current(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    done, foreign = worker.claim_one(), other_worker.claim_one()
    worker.finish(done)
    before = everything(store)
    store.release(worker.id, [done.token, foreign.token, 999_999], T0)
    store.release("nobody", [foreign.token], T0)
    assert everything(store) == before


def test_release_twice_is_release_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    store.release(worker.id, [claim.token, claim.token], T0)
    again = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    assert worker.held() == {again.token: again.seq}
