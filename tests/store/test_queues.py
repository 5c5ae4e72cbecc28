"""Queues: which ones a worker serves, paused ones, limits on runs at a time."""

from __future__ import annotations

import pytest

from queuectl.model import FAILED, PENDING, PROCESSING, Filter, QueueInfo
from queuectl.store.base import Store

from .helpers import HOUR, T0, LivingWorker, a_job, add, ids, living_worker, the_end


def queue(store: Store, name: str) -> QueueInfo:
    (found,) = [queue for queue in store.stats().queues if queue.name == name]
    return found


def test_a_worker_claims_from_its_own_queues_only(store: Store) -> None:
    store.enqueue([a_job(name, queue=name) for name in ("x", "y", "z", "default")], T0)
    with living_worker(store, queues=("x", "z", "not-yet-there")) as worker:
        assert ids(worker.claim(9)) == ["x", "z"]
    with living_worker(store) as worker:
        assert ids(worker.claim(9)) == ["y", "default"]


def test_a_queue_that_comes_into_being_later_is_served(store: Store) -> None:
    with living_worker(store, queues=("new",)) as worker:
        assert worker.claim() == []
        add(store, "a", queue="new")
        claim = worker.claim_one()
        assert (claim.id, claim.queue) == ("a", "new")


def test_queues_come_into_being_with_their_first_job(store: Store) -> None:
    add(store, "a", queue="mail")
    info = queue(store, "mail")
    assert (info.paused, info.limit) == (False, None)
    assert {state: n for state, n in info.counts.items() if n} == {PENDING: 1}


def test_nothing_is_claimed_from_a_paused_queue_until_it_is_resumed(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", queue="mail")
    add(store, "b")
    store.set_queue("mail", paused=True)
    assert queue(store, "mail").paused
    assert ids(worker.claim(9)) == ["b"]
    store.set_queue("mail", paused=False)
    assert not queue(store, "mail").paused
    assert ids(worker.claim(9)) == ["a"]


def test_what_runs_in_a_paused_queue_is_finished(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", base=0)
    claims = worker.claim(2)
    store.set_queue("default", paused=True)
    worker.finish(claims[0])
    turn = worker.turn(the_end(claims[1], FAILED), free=5, now=T0 + HOUR)
    assert (list(turn.claims), list(turn.refused)) == ([], [])


def test_jobs_may_be_added_to_a_paused_queue(store: Store, worker: LivingWorker) -> None:
    store.set_queue("mail", paused=True)
    add(store, "a", queue="mail")
    assert worker.claim() == []
    assert queue(store, "mail").counts[PENDING] == 1


def test_a_queue_may_be_set_up_before_its_first_job(store: Store) -> None:
    store.set_queue("fresh", limit=2)
    assert (queue(store, "fresh").paused, queue(store, "fresh").limit) == (False, 2)


def test_pause_and_limit_do_not_undo_each_other(store: Store) -> None:
    store.set_queue("q", limit=2)
    store.set_queue("q", paused=True)
    assert (queue(store, "q").paused, queue(store, "q").limit) == (True, 2)
    store.set_queue("q", limit=3)
    assert (queue(store, "q").paused, queue(store, "q").limit) == (True, 3)
    store.set_queue("q", paused=False, limit=0)
    assert (queue(store, "q").paused, queue(store, "q").limit) == (False, None)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_no_more_runs_at_a_time_than_the_limit_over_all_workers(
    store: Store, worker: LivingWorker, other_worker: LivingWorker, limit: int
) -> None:
    store.set_queue("mail", limit=limit)
    store.enqueue([a_job(queue="mail") for _ in range(9)], T0)
    running = worker.claim(1, ahead=1) + other_worker.claim(5, ahead=5) + worker.claim(5)
    assert len(running) == limit
    assert queue(store, "mail").counts[PROCESSING] == limit


def test_a_run_that_ends_makes_room_in_the_same_turn(
    store: Store, worker: LivingWorker
) -> None:
    store.set_queue("mail", limit=1)
    add(store, "a", "b", "c", queue="mail")
    turn = worker.turn(the_end(worker.claim_one()), free=3)
    assert ids(turn.claims) == ["b"]


def test_a_claim_given_back_makes_room(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    store.set_queue("default", limit=1)
    add(store, "a", "b")
    claim = worker.claim_one()
    assert other_worker.claim() == []
    store.release(worker.id, [claim.token], T0)
    assert ids(other_worker.claim(2)) == ["a"]


def test_a_full_queue_does_not_hold_up_the_others(store: Store, worker: LivingWorker) -> None:
    store.set_queue("mail", limit=1)
    add(store, "m1", "m2", "m3", queue="mail", priority=9)
    add(store, "d1", "d2", priority=1)
    assert ids(worker.claim(3)) == ["m1", "d1", "d2"]


def test_a_lowered_limit_ends_nothing_and_holds_for_the_next_claims(
    store: Store, worker: LivingWorker
) -> None:
    add(store, *"abcd")
    running = worker.claim(3)
    store.set_queue("default", limit=1)
    assert worker.claim(1) == []
    for claim in running[:2]:
        assert list(worker.turn(the_end(claim), free=1).claims) == []
    assert ids(worker.turn(the_end(running[2]), free=1).claims) == ["d"]


def test_a_limit_of_nothing_lets_all_run(store: Store, worker: LivingWorker) -> None:
    store.set_queue("default", limit=1)
    add(store, "a", "b", "c")
    store.set_queue("default", limit=0)
    assert len(worker.claim(9)) == 3


def test_counts_are_kept_for_each_queue(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", queue="x")
    add(store, "c", queue="y")
    worker.run_one(FAILED)
    shown = {
        name: {state: n for state, n in queue(store, name).counts.items() if n}
        for name in ("x", "y")
    }
    assert shown == {"x": {FAILED: 1, PENDING: 1}, "y": {PENDING: 1}}


def test_what_is_no_text_is_refused_where_it_is_looked_for(store: Store) -> None:
    """The command line says that it is no valid Unicode: exit 2, whatever the store."""
    for look in (
        lambda: store.get("\udcff"),
        lambda: store.list_jobs(Filter(queue="\udcff")),
        lambda: store.list_jobs(Filter(tag="x\udcff")),
    ):
        with pytest.raises(UnicodeEncodeError):
            look()
