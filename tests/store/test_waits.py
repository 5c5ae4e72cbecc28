"""A worker that waits to be called: an enqueue may claim for it, and nothing else changes."""

from __future__ import annotations

import pytest

from queuectl.errors import Refused
from queuectl.model import COMPLETED, PROCESSING
from queuectl.store.base import Store

from .helpers import T0, LivingWorker, a_job, counted, ids, living_worker, states


@pytest.fixture
def waiting(worker: LivingWorker) -> LivingWorker:
    """A worker that has found nothing and waits."""
    assert not worker.turn(free=1, waits=True).claims
    return worker


def test_a_job_comes_to_who_waits_for_it_and_to_nobody_else(
    store: Store, waiting: LivingWorker
) -> None:
    with living_worker(store) as other:
        store.enqueue([a_job(id="a")], T0)
        if store.handed_to is not None:
            assert not other.turn(free=1).claims
        (claim,) = waiting.turn(free=1, waits=True).claims
        assert claim.id == "a"
        assert not waiting.turn(free=1, waits=True).claims
        assert not other.turn(free=1).claims
        waiting.finish(claim)
    assert states(store) == {"a": COMPLETED}
    assert counted(store) == {COMPLETED: 1}
    assert store.metrics(9).events["started"] == 1


def test_a_claim_says_the_same_whoever_made_it(store: Store, worker: LivingWorker) -> None:
    job = a_job(queue="lane", tags=("t",), env={"A": "b"}, captured={"PATH": "/x"}, cwd="/c")
    store.enqueue([job.replace(id="first")], T0)
    ordinary = worker.claim_one()
    worker.finish(ordinary)
    assert not worker.turn(free=1, waits=True).claims
    store.enqueue([job.replace(id="second")], T0)
    handed = worker.claim_one()
    assert handed.replace(seq=ordinary.seq, token=ordinary.token, id="first") == ordinary
    (run,) = store.history("second")
    assert (run.outcome, run.token, run.attempt) == (PROCESSING, handed.token, 1)


@pytest.mark.parametrize(
    "fields",
    [{"run_at": T0 + 10_000}, {"after": ("first",)}, {"queue": "paused"}, {"queue": "full"}],
    ids=lambda fields: next(iter(fields)),
)
def test_a_job_that_can_not_start_yet_goes_to_nobody(
    store: Store, worker: LivingWorker, fields: dict[str, object]
) -> None:
    store.set_queue("paused", paused=True)
    store.set_queue("full", limit=1)
    store.enqueue([a_job(id="first", queue="full")], T0)
    with living_worker(store) as other:
        other.claim_one()
        assert not worker.turn(free=1, waits=True).claims
        store.enqueue([a_job(id="second", **fields)], T0)
        assert store.handed_to is None
        assert not worker.turn(free=1, waits=True).claims


def test_a_job_of_a_queue_that_the_worker_does_not_serve_goes_to_others(store: Store) -> None:
    with living_worker(store, queues=("a",)) as a, living_worker(store, queues=("b",)) as b:
        assert not a.turn(free=1, waits=True).claims
        store.enqueue([a_job(id="for b", queue="b")], T0)
        assert not a.turn(free=1, waits=True).claims
        assert ids(b.claim()) == ["for b"]


def test_who_waits_gets_what_comes_first(store: Store, waiting: LivingWorker) -> None:
    jobs = [a_job(id="urgent", priority=9), a_job(id="first"), a_job(id="second")]
    store.enqueue(jobs, T0)
    store.enqueue([a_job(id="third")], T0)
    assert store.handed_to is None
    order = [waiting.run_one().id for _ in range(4)]
    assert order == ["urgent", "first", "second", "third"]


def test_what_fell_due_comes_before_what_is_new(store: Store, waiting: LivingWorker) -> None:
    store.enqueue([a_job(id="due", run_at=T0 + 10, priority=9)], T0)
    store.enqueue([a_job(id="new")], T0 + 20)
    assert waiting.claim_one(now=T0 + 20).id == "due"


def test_each_of_those_who_wait_gets_one(store: Store) -> None:
    with living_worker(store) as a, living_worker(store) as b:
        for worker in (a, b):
            assert not worker.turn(free=1, waits=True).claims
        store.enqueue([a_job(id="1")], T0)
        first = store.handed_to
        store.enqueue([a_job(id="2")], T0)
        assert first is None or {first, store.handed_to} == {a.id, b.id}
        got = [*a.turn(free=1).claims, *b.turn(free=1).claims]
    assert sorted(ids(got)) == ["1", "2"]


def test_a_worker_with_more_than_one_free_slot_gets_all(store: Store) -> None:
    with living_worker(store, slots=3) as worker:
        assert not worker.turn(free=3, waits=True).claims
        for name in "abc":
            store.enqueue([a_job(id=name)], T0)
        got = list(worker.turn(free=3, waits=True).claims)
        while len(got) < 3:
            more = worker.turn(free=3 - len(got), waits=True).claims
            assert more
            got += more
    assert ids(got) == ["a", "b", "c"]


def test_who_does_not_wait_any_more_gets_nothing(store: Store, waiting: LivingWorker) -> None:
    assert not waiting.turn(free=1).claims
    store.enqueue([a_job()], T0)
    assert store.handed_to is None


def test_who_was_told_to_stop_gets_nothing(store: Store, waiting: LivingWorker) -> None:
    store.ask_stop([waiting.id], 10.0)
    store.enqueue([a_job()], T0)
    assert store.handed_to is None


def test_who_asked_what_it_holds_gets_nothing(store: Store, waiting: LivingWorker) -> None:
    assert waiting.held() == {}
    store.enqueue([a_job()], T0)
    assert store.handed_to is None


def test_what_was_told_as_held_does_not_come_with_a_turn(
    store: Store, waiting: LivingWorker
) -> None:
    store.enqueue([a_job(id="a")], T0)
    if store.handed_to is not None:
        assert list(waiting.held().values()) == [store.get("a").seq]
        assert not waiting.turn(free=1, waits=True).claims


def test_what_came_is_among_what_is_held_and_can_be_given_back(
    store: Store, waiting: LivingWorker
) -> None:
    store.enqueue([a_job(id="a")], T0)
    if store.handed_to is None:
        waiting.claim_one()
    store.release(waiting.id, waiting.held(), T0)
    assert counted(store) == {"pending": 1}
    assert store.get("a").attempts == 0
    assert waiting.claim_one().id == "a"


def test_a_worker_does_not_leave_with_what_came_for_it(
    store: Store, waiting: LivingWorker
) -> None:
    store.enqueue([a_job(id="a")], T0)
    if store.handed_to is not None:
        with pytest.raises(Refused):
            store.unregister(waiting.id)
        store.release(waiting.id, waiting.held(), T0)
    store.unregister(waiting.id)
    with living_worker(store) as other:
        assert other.claim_one().id == "a"


def test_what_came_to_a_worker_that_died_goes_back_uncharged(
    store: Store, waiting: LivingWorker
) -> None:
    store.enqueue([a_job(id="a", max_retries=1)], T0)
    held = waiting.held()
    waiting.die()
    assert store.rescue(waiting.id, held, T0) == []
    assert store.get("a").attempts == 0
    with living_worker(store) as other:
        assert other.claim_one().id == "a"


def test_a_stopping_worker_hears_of_what_came_for_it(
    store: Store, waiting: LivingWorker
) -> None:
    store.enqueue([a_job(id="a")], T0)
    claims = waiting.turn(free=0).claims
    assert ids(claims) == (["a"] if store.handed_to else [])


def test_several_jobs_at_once_go_to_nobody(store: Store, waiting: LivingWorker) -> None:
    store.enqueue([a_job(id="a"), a_job(id="b")], T0)
    assert store.handed_to is None
    assert ids(waiting.claim(2)) == ["a", "b"]
