"""Rescue: the jobs of a worker that is gone go back, charged only if they may have run (P6)."""

from __future__ import annotations

import os
from collections.abc import Callable

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
    Chunk,
    OutputPart,
)
from queuectl.store.base import Store
from queuectl.worker.rescue import rescue_all

from .helpers import HOUR, SECOND, T0, LivingWorker, add, counted, ids, living_worker, states


@pytest.fixture
def dead_worker(store: Store) -> LivingWorker:
    """A worker that has claimed `a`, `b` and `once` and died."""
    add(store, "a", "b")
    add(store, "once", max_retries=1)
    worker = LivingWorker(store)
    assert ids(worker.claim(3)) == ["a", "b", "once"]
    worker.die()
    return worker


def token_of(worker: LivingWorker, id: str) -> int:
    seq = worker.store.get(id).seq
    (token,) = [token for token, held in worker.held().items() if held == seq]
    return token


def test_runs_that_may_have_started_are_lost_and_charged(
    store: Store, dead_worker: LivingWorker
) -> None:
    tokens = {id: token_of(dead_worker, id) for id in ("a", "b", "once")}
    assert sorted(store.rescue(dead_worker.id, None, T0 + HOUR)) == ["a", "b", "once"]
    assert states(store) == {"a": FAILED, "b": FAILED, "once": DEAD}
    for id, token in tokens.items():
        job = store.get(id)
        assert (job.attempts, job.outcome) == (1, LOST)
        assert job.error
        (run,) = store.history(id)
        assert (run.token, run.outcome, run.charged) == (token, LOST, True)
        assert (run.worker_id, run.finished_at, run.error) == (
            dead_worker.id,
            T0 + HOUR,
            job.error,
        )
        assert run.host


def test_a_lost_run_waits_out_its_backoff_as_a_failed_one_does(
    store: Store, dead_worker: LivingWorker, worker: LivingWorker
) -> None:
    store.rescue(dead_worker.id, None, T0)
    assert store.get("a").due_at == T0 + 2 * SECOND
    assert worker.claim(9, now=T0 + 2 * SECOND - 1) == []
    assert ids(worker.claim(9, now=T0 + 2 * SECOND)) == ["a", "b"]


def test_runs_that_provably_never_started_go_back_as_if_nothing_had_been(
    store: Store, dead_worker: LivingWorker, worker: LivingWorker
) -> None:
    unstarted = list(dead_worker.held())
    store.rescue(dead_worker.id, unstarted, T0)
    assert states(store) == dict.fromkeys(("a", "b", "once"), PENDING)
    for id in ("a", "b", "once"):
        job = store.get(id)
        assert (job.attempts, job.runs, job.outcome, job.error) == (0, 0, None, None)
        assert store.history(id) == []
    assert ids(worker.claim(3)) == ["a", "b", "once"]


def test_what_never_started_and_what_may_have_run_are_told_apart(
    store: Store, dead_worker: LivingWorker
) -> None:
    unstarted = [token_of(dead_worker, "a"), token_of(dead_worker, "once")]
    assert store.rescue(dead_worker.id, unstarted, T0) == ["b"]
    assert states(store) == {"a": PENDING, "b": FAILED, "once": PENDING}


def test_an_empty_list_of_unstarted_runs_means_that_all_had_started(
    store: Store, dead_worker: LivingWorker
) -> None:
    assert sorted(store.rescue(dead_worker.id, [], T0)) == ["a", "b", "once"]


def test_foreign_tokens_among_the_unstarted_change_nothing(
    store: Store, dead_worker: LivingWorker, worker: LivingWorker
) -> None:
    add(store, "d")
    foreign = worker.claim_one()
    assert len(store.rescue(dead_worker.id, [foreign.token, 999_999], T0)) == 3
    assert worker.held() == {foreign.token: foreign.seq}
    assert states(store)["d"] == PROCESSING


def test_the_worker_is_forgotten(store: Store, dead_worker: LivingWorker) -> None:
    assert [(w.id, w.alive) for w in store.workers()] == [(dead_worker.id, False)]
    store.rescue(dead_worker.id, None, T0)
    assert store.workers() == []
    assert store.held(dead_worker.id) == {}
    with pytest.raises(WorkerGone):
        store.heartbeat(dead_worker.id, T0)


def test_rescue_twice_is_rescue_once(
    store: Store, another: Store, dead_worker: LivingWorker
) -> None:
    store.rescue(dead_worker.id, None, T0)
    attempts = {id: store.get(id) for id in ("a", "b", "once")}
    assert another.rescue(dead_worker.id, None, T0 + HOUR) == []
    assert {id: store.get(id) for id in attempts} == attempts
    assert [len(store.history(id)) for id in attempts] == [1, 1, 1]


def test_rescue_of_an_unknown_worker_has_no_effect(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    assert store.rescue("nobody", None, T0) == []
    assert worker.held() == {claim.token: claim.seq}


def test_rescue_does_not_touch_what_had_ended_before(
    store: Store, dead_worker: LivingWorker
) -> None:
    with living_worker(store) as late:
        add(store, "done", "failed", "open")
        late.run_one()
        late.run_one(FAILED)
        late.claim_one()
        done, failed = store.get("done"), store.get("failed")
        late.die()
        assert store.rescue(late.id, None, T0 + HOUR) == ["open"]
    assert (store.get("done"), store.get("failed")) == (done, failed)


def test_rescue_does_not_touch_the_jobs_of_other_workers(
    store: Store, dead_worker: LivingWorker, worker: LivingWorker
) -> None:
    add(store, "mine")
    claim = worker.claim_one()
    store.rescue(dead_worker.id, None, T0)
    worker.finish(claim)
    assert states(store)["mine"] == COMPLETED


def test_a_job_whose_workers_keep_dying_is_dead_after_its_last_attempt(store: Store) -> None:
    add(store, "a", max_retries=3, base=0)
    for _ in range(3):
        with living_worker(store) as worker:
            worker.claim_one()
            worker.die()
            assert store.rescue(worker.id, None, T0) == ["a"]
    assert (store.get("a").state, store.get("a").attempts) == (DEAD, 3)
    with living_worker(store) as worker:
        assert worker.claim(now=T0 + HOUR) == []


def test_a_job_that_dies_by_rescue_cancels_those_that_wait_for_it(
    store: Store, dead_worker: LivingWorker
) -> None:
    add(store, "child", after=("once",))
    add(store, "patient", after=("a",))
    store.rescue(dead_worker.id, None, T0)
    assert states(store)["child"] == CANCELLED
    assert states(store)["patient"] == PENDING


def test_output_kept_before_the_worker_died_stays_with_the_lost_run(store: Store) -> None:
    add(store, "a")
    with living_worker(store) as worker:
        claim = worker.claim_one()
        worker.turn(output=[OutputPart(claim.token, [Chunk(1, 1, 0, b"half")])])
        worker.die()
        store.rescue(worker.id, None, T0)
    assert [chunk.data for chunk in store.read_output(claim.token)] == [b"half"]


def test_a_run_that_was_asked_to_end_is_cancelled_by_rescue_and_does_not_run_again(
    store: Store, dead_worker: LivingWorker, worker: LivingWorker
) -> None:
    store.cancel(["a", "b", "once"], T0)
    store.rescue(dead_worker.id, [token_of(dead_worker, "b")], T0)
    assert states(store) == dict.fromkeys(("a", "b", "once"), CANCELLED)
    assert [(run.outcome, run.charged) for run in store.history("once")] == [(CANCELLED, False)]
    assert worker.claim(9, now=T0 + HOUR) == []


def test_rescue_frees_the_limit_of_the_queue(
    store: Store, dead_worker: LivingWorker, worker: LivingWorker
) -> None:
    store.set_queue("default", limit=3)
    add(store, "next")
    assert worker.claim(1) == []
    store.rescue(dead_worker.id, None, T0)
    assert ids(worker.claim(1)) == ["next"]


def test_counts_and_totals_follow_a_rescue(store: Store, dead_worker: LivingWorker) -> None:
    store.rescue(dead_worker.id, [token_of(dead_worker, "b")], T0)
    assert counted(store) == {PENDING: 1, FAILED: 1, DEAD: 1}
    assert store.metrics(0).events["failed"] == 2
    assert store.metrics(0).events["dlq"] == 1


# -- who is gone -----------------------------------------------------------------------------


def test_a_living_worker_is_alive_to_every_connection(
    store: Store, another: Store, worker: LivingWorker
) -> None:
    assert [(w.id, w.alive) for w in another.workers()] == [(worker.id, True)]
    assert [(w.id, w.alive) for w in store.workers()] == [(worker.id, True)]
    assert store.lost_workers(T0 + 1_000 * HOUR) == []


def test_a_worker_whose_process_is_gone_is_not_alive_until_rescued(
    store: Store, open_another: Callable[[], Store], worker: LivingWorker
) -> None:
    worker.die()
    for connection in (store, open_another()):
        assert [(w.id, w.alive) for w in connection.workers()] == [(worker.id, False)]


def test_a_worker_whose_slot_file_is_gone_with_it_is_not_alive(store: Store) -> None:
    with living_worker(store, start_ticks=1) as worker:  # no such process
        worker.leave()
        assert [w.alive for w in store.workers()] == [False]
        assert [w.id for w in store.lost_workers(T0)] == [worker.id]


def test_a_worker_that_runs_is_not_lost_though_its_slot_file_is(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a")
    worker.claim_one()
    os.unlink(worker.slot_file)
    assert store.lost_workers(T0) == []
    assert rescue_all(store, 0) == []
    assert states(store) == {"a": PROCESSING}
