"""Workers: registration, heartbeats, leaving, being asked to stop."""

from __future__ import annotations

import pytest

from queuectl.errors import Refused, WorkerGone
from queuectl.model import PROCESSING, Worker
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import HOUR, T0, LivingWorker, a_worker, add, living_worker, states


def only(store: Store) -> Worker:
    (worker,) = store.workers()
    return worker


def test_a_registered_worker_is_shown_as_it_came(store: Store, another: Store) -> None:
    fields = {
        "host": "here",
        "pid": 4711,
        "supervisor_pid": 4710,
        "slots": 3,
        "queues": ("mail", "default"),
        "started_at": T0 + 5,
        "heartbeat_at": T0 + 5,
        "version": "1.2.3",
    }
    with living_worker(store, "w-1", **fields):
        assert only(another) == a_worker("w-1", **fields)


def test_workers_show_the_jobs_that_they_hold(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, *"abc")
    worker.claim(2)
    other_worker.claim(1)
    jobs = {shown.id: sorted(shown.jobs) for shown in store.workers()}
    assert jobs == {worker.id: ["a", "b"], other_worker.id: ["c"]}


def test_a_heartbeat_is_shown(store: Store, worker: LivingWorker) -> None:
    store.heartbeat(worker.id, T0 + HOUR)
    assert only(store).heartbeat_at == T0 + HOUR
    assert only(store).started_at == T0


def test_a_worker_that_leaves_is_gone(store: Store, worker: LivingWorker) -> None:
    store.unregister(worker.id)
    assert store.workers() == []
    with pytest.raises(WorkerGone):
        worker.turn(free=1)
    with pytest.raises(WorkerGone):
        store.heartbeat(worker.id, T0)


def test_a_worker_that_holds_a_job_may_not_leave(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    with pytest.raises(Refused) as refusal:
        store.unregister(worker.id)
    assert not isinstance(refusal.value, WorkerGone)
    assert worker.held() == {claim.token: claim.seq}
    worker.finish(claim)
    store.unregister(worker.id)
    assert store.workers() == []


def test_a_worker_may_leave_after_giving_back_what_it_holds(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    store.release(worker.id, [worker.claim_one().token], T0)
    store.unregister(worker.id)
    assert store.workers() == []


def test_an_asked_worker_learns_how_long_its_jobs_may_take(
    store: Store, another: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    assert worker.turn(free=1).stop is None
    another.ask_stop([worker.id], 12.5)
    assert worker.turn(free=1).stop == 12.5
    assert worker.turn().stop == 12.5
    assert other_worker.turn(free=1).stop is None
    shown = {w.id: w.state for w in store.workers()}
    assert shown == {worker.id: "stopping", other_worker.id: "running"}


def test_a_worker_can_be_asked_to_hurry(store: Store, worker: LivingWorker) -> None:
    store.ask_stop([worker.id], 30)
    store.ask_stop([worker.id], 0)
    assert worker.turn().stop == 0
    store.ask_stop([worker.id], 30)
    assert worker.turn().stop == 0, "the shortest wish holds"


def test_asking_several_or_unknown_workers_to_stop_is_harmless(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    store.ask_stop([worker.id, "nobody", other_worker.id], 7)
    assert (worker.turn().stop, other_worker.turn().stop) == (7, 7)
    store.ask_stop([], 1)


def test_a_worker_that_was_asked_to_stop_can_still_finish(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    claim = worker.claim_one()
    store.ask_stop([worker.id], 5)
    assert states(store)["a"] == PROCESSING
    worker.finish(claim)


def test_workers_are_told_apart_by_identity_not_by_host_or_pid(store: Store) -> None:
    add(store, "a")
    with living_worker(store) as first, living_worker(store) as second:
        claim = first.claim_one()
        assert second.held() == {}
        first.die()
        store.rescue(first.id, None, T0)
        assert [w.id for w in store.workers()] == [second.id]
        assert second.turn(free=0) is not None
        assert claim.id == "a"


def test_a_worker_of_another_pid_namespace_is_refused_by_a_store_of_one_host(
    store: Store, backend: SqliteBackend, worker: LivingWorker
) -> None:
    if backend.name != "sqlite":
        pytest.skip("a networked store is shared by hosts and containers")
    with pytest.raises(Refused, match="namespace"):
        LivingWorker(store, pid_namespace="pid:[1]")
    assert [w.id for w in store.workers()] == [worker.id]


def test_a_worker_of_another_pid_namespace_may_come_when_the_others_are_gone(
    store: Store, backend: SqliteBackend, worker: LivingWorker
) -> None:
    if backend.name != "sqlite":
        pytest.skip("a networked store is shared by hosts and containers")
    worker.leave()
    store.rescue(worker.id, None, T0)
    with living_worker(store, pid_namespace="pid:[1]") as newcomer:
        assert [w.id for w in store.workers()] == [newcomer.id]
