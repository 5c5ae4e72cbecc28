"""Claims far ahead, where what is ready is plenty for all workers."""

from __future__ import annotations

import pytest

from queuectl.store.base import Store

from .helpers import T0, LivingWorker, a_job, ids, living_worker


def test_a_worker_takes_no_more_ahead_than_its_share_by_slots(store: Store) -> None:
    store.enqueue([a_job() for _ in range(41)], T0)
    with living_worker(store, slots=1) as one, living_worker(store, slots=3):
        turn = one.turn(free=1, ahead=4, plenty=100)
        assert len(turn.claims) == 1 + 4 + (41 - 5) // 4


def test_the_others_find_their_share(store: Store) -> None:
    store.enqueue([a_job() for _ in range(60)], T0)
    with living_worker(store) as a, living_worker(store) as b:
        taken = [len(worker.turn(free=1, ahead=1, plenty=100).claims) for worker in (a, b)]
    assert taken[0] == 2 + 58 // 2
    assert taken[1] == 2 + 27 // 2


def test_a_worker_that_is_alone_takes_all_that_it_wants(store: Store) -> None:
    store.enqueue([a_job() for _ in range(30)], T0)
    with living_worker(store) as worker:
        assert len(worker.turn(free=2, ahead=3, plenty=10).claims) == 15
        assert len(worker.turn(free=2, ahead=3, plenty=100).claims) == 15


def test_what_is_claimed_ahead_in_any_case_is_no_share(store: Store) -> None:
    store.enqueue([a_job() for _ in range(8)], T0)
    with living_worker(store) as worker, living_worker(store, slots=50):
        assert len(worker.turn(free=1, ahead=4, plenty=100).claims) == 5


def test_a_worker_takes_its_share_with_nothing_free_and_nothing_else_wanted(
    store: Store,
) -> None:
    store.enqueue([a_job() for _ in range(20)], T0)
    with living_worker(store) as worker, living_worker(store):
        assert len(worker.turn(plenty=100).claims) == 10


def test_a_share_is_taken_in_order(store: Store) -> None:
    jobs = [a_job(id=f"n{n}", priority=9 if n % 4 == 0 else 2) for n in range(24)]
    store.enqueue(jobs, T0)
    with living_worker(store) as worker, living_worker(store):
        turn = worker.turn(free=1, plenty=100)
    order = [f"n{n}" for n in range(0, 24, 4)] + [f"n{n}" for n in range(24) if n % 4]
    assert ids(turn.claims) == order[: 1 + 23 // 2]


def test_a_share_is_of_the_workers_open_queues_only(store: Store) -> None:
    for queue in ("mine", "paused", "others"):
        store.enqueue([a_job(queue=queue) for _ in range(40)], T0)
    store.set_queue("paused", paused=True)
    queues = ("mine", "paused")
    with living_worker(store, queues=queues) as worker, living_worker(store, queues=queues):
        claims = worker.turn(free=1, ahead=1, plenty=100).claims
    assert {claim.queue for claim in claims} == {"mine"}
    assert len(claims) == 2 + 38 // 2


def test_a_share_counts_what_several_queues_hold_together(store: Store) -> None:
    for queue in ("a", "b"):
        store.enqueue([a_job(queue=queue) for _ in range(10)], T0)
    with living_worker(store) as worker, living_worker(store):
        claims = worker.turn(free=2, plenty=100).claims
    assert len(claims) == 2 + 18 // 2


def test_a_queues_limit_holds_for_a_share(store: Store) -> None:
    store.enqueue([a_job(queue="few") for _ in range(50)], T0)
    store.set_queue("few", limit=7)
    with living_worker(store) as worker:
        assert len(worker.turn(free=1, ahead=1, plenty=100).claims) == 7


def test_a_share_ends_before_a_job_that_may_run_but_once(store: Store) -> None:
    store.enqueue([a_job(max_retries=1 if n == 6 else 3) for n in range(20)], T0)
    with living_worker(store) as worker:
        assert len(worker.turn(free=1, ahead=1, plenty=100).claims) == 6


def test_where_there_is_more_than_is_counted_there_is_plenty(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_postgres = "postgres" in type(store).__module__
    where = "postgres.claims" if of_postgres else "sqlite.engine"
    monkeypatch.setattr(f"queuectl.store.{where}.COUNTED_A_TURN", 50)
    store.enqueue([a_job() for _ in range(60)], T0)
    with living_worker(store) as worker, living_worker(store, slots=99):
        assert len(worker.turn(free=1, ahead=4, plenty=30).claims) == 35
        assert len(worker.turn(free=1, ahead=4, plenty=30).claims) == 5


@pytest.mark.parametrize("plenty", [0, 100])
def test_a_turn_tells_whether_there_may_be_more(
    store: Store, worker: LivingWorker, plenty: int
) -> None:
    assert not worker.turn(free=1, ahead=1, plenty=plenty).more
    store.enqueue([a_job() for _ in range(20)], T0)
    with living_worker(store):
        assert worker.turn(free=1, ahead=1, plenty=plenty).more
        assert not worker.turn(free=30, plenty=plenty).more


def test_a_job_that_may_run_but_once_and_is_left_is_more(
    store: Store, worker: LivingWorker
) -> None:
    store.enqueue([a_job(), a_job(max_retries=1), a_job()], T0)
    assert worker.turn(free=1, ahead=2).more
