"""Many connections at once: what commits beside each other without waiting still adds up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from postgres_server import PostgresServer, wait_until_somebody_waits
from queuectl.errors import JobExists, QueuectlError
from queuectl.model import CANCELLED, COMPLETED, PENDING, Want
from queuectl.store.base import PROMOTED_A_TURN
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.failures import ConflictError
from store.helpers import T0, a_job, add, audit, counted, ids, living_worker, states, the_end

Open = Callable[..., PostgresStore]
Sql = Callable[[str], list[tuple[Any, ...]]]


def together(*operations: Callable[[], Any]) -> list[Any]:
    """Run them at the same time, a thread each; what they returned or raised."""
    results: list[Any] = [None] * len(operations)
    barrier = threading.Barrier(len(operations))

    def run(place: int) -> None:
        barrier.wait(20)
        try:
            results[place] = operations[place]()
        except QueuectlError as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(operations))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


@pytest.mark.parametrize("queues", [1, 5])
def test_many_workers_share_the_jobs_in_order_and_none_goes_away_empty_handed(
    store: PostgresStore, open_store: Open, queues: int
) -> None:
    store.enqueue([a_job(queue=f"q{n % queues}", priority=n % 3 + 1) for n in range(900)], T0)

    def work(mine: PostgresStore) -> list[str]:
        taken: list[str] = []
        with living_worker(mine, queues=[f"q{n}" for n in range(queues)]) as worker:
            finishes: Sequence[Any] = ()
            while True:
                turn = worker.turn(*finishes, free=7)
                taken += ids(turn.claims)
                finishes = [the_end(claim) for claim in turn.claims]
                if not finishes and turn.next_due is None:  # none that others only held
                    return taken

    mine = [open_store() for _ in range(6)]
    taken = together(*[lambda s=s: work(s) for s in mine])  # type: ignore[misc]
    everything = [job for one in taken for job in one]
    assert len(everything) == len(set(everything)) == 900
    audit(store)


def test_no_more_run_than_the_limit_however_many_claim_at_once(
    store: PostgresStore, open_store: Open
) -> None:
    store.set_queue("default", limit=5)
    store.enqueue([a_job() for _ in range(50)], T0)
    stores = [open_store() for _ in range(6)]
    workers = [living_worker(s) for s in stores]
    living = [w.__enter__() for w in workers]
    for _round in range(5):
        claims = together(*[lambda w=w: w.claim(3) for w in living])  # type: ignore[misc]
        running = store.stats().counts["processing"]
        assert running == sum(map(len, claims)) == 5
        for worker, taken in zip(living, claims, strict=True):
            worker.turn(*[the_end(claim) for claim in taken])
    for context in workers:
        context.__exit__(None, None, None)


def test_a_job_that_waits_for_two_is_freed_when_both_end_at_the_same_time(
    store: PostgresStore, open_store: Open
) -> None:
    stores = [open_store(), open_store()]
    with living_worker(stores[0]) as one, living_worker(stores[1]) as other:
        for n in range(20):
            add(store, f"a{n}", f"b{n}")
            add(store, f"child{n}", after=(f"a{n}", f"b{n}"))
            a, b = one.claim_one(), other.claim_one()
            together(lambda a=a: one.finish(a), lambda b=b: other.finish(b))  # type: ignore[misc]
            (child,) = one.claim(5)
            assert child.id == f"child{n}"
            one.finish(child)


def test_a_job_enqueued_after_one_that_ends_meanwhile_is_freed(
    store: PostgresStore, open_store: Open
) -> None:
    other = open_store()
    with living_worker(other) as worker:
        for n in range(30):
            add(store, f"a{n}")
            claim = worker.claim_one()
            together(
                lambda claim=claim: worker.finish(claim),  # type: ignore[misc]
                lambda n=n: add(store, f"child{n}", after=(f"a{n}",)),  # type: ignore[misc]
            )
            worker.run_one()
    assert counted(store) == {COMPLETED: 60}


def test_the_same_chosen_id_is_accepted_once(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for n in range(5):
        results = together(*[lambda s=s, n=n: add(s, "x", f"y{n}") for s in stores])  # type: ignore[misc]
        refused = [r for r in results if isinstance(r, JobExists)]
        assert len(refused) == 3, results
        stores[0].delete(["x"], T0)
    audit(stores[0])


def test_a_chosen_id_never_meets_a_made_up_one(open_store: Open) -> None:
    stores = [open_store() for _ in range(4)]
    for n in range(20):
        wanted = f"j{n * 4 + 3}"
        together(
            *[lambda s=s: s.enqueue([a_job(), a_job()], T0) for s in stores[:3]],  # type: ignore[misc]
            lambda: add(stores[3], wanted),  # noqa: B023 - called before the next round
        )
    audit(stores[0])  # every id once


def test_new_queues_come_into_being_once(store: PostgresStore, open_store: Open) -> None:
    stores = [open_store() for _ in range(5)]
    for n in range(5):
        results = together(
            *[lambda s=s, n=n: s.enqueue([a_job(queue=f"q{n}")], T0) for s in stores]  # type: ignore[misc]
        )
        assert not [r for r in results if isinstance(r, Exception)]
    assert counted(store) == {PENDING: 25}
    assert len(store.stats().queues) == 6


def test_verbs_that_meet_on_the_same_jobs_deal_with_each_once(
    store: PostgresStore, open_store: Open
) -> None:
    stores = [open_store() for _ in range(4)]
    names = [f"a{n}" for n in range(40)]
    add(store, *names)
    add(store, *[f"c{n}" for n in range(40)], after=("a0", "a39"))
    backwards = names[::-1]
    results = together(
        *[
            lambda s=s, order=order: s.cancel(order, T0)  # type: ignore[misc]
            for s, order in zip(stores, (names, backwards, names, backwards), strict=True)
        ]
    )
    done = [change.id for changes in results for change in changes if change.result == "done"]
    assert sorted(done) == sorted(names)
    assert set(states(store).values()) == {CANCELLED}
    audit(store)


def test_counts_are_right_before_during_and_after_folding(
    store: PostgresStore, open_store: Open, run_sql: Sql
) -> None:
    stores = [open_store() for _ in range(3)]
    store._fold()

    def enqueue_some(mine: PostgresStore) -> None:
        for _ in range(40):
            mine.enqueue([a_job()], T0)
            assert mine.stats().counts[PENDING] > 0

    def fold() -> None:
        for _ in range(40):
            store._fold()

    assert together(*[lambda s=s: enqueue_some(s) for s in stores], fold) == [None] * 4  # type: ignore[misc]
    assert counted(store) == {PENDING: 120}
    assert store.metrics(0).events["enqueued"] == 120
    store._fold()
    assert run_sql("SELECT * FROM queuectl.count_changes") == []
    assert run_sql("SELECT queue, state, n FROM queuectl.counts") == [(1, PENDING, 120)]
    assert counted(store) == {PENDING: 120}


def test_changes_are_folded_by_the_way(store: PostgresStore, run_sql: Sql) -> None:
    for _ in range(1_000):
        store.enqueue([a_job()], T0)
    # By lot, one write in 64: a thousand in a row without one has a chance of 1 in 7 million.
    ((left,),) = run_sql("SELECT count(*) FROM queuectl.count_changes")
    assert left < 1_000
    assert counted(store) == {PENDING: 1_000}


def test_a_deadlock_is_answered_by_trying_again(
    store: PostgresStore, open_store: Open, run_sql: Sql
) -> None:
    add(store, "a", "b")
    run_sql("ALTER DATABASE " + store.url.rpartition("/")[2] + " SET deadlock_timeout = '50ms'")
    one, other = open_store(), open_store()
    lock = "SELECT FROM queuectl.jobs WHERE seq = $1 FOR UPDATE"
    cancelling = threading.Thread(target=lambda: other.cancel(["a", "b"], T0))
    try:
        with one._db.write():
            one._db.execute(lock, (2,)).fetchall()
            cancelling.start()
            wait_until_somebody_waits(run_sql)
            one._db.execute(lock, (1,)).fetchall()
    except ConflictError as error:  # either of the two is chosen to give in
        assert "deadlock" in error.message
    cancelling.join(20)
    assert set(states(store).values()) == {CANCELLED}


@pytest.mark.parametrize("queues", [1, 3])
def test_a_claim_passes_over_what_others_are_just_taking(
    store: PostgresStore, open_store: Open, queues: int
) -> None:
    store.enqueue([a_job(queue=f"q{n % queues}") for n in range(10)], T0)
    served = [f"q{n}" for n in range(queues)]
    other = open_store(wait_seconds=5)
    with living_worker(store, "one", queues=served), living_worker(other, queues=served) as two:
        with store._db.write():
            store._db.execute("SELECT queuectl.enter_turn('one', $1)", (store._db.session,))
            cursor = store._claim("one", Want(3), T0)
            assert cursor is not None
            cursor.fetchall()
            assert ids(two.claim(3)) == ["j4", "j5", "j6"]
        assert ids(two.claim(9)) == ["j7", "j8", "j9", "j10"]


@pytest.mark.parametrize("queues", [1, 3])
def test_what_others_held_and_did_not_take_is_looked_at_again_soon(
    store: PostgresStore, server: PostgresServer, database: str, queues: int
) -> None:
    """They hold what they may take, and then leave some: jobs behind one with a single try."""
    store.enqueue([a_job(queue=f"q{n % queues}") for n in range(5)], T0)
    later = T0 + 10**6
    add(store, "later", run_at=later)
    with (
        psycopg.connect(server.url(database)) as holder,
        living_worker(store, queues=[f"q{n}" for n in range(queues)]) as worker,
    ):
        holder.execute("SELECT FROM queuectl.jobs WHERE seq < 4 FOR UPDATE")
        turn = worker.turn(free=3)
        assert ids(turn.claims) == ["j4", "j5"]
        assert T0 < turn.next_due <= T0 + 50
        assert worker.turn(free=1).next_due <= T0 + 50
        assert worker.turn(free=0, ahead=3).next_due == later  # no slot waits for them
        holder.rollback()
        turn = worker.turn(free=3)
        assert ids(turn.claims) == ["j1", "j2", "j3"]
        assert turn.next_due == later


def test_a_job_that_is_due_and_held_by_others_keeps_nobody_busy(
    store: PostgresStore, server: PostgresServer, database: str
) -> None:
    add(store, "a", run_at=T0 + 1000)
    now = T0 + 5000
    with psycopg.connect(server.url(database)) as holder, living_worker(store) as worker:
        holder.execute("SELECT FROM queuectl.jobs FOR SHARE")
        for free in (0, 2):
            turn = worker.turn(free=free, now=now)
            assert (turn.claims, now < turn.next_due <= now + 50) == ([], True)
        holder.rollback()
        assert ids(worker.turn(free=2, now=now).claims) == ["a"]


@pytest.mark.parametrize("why", ["empty", "full"])
def test_nobody_stands_in_line_at_a_queue_where_there_is_nothing_to_take(
    store: PostgresStore, open_store: Open, why: str
) -> None:
    store.set_queue("limited", limit=1)
    other = open_store(wait_seconds=5)
    with living_worker(store, "one") as one, living_worker(other) as two:
        if why == "full":
            store.enqueue([a_job(queue="limited") for _ in range(3)], T0)
            one.claim_one()
        store.enqueue([a_job() for _ in range(4)], T0)
        with store._db.write():
            store._db.execute("SELECT queuectl.enter_turn('one', $1)", (store._db.session,))
            answer = store._claim("one", Want(2), T0)
            assert len(store._claims_of(answer.fetchall())) == 2
            assert len(two.claim(2)) == 2


def test_a_turn_that_finds_nothing_it_may_take_leaves_no_trace(
    store: PostgresStore, open_store: Open
) -> None:
    """Else every worker's look would be news to every other one."""
    store.set_queue("default", limit=1)
    add(store, "a", "b")
    add(store, "later", now=T0, run_at=T0 + 1000)
    other = open_store()
    with living_worker(store) as one, living_worker(other, queues=("none",)) as two:
        one.claim_one()
        store._fold()
        mark = other.change_mark()
        for _ in range(200):  # what is done by chance is not done either
            assert one.claim(4, ahead=4) == []
            assert two.claim(4) == []
        assert other.change_mark() == mark


def test_the_server_is_never_left_with_an_open_transaction(
    store: PostgresStore, run_sql: Sql, server: PostgresServer
) -> None:
    add(store, "a")
    with pytest.raises(JobExists):
        add(store, "b", "a")
    with pytest.raises(QueuectlError):
        store.cancel(["nobody"], T0)
    with pytest.raises(JobExists):
        store.enqueue([a_job() for _ in range(100)] + [a_job("a")], T0)
    store.stats()
    assert run_sql(
        "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND state <> 'idle'"
    ) == []  # fmt: skip
    assert list(states(store)) == ["a"]


def test_workers_at_once_share_the_first_of_much_that_falls_due(
    store: PostgresStore, open_store: Open
) -> None:
    store.enqueue([a_job(queue=f"q{n % 50}", run_at=T0 + 1) for n in range(5_000)], T0)
    first = add(store, *[f"first-{n:02}" for n in range(30)], priority=9, run_at=T0 + 1)
    mine = [open_store() for _ in range(3)]

    def work(mine: PostgresStore) -> list[str]:
        with living_worker(mine) as worker:
            claims = worker.claim(10, now=T0 + 1)
            worker.turn(*map(the_end, claims), now=T0 + 1)
            return ids(claims)

    taken = together(*[lambda own=own: work(own) for own in mine])
    assert sorted(job_id for some in taken for job_id in some) == first


def test_what_falls_due_in_many_queues_is_made_ready_in_measure(
    store: PostgresStore, run_sql: Sql
) -> None:
    store.enqueue([a_job(queue=f"q{n % 50}", run_at=T0 + 1) for n in range(2_000)], T0)
    with living_worker(store) as worker:
        assert len(worker.claim(20, now=T0 + 1)) == 20
        ((ready,),) = run_sql("SELECT count(*) FROM queuectl.jobs WHERE ready")
        assert ready <= PROMOTED_A_TURN
