"""Counts, lists, totals and the mark by which changes are noticed."""

from __future__ import annotations

import pytest

from queuectl.errors import JobNotFound
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    LAST_DIED,
    LONGEST_RUNNING,
    PENDING,
    PROCESSING,
    STATES,
    TIMEOUT,
    Chunk,
    Filter,
    OutputPart,
)
from queuectl.store.base import Store

from .helpers import HOUR, MINUTE, T0, LivingWorker, a_job, add, counted, ids, the_end

# -- stats ---------------------------------------------------------------------------------


def test_counts_have_every_state(store: Store) -> None:
    stats = store.stats()
    assert dict(stats.counts) == dict.fromkeys(STATES, 0)
    assert stats.oldest_due_at is None


def test_counts_follow_the_jobs_through_all_states(store: Store, worker: LivingWorker) -> None:
    add(store, "completed")
    worker.run_one()
    add(store, "dead", max_retries=1)
    worker.run_one(FAILED)
    add(store, "failed")
    worker.run_one(FAILED)
    add(store, "cancelled")
    store.cancel(["cancelled"], T0)
    add(store, "processing")
    worker.claim_one()
    add(store, "pending")
    assert dict(store.stats().counts) == dict.fromkeys(STATES, 1)


def test_counts_are_never_below_zero_after_jobs_go(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", "c", "d", max_retries=1)
    worker.run_one()
    worker.run_one(FAILED)
    store.delete(["a", "c"], T0)
    store.prune(T0 + 1, 10)
    assert counted(store) == {PENDING: 1}


def test_the_oldest_due_job_is_named_by_its_time(store: Store, worker: LivingWorker) -> None:
    add(store, "later", run_at=T0 + HOUR)
    assert store.stats().oldest_due_at is None
    add(store, "b", now=T0 - MINUTE)
    add(store, "a", now=T0 - HOUR, queue="other")
    stats = store.stats()
    assert stats.oldest_due_at == T0 - HOUR
    named = {queue.name: queue.oldest_due_at for queue in stats.queues}
    assert named == {"default": T0 - MINUTE, "other": T0 - HOUR}
    assert sorted(ids(worker.claim(2))) == ["a", "b"]
    assert store.stats().oldest_due_at is None


def test_a_job_that_waits_for_others_is_not_due(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    add(store, "b", after=("a",))
    worker.claim_one()
    assert store.stats().oldest_due_at is None


# -- get and list --------------------------------------------------------------------------


@pytest.mark.parametrize("id", ["ghost", "j1", "j99", "", "@all", "a\x00b", "j" + "9" * 40])
def test_a_job_that_is_not_there_is_named_in_the_error(store: Store, id: str) -> None:
    for look in (store.get, store.history):
        with pytest.raises(JobNotFound) as missing:
            look(id)
        assert missing.value.job_id == id


@pytest.fixture
def listed(store: Store, worker: LivingWorker) -> Store:
    """Jobs made a minute apart: done, dead, failed, running, waiting, called-off."""
    spec = [
        ("done", COMPLETED, "default", ("red",)),
        ("dead", FAILED, "mail", ("red", "blue")),
        ("failed", FAILED, "mail", ()),
        ("running", None, "default", ("blue",)),
        ("waiting", None, "mail", ("red",)),
        ("called-off", None, "default", ()),
    ]
    for minute, (id, kind, queue, tags) in enumerate(spec):
        now = T0 + minute * MINUTE
        retries = 1 if id == "dead" else 3
        add(store, id, queue=queue, tags=tags, max_retries=retries, base=1_000, now=now)
        if kind:
            worker.run_one(kind, now=now)
        elif id == "running":
            worker.claim_one(now=now)
    store.cancel(["called-off"], T0 + 6 * MINUTE)
    return store


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Filter(), "called-off waiting running failed dead done"),
        (Filter(limit=2), "called-off waiting"),
        (Filter(limit=0), ""),
        (Filter(states=(DEAD,)), "dead"),
        (Filter(states=(COMPLETED, PENDING, CANCELLED)), "called-off waiting done"),
        (Filter(states=STATES, limit=3), "called-off waiting running"),
        (Filter(queue="mail"), "waiting failed dead"),
        (Filter(queue="nowhere"), ""),
        (Filter(queue="mail", states=(FAILED, PROCESSING)), "failed"),
        (Filter(tag="red"), "waiting dead done"),
        (Filter(tag="nothing"), ""),
        (Filter(tag="blue", states=(DEAD,), queue="mail"), "dead"),
        (Filter(tag="red", limit=1), "waiting"),
        (Filter(tag="red", since=T0 + MINUTE), "waiting dead"),
        (Filter(since=T0 + 4 * MINUTE), "called-off waiting"),
        (Filter(since=T0 + 4 * MINUTE, states=(PENDING, DEAD)), "waiting"),
        (Filter(ended_before=T0 + MINUTE + 1), "dead done"),
        (Filter(ended_before=T0 + MINUTE), "done"),
        (Filter(ended_before=T0 + HOUR), "called-off dead done"),
        (Filter(ended_before=T0 + HOUR, states=(DEAD, FAILED)), "dead"),
        (Filter(ended_before=T0 + HOUR, tag="red"), "dead done"),
    ],
)
def test_lists_show_the_jobs_that_fit_newest_first(
    listed: Store, which: Filter, expected: str
) -> None:
    assert ids(listed.list_jobs(which)) == expected.split()


@pytest.fixture
def crossed(store: Store, worker: LivingWorker) -> Store:
    """Three jobs that died and three that run, a minute apart, none in the order in which
    they came; beside them one of every other state."""
    for kind in ("dead", "run"):
        add(store, f"{kind}3", now=T0, queue="mail", priority=1, max_retries=1)
        add(store, f"{kind}1", now=T0 + 1, tags=("red",), priority=7, max_retries=1)
        add(store, f"{kind}2", now=T0 + 2, queue="mail", tags=("red",), max_retries=1)
        for now in range(T0 + MINUTE, T0 + 4 * MINUTE, MINUTE):
            claim = worker.claim_one(now)
            if kind == "dead":
                worker.finish(claim, FAILED, now)
    add(store, "failed", "done", "waiting", priority=9)
    worker.run_one(FAILED, T0 + HOUR)
    worker.run_one(now=T0 + HOUR)
    store.cancel(add(store, "off"), T0 + HOUR)
    return store


@pytest.mark.parametrize(
    ("which", "running", "dead"),
    [
        (Filter(), "1 2 3", "3 2 1"),
        (Filter(limit=1), "1", "3"),
        (Filter(limit=2), "1 2", "3 2"),
        (Filter(limit=0), "", ""),
        (Filter(queue="mail"), "2 3", "3 2"),
        (Filter(queue="mail", limit=1), "2", "3"),
        (Filter(queue="nowhere"), "", ""),
        (Filter(tag="red"), "1 2", "2 1"),
        (Filter(tag="red", queue="mail"), "2", "2"),
        (Filter(tag="nothing"), "", ""),
        (Filter(since=T0 + 1), "1 2", "2 1"),
        (Filter(ended_before=T0 + 3 * MINUTE), "", "2 1"),
        (Filter(states=(PENDING,)), "1 2 3", "3 2 1"),
    ],
)
def test_what_has_run_the_longest_and_what_died_last_can_come_first(
    crossed: Store, which: Filter, running: str, dead: str
) -> None:
    for order, kind, expected in ((LONGEST_RUNNING, "run", running), (LAST_DIED, "dead", dead)):
        jobs = crossed.list_jobs(which.replace(order=order))
        assert ids(jobs) == [kind + number for number in expected.split()]
        assert [crossed.get(job.id) for job in jobs] == jobs


def test_a_listed_job_is_the_job(listed: Store) -> None:
    for which in (Filter(), Filter(states=STATES), Filter(tag="red")):
        for job in listed.list_jobs(which):
            assert job == listed.get(job.id)


# -- metrics -------------------------------------------------------------------------------


def test_the_events_of_a_new_store_are_all_zero(store: Store) -> None:
    metrics = store.metrics(10)
    named = {name: metrics.events[name] for name in _EVENTS}
    assert named == dict.fromkeys(_EVENTS, 0)
    assert (list(metrics.durations), metrics.span, list(metrics.recent)) == ([], None, [])


_EVENTS = ("enqueued", "started", "completed", "failed", "dlq")


def test_events_are_counted_as_they_happen(store: Store, worker: LivingWorker) -> None:
    add(store, "good", "bad", max_retries=2, base=0)
    worker.run_one()
    worker.run_one(FAILED)
    worker.run_one(TIMEOUT)
    events = store.metrics(0).events
    named = {name: events[name] for name in _EVENTS}
    assert named == {"enqueued": 2, "started": 3, "completed": 1, "failed": 2, "dlq": 1}


def test_totals_survive_deletion_and_pruning(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", "c", max_retries=1)
    worker.run_one()
    worker.run_one(FAILED)
    before = store.metrics(0).events
    store.prune(T0 + 1, 1)
    store.delete(["b" if "b" in {j.id for j in store.list_jobs(Filter())} else "a", "c"], T0)
    assert store.metrics(0).events == before


def test_a_refused_finish_and_a_release_are_not_counted(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a")
    before = store.metrics(10)
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    worker.turn(the_end(claim, FAILED))
    assert store.metrics(10) == before


def test_durations_are_those_of_the_last_runs_newest_first(
    store: Store, worker: LivingWorker
) -> None:
    for number in range(3):
        add(store, f"n{number}")
        worker.run_one(now=T0 + number * MINUTE, duration=float(number))
    metrics = store.metrics(0)
    assert list(metrics.durations) == [2.0, 1.0, 0.0]
    assert metrics.span == (T0, T0 + 2 * MINUTE)


def test_durations_are_kept_of_a_thousand_runs(store: Store, worker: LivingWorker) -> None:
    store.enqueue([a_job() for _ in range(1_010)], T0)
    claims = worker.claim(1_010)
    worker.turn(*[the_end(claim, duration=float(n)) for n, claim in enumerate(claims)])
    durations = list(store.metrics(0).durations)
    assert len(durations) == 1_000
    assert sorted(durations) == [float(n) for n in range(10, 1_010)]


def test_a_long_run_that_ended_last_comes_first_though_a_thousand_were_started_later(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "long")
    long = worker.claim_one()
    store.enqueue([a_job() for _ in range(1_100)], T0)
    while claims := worker.claim(100):
        worker.turn(*[the_end(claim, now=T0 + 1) for claim in claims])
    worker.finish(long, now=T0 + 2, duration=600.0)
    metrics = store.metrics(2)
    assert [event.id for event in metrics.recent][:1] == ["long"]
    assert max(metrics.durations) == 600.0


def test_recent_events_come_newest_first_and_no_more_than_asked_for(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "good", "bad")
    worker.run_one(now=T0 + 1, duration=1.5)
    worker.run_one(FAILED, now=T0 + 2, error="exit code 9")
    recent = list(store.metrics(10).recent)
    assert [(event.id, event.at) for event in recent[:2]] == [("bad", T0 + 2), ("good", T0 + 1)]
    assert (recent[0].event, recent[0].error) == (FAILED, "exit code 9")
    assert (recent[1].event, recent[1].duration, recent[1].error) == (COMPLETED, 1.5, None)
    assert list(store.metrics(1).recent) == recent[:1]
    assert list(store.metrics(0).recent) == []


# -- change mark ---------------------------------------------------------------------------


def test_the_mark_stays_while_nothing_changes(store: Store, another: Store) -> None:
    add(store, "a")
    for connection in (store, another):
        mark = connection.change_mark()
        store.get("a"), another.stats(), another.list_jobs(Filter())
        assert connection.change_mark() == mark


def test_every_change_by_another_connection_moves_the_mark(
    store: Store, another: Store, worker: LivingWorker
) -> None:
    def moved(what: str) -> None:
        nonlocal mark
        now = another.change_mark()
        assert now != mark, what
        mark = now

    mark = another.change_mark()
    add(store, "a", "b", "c")
    moved("enqueue")
    claim = worker.claim_one()
    moved("claim")
    worker.turn(output=[OutputPart(claim.token, [Chunk(1, 1, 0, b"x")])])
    moved("output")
    worker.finish(claim)
    moved("finish")
    store.cancel(["b"], T0)
    moved("cancel")
    store.retry(["b"], T0)
    moved("retry")
    store.delete(["b"], T0)
    moved("delete")
    store.prune(T0 + 1, 9)
    moved("prune")
    store.set_queue("default", paused=True)
    moved("pause")
    store.set_config("kill_grace", "1")
    moved("config")
    store.ask_stop([worker.id], 1)
    moved("ask_stop")
    store.heartbeat(worker.id, T0 + 1)
    moved("heartbeat")


def test_a_change_of_ones_own_moves_the_mark(store: Store) -> None:
    mark = store.change_mark()
    add(store, "a")
    assert store.change_mark() != mark
