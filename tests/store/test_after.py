"""Jobs that wait for other jobs."""

from __future__ import annotations

import pytest

from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, RELEASED
from queuectl.store.base import Store

from .helpers import (
    HOUR,
    MINUTE,
    T0,
    LivingWorker,
    a_job,
    add,
    counted,
    ids,
    states,
    the_end,
)


def test_a_job_runs_after_the_one_it_waits_for(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    add(store, "b", after=("a",), priority=10)
    assert store.get("b").after == ("a",)
    assert store.get("b").state == PENDING
    assert ids(worker.claim(2)) == ["a"]


def test_a_job_runs_when_all_that_it_waits_for_have_completed(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    add(store, "last", after=("a", "b", "c"))
    for _ in range(3):
        assert states(store)["last"] == PENDING
        worker.run_one()
    assert ids(worker.claim()) == ["last"]


def test_one_job_frees_all_that_wait_for_it(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    add(store, "x", "y", "z", after=("a",))
    worker.run_one()
    assert ids(worker.claim(9)) == ["x", "y", "z"]


def test_a_turn_tells_how_many_jobs_it_has_set_free(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", "c")
    add(store, "x", "y", after=("a",))
    add(store, "later", after=("a",), run_at=T0 + HOUR)
    add(store, "both", after=("a", "b"))
    a, b, c = worker.claim(3)
    assert worker.turn(the_end(c)).freed == 0
    assert worker.turn(the_end(a), free=1).freed == 2
    assert worker.turn(the_end(a)).freed == 0
    assert worker.turn(the_end(b)).freed == 1


def test_a_chain_runs_link_by_link(store: Store, worker: LivingWorker) -> None:
    store.enqueue([a_job("0")], T0)
    for n in range(1, 5):
        add(store, str(n), after=(str(n - 1),))
    ran = []
    for _ in range(5):
        (claim,) = worker.claim(9)
        ran.append(claim.id)
        worker.finish(claim)
    assert ran == list("01234")


def test_a_job_named_twice_in_after_is_waited_for_once(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "b", after=("a", "a"))
    worker.run_one()
    assert ids(worker.claim()) == ["b"]


def test_jobs_that_have_completed_before_are_not_waited_for(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    worker.run_one()
    add(store, "b", after=("a",))
    assert ids(worker.claim()) == ["b"]


def test_some_completed_before_and_some_not(store: Store, worker: LivingWorker) -> None:
    add(store, "done", "open")
    worker.run_one()
    add(store, "b", after=("done", "open"))
    assert ids(worker.claim(2)) == ["open"]


def test_jobs_may_wait_for_earlier_ones_of_their_batch(
    store: Store, worker: LivingWorker
) -> None:
    store.enqueue([a_job("a"), a_job("b", after=("a",)), a_job("c", after=("b", "a"))], T0)
    ran = []
    for _ in range(3):
        (claim,) = worker.claim(9)
        ran.append(claim.id)
        worker.finish(claim)
    assert ran == ["a", "b", "c"]


def test_a_made_up_id_can_be_waited_for(store: Store, worker: LivingWorker) -> None:
    (first,) = store.enqueue([a_job()], T0)
    add(store, "b", after=(first,))
    worker.run_one()
    assert ids(worker.claim()) == ["b"]


@pytest.mark.parametrize("kind", [FAILED, RELEASED])
def test_a_job_that_will_run_again_is_still_waited_for(
    store: Store, worker: LivingWorker, kind: str
) -> None:
    add(store, "a", base=0)
    add(store, "b", after=("a",))
    worker.run_one(kind)
    assert states(store)["b"] == PENDING
    assert ids(worker.claim(2)) == ["a"]


@pytest.mark.parametrize("kind", [FAILED, CANCELLED])
def test_a_job_that_ended_without_completing_cancels_those_that_wait_for_it(
    store: Store, worker: LivingWorker, kind: str
) -> None:
    add(store, "a", max_retries=1)
    add(store, "b", after=("a",))
    add(store, "c", after=("b",))
    add(store, "other")
    worker.run_one(kind, now=T0 + 5)
    assert states(store) == {
        "a": DEAD if kind == FAILED else CANCELLED,
        "b": CANCELLED,
        "c": CANCELLED,
        "other": PENDING,
    }
    assert store.get("c").finished_at == T0 + 5
    assert store.history("b") == []
    assert ids(worker.claim(9, now=T0 + HOUR)) == ["other"]


def test_the_error_of_a_job_cancelled_so_names_the_one_it_waited_for(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", max_retries=1)
    add(store, "b", after=("a",))
    worker.run_one(FAILED)
    assert "a" in (store.get("b").error or "").split() or "a," in (store.get("b").error or "")


@pytest.mark.parametrize("end", [DEAD, CANCELLED])
def test_a_job_is_cancelled_at_once_if_one_in_after_has_ended_without_completing(
    store: Store, worker: LivingWorker, end: str
) -> None:
    add(store, "a", max_retries=1)
    worker.run_one(FAILED if end == DEAD else CANCELLED)
    add(store, "open", "done")
    for after in (("a",), ("open", "a"), ("a", "open")):
        (made_up,) = store.enqueue([a_job(after=after)], T0)
        assert store.get(made_up).state == CANCELLED
        (next_one,) = store.enqueue([a_job(after=(made_up,))], T0)
        assert store.get(next_one).state == CANCELLED
    assert counted(store)[CANCELLED] == 6 + (end == CANCELLED)
    for _ in range(2):
        worker.run_one()
    assert worker.claim(9, now=T0 + HOUR) == []


def test_a_job_with_a_time_and_others_to_wait_for_needs_both(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    add(store, "early", after=("a",), run_at=T0 + MINUTE)
    add(store, "late", after=("b",), run_at=T0 + MINUTE)
    worker.run_one(now=T0)
    assert ids(worker.claim(9, now=T0)) == ["b"]
    (b,) = worker.held()
    assert worker.turn().next_due == T0 + MINUTE
    assert ids(worker.claim(9, now=T0 + MINUTE)) == ["early"]
    store.release(worker.id, [b], T0 + MINUTE)
    worker.run_one(now=T0 + HOUR)
    assert ids(worker.claim(9, now=T0 + HOUR)) == ["late"]


def test_a_freed_job_takes_its_place_by_arrival(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    add(store, "c")
    worker.run_one()
    assert ids(worker.claim(2)) == ["b", "c"]


def test_a_job_cancelled_at_once_ended_then_whatever_becomes_of_the_others_in_after(
    store: Store,
) -> None:
    add(store, "gone", "open")
    store.cancel(["gone"], T0)
    add(store, "a", after=("gone", "open"))
    store.cancel(["open"], T0 + MINUTE)
    assert store.get("a").finished_at == T0
    assert store.prune(T0 + 1, 9) == 2
    assert states(store) == {"open": CANCELLED}


def test_a_job_revived_after_its_cancellation_waits_again(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "done")
    add(store, "b", after=("done", "a"))
    store.cancel(["b"], T0)
    worker.finish(*[claim for claim in worker.claim(2) if claim.id == "done"])
    store.retry(["b"], T0)
    assert worker.claim() == []
    store.release(worker.id, worker.held(), T0)
    worker.run_one()
    assert ids(worker.claim()) == ["b"]


def test_a_job_that_completed_once_has_freed_those_that_waited_for_good(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "other")
    add(store, "b", after=("a", "other"))
    worker.run_one()
    store.retry(["a"], T0, again=True)
    a, other = worker.claim(2)
    worker.finish(other)
    assert ids(worker.claim()) == ["b"]
    worker.finish(a, FAILED)
    assert states(store)["a"] == FAILED


def test_a_thousand_jobs_that_wait_for_one_are_freed_or_cancelled_together(
    store: Store, worker: LivingWorker
) -> None:
    for end, left in ((COMPLETED, PENDING), (CANCELLED, CANCELLED)):
        (root,) = store.enqueue([a_job()], T0)
        store.enqueue([a_job(after=(root,), queue=end) for _ in range(1_000)], T0)
        with_root = store.stats()
        worker.run_one(end)
        (info,) = [queue for queue in store.stats().queues if queue.name == end]
        assert info.counts[left] == 1_000
        assert with_root.counts[PENDING] >= 1_001
        store.set_queue(end, paused=True)


def test_dependants_are_told_all_the_way_down(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "other")
    (made_up,) = store.enqueue([a_job(after=("a", "other"))], T0)
    add(store, "c", after=(made_up, "a"))
    add(store, "d", after=("c",))
    assert store.dependants(["a"]) == {"a": [made_up, "c"], made_up: ["c"], "c": ["d"]}
    assert store.dependants(["c", "nowhere", made_up]) == {made_up: ["c"], "c": ["d"]}
    assert store.dependants(["d"]) == {}
    worker.run_one()
    assert store.dependants(["a"]) == {}
    assert store.dependants(["other"]) == {"other": [made_up], made_up: ["c"], "c": ["d"]}


def test_what_a_job_still_waits_for_is_told(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "other")
    (made_up,) = store.enqueue([a_job(after=("other", "a"))], T0)
    add(store, "c", after=(made_up,))
    asked = ["a", made_up, "nowhere", "c"]
    assert store.needs(asked) == {made_up: ["a", "other"], "c": [made_up]}
    worker.run_one()
    store.retry(["a"], T0, again=True)
    store.cancel(["a"], T0)
    assert store.needs([made_up]) == {made_up: ["other"]}
    worker.run_one()
    assert store.needs([made_up]) == {}
