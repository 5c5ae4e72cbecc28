"""An enqueue claims its job at once for a worker of this host that waits to be called."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from queuectl.model import PROCESSING, Turn, Want
from queuectl.store.postgres import PostgresStore
from queuectl.worker.doorbell import Bells, Doorbell, call
from store.helpers import (
    T0,
    LivingWorker,
    a_job,
    add,
    audit,
    ids,
    living_worker,
    states,
    the_end,
)

from .test_notify import hears

Open = Callable[..., PostgresStore]


@pytest.fixture
def clerk(open_store: Open) -> PostgresStore:
    """Who enqueues; the store of the worker is another."""
    return open_store()


@pytest.fixture
def worker(store: PostgresStore) -> Iterator[LivingWorker]:
    """One with two slots."""
    with living_worker(store, slots=2) as worker:
        yield worker


def turn(worker: LivingWorker, *finishes: Any, free: int = 2, ahead: int = 0) -> Turn:
    """A turn after which the worker waits to be called."""
    return worker.store.turn(worker.id, finishes, (), Want(free, ahead, waits=True), T0)


def test_a_job_is_claimed_for_a_worker_that_waits_and_brought_by_its_next_turn(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    turn(worker)
    add(clerk, "a")
    assert clerk.handed_to == worker.id
    assert states(clerk) == {"a": PROCESSING}
    (claim,) = turn(worker).claims
    assert ids([claim]) == ["a"]
    worker.finish(claim)
    audit(clerk)


def test_a_turn_that_brings_a_job_tells_that_there_may_be_more_for_another_slot(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    """One bell may have stood for both jobs."""
    turn(worker)
    add(clerk, "a", now=T0)
    add(clerk, "b", now=T0)
    first = turn(worker)
    assert ids(first.claims) == ["a"]
    assert first.more
    assert ids(turn(worker, free=1).claims) == ["b"]


def test_a_turn_that_brings_a_job_tells_that_somebody_has_cancelled_it(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    turn(worker)
    add(clerk, "a")
    clerk.cancel(["a"], T0)
    clerk.ask_stop([worker.id], 7)
    answer = turn(worker)
    assert list(answer.cancels) == [claim.token for claim in answer.claims]
    assert answer.stop == 7


def test_a_claim_that_was_given_back_unknown_is_not_brought_with_the_next_of_its_job(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    """As after an answer that was lost: else the job would run twice."""
    turn(worker)
    add(clerk, "a")
    worker.store.release(worker.id, worker.held(), T0)
    assert ids(turn(worker).claims) == ["a"]
    assert ids(turn(worker, free=1).claims) == []
    assert ids(turn(worker, free=1).claims) == []
    audit(clerk)


def test_a_job_that_comes_as_a_turn_records_an_end_takes_one_of_the_free_slots(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    add(clerk, "before")
    (running,) = turn(worker).claims
    add(clerk, "handed")
    clerk.enqueue([a_job(f"j-{n}", max_retries=1) for n in range(3)], T0)
    answer = turn(worker, the_end(running), ahead=2)
    assert sorted(ids(answer.claims)) == ["handed", "j-0"]
    assert answer.more


def test_of_two_jobs_handed_over_around_a_turn_neither_is_forgotten_nor_brought_twice(
    clerk: PostgresStore, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(clerk, "before")
    (running,) = turn(worker).claims
    add(clerk, "first")
    assert clerk.handed_to == worker.id
    store: Any = worker.store
    bring = store._handed_over

    def bring_late(worker_id: str) -> Any:
        add(clerk, "second")
        return bring(worker_id)

    monkeypatch.setattr(store, "_handed_over", bring_late)
    brought = ids(turn(worker, the_end(running)).claims)
    monkeypatch.setattr(store, "_handed_over", bring)
    brought += ids(turn(worker, free=1).claims)
    brought += ids(worker.turn(free=2).claims)
    assert sorted(brought) == ["first", "second"]
    assert clerk.get("first").worker_id == worker.id
    audit(clerk)


def test_a_worker_without_a_bell_that_can_be_seen_hears_of_its_job_through_the_server(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    """Its /tmp may be another, as a service's may, or its QUEUECTL_RUNTIME_DIR."""
    listener = worker.store.listen()
    assert listener is not None
    turn(worker)
    bells = Bells(clerk.uid)
    add(clerk, "a")
    assert clerk.handed_to == worker.id
    call(clerk, bells)
    assert hears(listener)
    listener.close()


def test_a_worker_that_has_its_bell_is_called_by_it_alone(
    clerk: PostgresStore, worker: LivingWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, bell = Doorbell(clerk.uid, "another"), Doorbell(clerk.uid, worker.id)
    monkeypatch.setattr(clerk, "announce", lambda: pytest.fail("all were called"))
    turn(worker)
    bells = Bells(clerk.uid)
    add(clerk, "a")
    call(clerk, bells)
    assert select.select([bell.fileno(), other.fileno()], [], [], 0)[0] == [bell.fileno()]
    bell.close()
    other.close()
