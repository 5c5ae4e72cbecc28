"""On the system's own PostgreSQL, which is often an older one: what the core of the contract
suite (tests/store) does not touch there."""

from __future__ import annotations

import select
from collections.abc import Iterator

import pytest

from postgres_server import OLDEST, PostgresServer, system_server
from queuectl.model import PENDING, Filter
from queuectl.store.postgres import PostgresStore
from store.helpers import T0, a_job, audit, counted, living_worker, the_end


@pytest.fixture
def server() -> PostgresServer:
    return system_server()


@pytest.fixture
def store(server: PostgresServer, home: str) -> Iterator[PostgresStore]:
    database = server.clean_database()
    with PostgresStore(server.url(database), home) as store:
        yield store
    server.give_back(database)


def test_it_is_no_older_than_what_we_say_we_work_with(server: PostgresServer) -> None:
    ((version,),) = server.run_sql("SHOW server_version_num")
    assert int(version) >= OLDEST * 10000


def test_a_bulk_of_jobs_is_copied_in_and_worked_off(store: PostgresStore) -> None:
    jobs = [a_job(tags=("t",), priority=1 + n % 10, queue=f"q{n % 3}") for n in range(500)]
    store.enqueue(jobs, T0)
    with living_worker(store) as worker:
        for _ in range(4):
            claims = worker.claim(100)
            assert len(claims) == 100
            worker.turn(*[the_end(claim) for claim in claims])
    assert counted(store) == {"completed": 400, PENDING: 100}
    assert len(store.list_jobs(Filter(tag="t", states=(PENDING,)))) == 100
    assert store.metrics(5).events["completed"] == 400
    store._fold()
    audit(store)


def test_workers_are_called(store: PostgresStore) -> None:
    listener = store.listen()
    assert listener is not None
    store.announce()
    assert select.select([listener.fileno()], [], [], 10)[0]
    assert listener.drain()
    assert listener.test()
    listener.close()


def test_people_and_prune_have_their_way(store: PostgresStore) -> None:
    store.enqueue([a_job(f"a{n}", after=("a0",) if n else ()) for n in range(10)], T0)
    assert [change.result for change in store.cancel(["a0"], T0)] == ["done"]
    assert counted(store) == {"cancelled": 10}
    store.retry([f"a{n}" for n in range(10)], T0)
    assert counted(store) == {PENDING: 10}
    store.delete(["a9"], T0)
    with living_worker(store) as worker:
        worker.run_one()
        assert len(worker.claim(20)) == 8
        assert store.prune(T0 + 1, 10) == 1
        store.release(worker.id, worker.held(), T0)
    assert store.stats().oldest_due_at == T0
