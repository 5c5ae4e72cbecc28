"""What falls due: scheduled jobs, retries, floods of both, and when the next one comes (P5)."""

from __future__ import annotations

from queuectl.model import FAILED
from queuectl.store.base import Store

from .helpers import (
    HOUR,
    MINUTE,
    SECOND,
    T0,
    LivingWorker,
    a_job,
    add,
    ids,
)


def test_a_scheduled_job_is_claimed_from_its_time_on(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "later", run_at=T0 + MINUTE)
    assert worker.claim(now=T0 + MINUTE - 1) == []
    assert ids(worker.claim(now=T0 + MINUTE)) == ["later"]
    assert store.get("later").run_at == T0 + MINUTE


def test_a_failed_job_is_claimed_again_after_its_backoff(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", base=2)
    worker.run_one(FAILED)
    job = store.get("a")
    assert (job.state, job.due_at) == (FAILED, T0 + 2 * SECOND)
    assert worker.claim(now=T0 + 2 * SECOND - 1) == []
    assert worker.claim_one(now=T0 + 2 * SECOND).attempt == 2


def test_a_retry_keeps_its_place(store: Store, worker: LivingWorker) -> None:
    add(store, "first", base=2)
    worker.run_one(FAILED)
    add(store, "second", "third")
    assert ids(worker.claim(1, now=T0 + HOUR)) == ["first"]
    assert ids(worker.claim(2, now=T0 + HOUR)) == ["second", "third"]


def test_a_job_that_falls_due_takes_its_place_by_priority_and_arrival(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "scheduled", run_at=T0 + MINUTE)
    add(store, "plain")
    add(store, "high", run_at=T0 + MINUTE, priority=9)
    assert ids(worker.claim(3, now=T0 + MINUTE)) == ["high", "scheduled", "plain"]


def test_many_jobs_that_fall_due_at_once_are_all_claimed_in_time(
    store: Store, worker: LivingWorker
) -> None:
    store.enqueue([a_job(run_at=T0 + SECOND) for _ in range(1_200)], T0)
    taken: list[str] = []
    for _turn in range(12):
        taken += ids(worker.claim(400, now=T0 + SECOND))
    assert len(set(taken)) == len(taken) == 1_200


def test_priority_decides_among_however_many_that_fall_due_at_once(
    store: Store, worker: LivingWorker
) -> None:
    due = T0 + SECOND
    store.enqueue([a_job(run_at=due, priority=1 + n % 2) for n in range(1_200)], T0)
    store.enqueue([a_job(f"first-{n}", run_at=due, priority=9) for n in range(3)], T0)
    add(store, "urgent", run_at=due, priority=10)
    assert ids(worker.claim(3, now=due)) == ["urgent", "first-0", "first-1"]
    assert worker.claim_one(now=due).id == "first-2"
    while claims := worker.claim(250, now=due):
        priorities = [store.get(claim.id).priority for claim in (claims[0], claims[-1])]
        assert priorities in ([2, 2], [2, 1], [1, 1])


def test_priority_decides_among_what_falls_due_where_only_plenty_is_wanted(
    store: Store, worker: LivingWorker
) -> None:
    due = T0 + SECOND
    store.enqueue([a_job(run_at=due, priority=1) for _ in range(1_200)], T0)
    add(store, "urgent", "first", run_at=due, priority=9)
    assert ids(worker.turn(plenty=3, now=due).claims)[:2] == ["urgent", "first"]


def test_what_falls_due_in_a_paused_queue_does_not_hold_up_the_others(
    store: Store, worker: LivingWorker
) -> None:
    store.enqueue([a_job(queue="paused", run_at=T0 + SECOND) for _ in range(1_200)], T0)
    store.set_queue("paused", paused=True)
    add(store, "mine", run_at=T0 + MINUTE)
    assert ids(worker.claim(now=T0 + MINUTE)) == ["mine"]


def test_what_falls_due_in_a_queue_at_its_limit_does_not_hold_up_the_others(
    store: Store, worker: LivingWorker
) -> None:
    store.set_queue("full", limit=1)
    add(store, "runs", queue="full")
    assert ids(worker.claim()) == ["runs"]
    due = T0 + SECOND
    store.enqueue([a_job(queue="full", run_at=due, priority=10) for _ in range(1_200)], T0)
    add(store, "mine", "other", run_at=T0 + MINUTE)
    assert ids(worker.claim(2, now=T0 + MINUTE)) == ["mine", "other"]


def test_of_a_queue_with_a_limit_no_more_comes_before_the_others_than_may_run(
    store: Store, worker: LivingWorker
) -> None:
    store.set_queue("two", limit=2)
    due = T0 + SECOND
    store.enqueue([a_job(run_at=due, priority=1) for _ in range(600)], T0)
    for priority in (10, 9):
        names = [f"{priority}-{n}" for n in range(3)]
        add(store, *names, queue="two", priority=priority, run_at=T0 + MINUTE)
    add(store, "mine", priority=8, run_at=T0 + MINUTE)
    assert ids(worker.claim(3, now=T0 + MINUTE)) == ["10-0", "10-1", "mine"]


def test_what_falls_due_at_once_in_many_queues_comes_in_the_same_order(
    store: Store, worker: LivingWorker
) -> None:
    due = T0 + SECOND
    store.enqueue([a_job(queue=f"q{n % 30}", run_at=due) for n in range(900)], T0)
    late = T0 + MINUTE
    jobs = [a_job(f"late-{n}", queue=f"q{29 - n}", priority=7, run_at=late) for n in range(9)]
    store.enqueue(jobs, T0)
    assert ids(worker.claim(5, now=late)) == [f"late-{n}" for n in range(5)]
    assert ids(worker.claim(4, now=late)) == [f"late-{n}" for n in range(5, 9)]


def test_next_due_is_when_the_next_job_falls_due(store: Store, worker: LivingWorker) -> None:
    assert worker.turn().next_due is None
    add(store, "a", run_at=T0 + 2 * HOUR)
    add(store, "b", run_at=T0 + HOUR)
    assert worker.turn(free=1).next_due == T0 + HOUR
    assert ids(worker.claim(now=T0 + HOUR)) == ["b"]
    assert worker.turn(free=1, now=T0 + HOUR).next_due == T0 + 2 * HOUR


def test_next_due_counts_jobs_that_wait_out_their_backoff(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", base=2)
    worker.run_one(FAILED)
    assert worker.turn(free=1).next_due == T0 + 2 * SECOND


def test_next_due_passes_over_jobs_that_other_things_hold_back(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    add(store, "waits", after=("a",), run_at=T0 + MINUTE)
    assert worker.turn().next_due is None


def test_next_due_passes_over_what_is_gone(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", run_at=T0 + MINUTE)
    store.cancel(["a"], T0)
    store.delete(["b"], T0)
    assert worker.turn().next_due is None
