"""Claims: the order (P5), one runner at a time (P2), tokens, claiming ahead, turns, drains."""

from __future__ import annotations

import pytest

from queuectl.errors import WorkerGone
from queuectl.model import COMPLETED, FAILED, PENDING, PROCESSING, RELEASED, Want
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import (
    HOUR,
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


def test_higher_priority_comes_first_then_first_enqueued(
    store: Store, worker: LivingWorker
) -> None:
    store.enqueue([a_job(f"p{p}-{n}", priority=p) for n in (1, 2) for p in (5, 1, 10)], T0)
    expected = ["p10-1", "p10-2", "p5-1", "p5-2", "p1-1", "p1-2"]
    assert ids(worker.claim(6)) == expected


def test_order_is_the_same_when_jobs_are_taken_one_by_one(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    store.enqueue([a_job(f"p{p}-{n}", priority=p) for n in (1, 2) for p in (5, 1, 10)], T0)
    taken = [taker.claim_one().id for taker in (worker, other_worker) * 3]
    assert taken == ["p10-1", "p10-2", "p5-1", "p5-2", "p1-1", "p1-2"]


def test_order_goes_across_queues(store: Store, worker: LivingWorker) -> None:
    for id, queue, priority in [
        ("a", "x", 5),
        ("b", "y", 5),
        ("c", "default", 7),
        ("d", "x", 9),
        ("e", "y", 7),
    ]:
        add(store, id, queue=queue, priority=priority)
    assert ids(worker.claim(4)) == ["d", "c", "e", "a"]
    assert ids(worker.claim(4)) == ["b"]


def test_a_claimed_job_is_processing_and_names_its_worker(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", now=T0 - HOUR)
    claim = worker.claim_one(now=T0)
    job = store.get("a")
    assert (job.state, job.worker_id, job.updated_at, job.runs) == (
        PROCESSING,
        worker.id,
        T0,
        1,
    )
    assert worker.held() == {claim.token: claim.seq}
    assert counted(store) == {PROCESSING: 1}


def test_no_job_is_claimed_twice(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    first = ids(worker.claim(2))
    second = ids(other_worker.claim(2))
    assert (first, second) == (["a", "b"], ["c"])
    assert worker.claim(2) == []


def test_no_more_is_claimed_than_wanted(store: Store, worker: LivingWorker) -> None:
    add(store, *"abcdef")
    assert worker.claim(0) == []
    assert ids(worker.claim(2)) == ["a", "b"]
    assert ids(worker.claim(2, ahead=1)) == ["c", "d", "e"]
    assert counted(store) == {PENDING: 1, PROCESSING: 5}


def test_tokens_never_repeat_over_release_retry_delete_and_reopening(
    backend: SqliteBackend,
) -> None:
    url = backend.new_url()
    tokens: list[int] = []
    for _ in range(2):
        store = backend.open(url)
        with living_worker(store) as worker:
            for _ in range(2):
                add(store, "a", max_retries=1)
                claim = worker.claim_one()
                store.release(worker.id, [claim.token], T0)
                tokens += [claim.token, worker.run_one(FAILED).token]
                store.retry(["a"], T0)
                tokens.append(worker.run_one().token)
                store.delete(["a"], T0)
            store.unregister(worker.id)
        store.close()
    assert tokens == sorted(set(tokens))
    assert all(token > 0 for token in tokens)


def test_tokens_are_one_counter_for_all_workers_and_queues(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    store.enqueue([a_job(queue=f"q{n % 3}") for n in range(12)], T0)
    tokens = [c.token for taker in (worker, other_worker) * 2 for c in taker.claim(3)]
    assert len(set(tokens)) == 12


def test_the_attempt_numbers_the_runs_and_attempts_those_charged(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=3, base=0)
    seen = []
    for kind in (RELEASED, FAILED, COMPLETED):
        claim = worker.run_one(kind)
        seen.append((claim.attempt, claim.attempts))
    assert seen == [(1, 0), (2, 0), (3, 1)]
    assert store.get("a").attempts == 1


# -- claiming ahead ----------------------------------------------------------------------


@pytest.mark.parametrize("retries", [0, 1])
def test_a_claim_ahead_ends_before_the_first_job_that_may_run_only_once(
    store: Store, worker: LivingWorker, retries: int
) -> None:
    add(store, "a", "b")
    add(store, "once", max_retries=retries)
    add(store, "c")
    assert ids(worker.claim(1, ahead=5)) == ["a", "b"]
    assert ids(worker.claim(0, ahead=5)) == []
    assert ids(worker.claim(1, ahead=5)) == ["once", "c"]


def test_jobs_that_may_run_only_once_fill_free_slots(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b", "c", max_retries=1)
    assert ids(worker.claim(2, ahead=5)) == ["a", "b"]


def test_jobs_that_may_not_be_claimed_ahead_promise_no_more(
    store: Store, worker: LivingWorker
) -> None:
    """Else a worker whose slots are busy would ask at once again, and again."""
    add(store, *[f"once-{n}" for n in range(20)], max_retries=1)
    answer = store.turn(worker.id, (), (), Want(0, 4, 4), T0)
    assert (list(answer.claims), answer.more) == ([], False)


def test_a_claim_ahead_follows_the_order(store: Store, worker: LivingWorker) -> None:
    add(store, "low", priority=1)
    add(store, "once", priority=2, max_retries=1)
    add(store, "high", priority=9)
    assert ids(worker.claim(0, ahead=3)) == ["high"]


def test_where_there_is_plenty_a_worker_claims_its_share_by_slots(store: Store) -> None:
    add(store, *[f"j-{n}" for n in range(100)])
    with living_worker(store, slots=1) as worker, living_worker(store, slots=3) as wider:
        assert len(store.turn(worker.id, (), (), Want(1, 3, 60), T0).claims) == 4 + 96 // 4
        assert len(store.turn(wider.id, (), (), Want(3, 1, 60), T0).claims) == 4 + 68 // 2


def test_plenty_is_not_counted_where_another_worker_could_do_only_some_of_it(
    store: Store,
) -> None:
    """What comes first may be all that the other has to do."""
    add(store, *[f"small-{n}" for n in range(20)], queue="small")
    add(store, *[f"large-{n}" for n in range(180)], queue="large")
    with living_worker(store) as worker, living_worker(store, queues=["small"]) as other:
        assert len(store.turn(worker.id, (), (), Want(1, 3, 60), T0).claims) == 4
        assert len(store.turn(other.id, (), (), Want(1, 3, 60), T0).claims) == 4


def test_plenty_is_shared_only_with_those_who_serve_the_same_queues(store: Store) -> None:
    add(store, *[f"j-{n}" for n in range(60)], queue="a")
    with (
        living_worker(store, queues=["a", "b"]) as worker,
        living_worker(store, queues=["b", "a"]),
        living_worker(store, queues=["c"]),
    ):
        assert len(store.turn(worker.id, (), (), Want(1, 3, 60), T0).claims) == 4 + 56 // 2


# -- turns -------------------------------------------------------------------------------


def test_one_turn_records_what_ended_and_claims_the_next(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    turn = worker.turn(the_end(worker.claim_one()), free=1)
    assert ids(turn.claims) == ["b"]
    assert states(store) == {"a": COMPLETED, "b": PROCESSING}


def test_a_job_freed_by_a_finish_is_claimed_in_the_same_turn(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    turn = worker.turn(the_end(worker.claim_one()), free=1)
    assert ids(turn.claims) == ["b"]


def test_a_job_that_fails_without_delay_can_be_claimed_in_the_same_turn(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", base=0)
    turn = worker.turn(the_end(worker.claim_one(), FAILED), free=1)
    assert [(c.id, c.attempt) for c in turn.claims] == [("a", 2)]


def test_a_turn_with_nothing_to_do_writes_nothing(
    store: Store, another: Store, worker: LivingWorker
) -> None:
    add(store, "later", run_at=T0 + HOUR)
    add(store, "closed", queue="closed")
    store.set_queue("closed", paused=True)
    worker.claim()
    mark = another.change_mark()
    turn = worker.turn(free=4, ahead=4)
    assert (list(turn.claims), list(turn.refused), list(turn.cancels)) == ([], [], [])
    assert turn.stop is None
    assert another.change_mark() == mark


def test_a_worker_that_is_not_registered_may_neither_claim_nor_renew(store: Store) -> None:
    add(store, "a")
    with pytest.raises(WorkerGone):
        store.turn("nobody", [], [], Want(1), T0)
    with pytest.raises(WorkerGone):
        store.heartbeat("nobody", T0)
    assert states(store) == {"a": PENDING}


# -- drained -----------------------------------------------------------------------------


def test_an_empty_store_is_drained(worker: LivingWorker) -> None:
    assert worker.turn(free=1).drained


def test_it_is_not_drained_while_something_is_due(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    assert not worker.turn(free=0).drained


def test_it_is_not_drained_while_something_runs_on_any_worker(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a")
    claim = other_worker.claim_one()
    assert not worker.turn(free=1).drained
    assert not other_worker.turn(free=1).drained
    other_worker.finish(claim)
    assert worker.turn(free=1).drained


def test_it_is_not_drained_while_something_waits_out_its_backoff(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=2)
    worker.run_one(FAILED)
    assert not worker.turn(free=1).drained
    worker.run_one(FAILED, now=T0 + HOUR)
    assert worker.turn(free=1, now=T0 + HOUR).drained


def test_the_turn_that_claims_the_last_job_is_not_drained_and_the_one_that_ends_it_is(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    turn = worker.turn(free=1)
    assert not turn.drained
    assert worker.turn(the_end(turn.claims[0])).drained


def test_later_jobs_paused_queues_and_other_queues_do_not_hold_a_drain(store: Store) -> None:
    add(store, "later", run_at=T0 + HOUR, queue="mine")
    add(store, "closed", queue="closed")
    add(store, "foreign", queue="foreign")
    store.set_queue("closed", paused=True)
    with living_worker(store, queues=("mine", "closed")) as worker:
        assert worker.turn(free=1).drained
        assert not worker.turn(now=T0 + HOUR).drained


def test_a_full_queue_is_not_drained(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    store.set_queue("default", limit=1)
    add(store, "a", "b")
    other_worker.claim_one()
    assert not worker.turn(free=1).drained
