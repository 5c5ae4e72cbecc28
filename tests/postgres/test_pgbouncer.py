"""Behind PgBouncer in transaction mode: all works but listening, and that is not missed."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from queuectl.errors import QueuectlError
from queuectl.model import COMPLETED, DEAD, FAILED, Chunk, OutputPart
from queuectl.store.postgres import PostgresStore
from store.helpers import T0, LivingWorker, a_job, add, audit, counted, living_worker, the_end

from .pooler import pgbouncer

Open = Callable[..., PostgresStore]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    from postgres_server import shared_server

    with pgbouncer(shared_server()) as port:
        yield port


@pytest.fixture
def pooled(port: int, database: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{port}/{database}"


def test_the_life_of_jobs_goes_its_way_through_a_pooler(pooled: str, open_store: Open) -> None:
    stores = [open_store(pooled) for _ in range(5)]
    store = stores[0]
    store.enqueue([a_job() for _ in range(200)], T0)
    add(store, "parent", max_retries=1, priority=9)
    add(stores[1], "child", after=("parent",), queue="limited")
    store.set_queue("limited", limit=1)
    with living_worker(store) as one, living_worker(stores[2]) as other:
        one.run_one(FAILED)
        workers = (one, other, LivingWorker(stores[3]))
        for number in range(30):
            worker = workers[number % 3]
            claims = worker.claim(7)
            parts = [OutputPart(c.token, [Chunk(1, 1, 0, b"x")]) for c in claims]
            worker.turn(output=parts)
            worker.turn(*[the_end(claim) for claim in claims])
        workers[2].leave()
    assert counted(store) == {COMPLETED: 200, DEAD: 1, "cancelled": 1}
    audit(stores[4])


def test_many_workers_at_once_never_get_the_same_job(
    pooled: str, open_store: Open, home: str
) -> None:
    open_store(pooled).enqueue([a_job() for _ in range(600)], T0)
    taken: list[str] = []
    failures: list[QueuectlError] = []

    def work() -> None:
        try:
            with PostgresStore(pooled, home) as store, living_worker(store) as worker:
                while claims := worker.claim(5):
                    taken.extend(claim.id for claim in claims)
                    worker.turn(*[the_end(claim) for claim in claims])
        except QueuectlError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert len(taken) == len(set(taken)) == 600


def test_nothing_is_left_behind_on_the_servers_connections(
    pooled: str, open_store: Open
) -> None:
    store = open_store(pooled)
    assert store._db._connection.prepare_threshold is None  # type: ignore[union-attr]
    for n in range(20):
        add(store, f"a{n}")
    with psycopg.connect(pooled, autocommit=True, prepare_threshold=None) as connection:
        for setting, plain in (("statement_timeout", "0"), ("enable_seqscan", "on")):
            assert connection.execute(f"SHOW {setting}").fetchone() == (plain,)
        assert connection.execute("SELECT * FROM pg_prepared_statements").fetchall() == []
        held = "SELECT * FROM pg_locks WHERE locktype = 'advisory'"
        assert connection.execute(held).fetchall() == []


def test_a_direct_connection_is_known_from_a_pooled_one(
    store: PostgresStore, pooled: str, open_store: Open
) -> None:
    assert store._db._connection.prepare_threshold  # type: ignore[union-attr]
    assert open_store(pooled)._db._connection.prepare_threshold is None  # type: ignore[union-attr]


def test_nobody_listens_through_a_pooler_but_calls_go_out(
    store: PostgresStore, pooled: str, open_store: Open
) -> None:
    listener = store.listen()
    assert listener is not None
    behind = open_store(pooled)
    assert behind.listen() is None
    behind.announce()
    assert select.select([listener.fileno()], [], [], 10)[0]
    assert listener.drain()
    listener.close()
