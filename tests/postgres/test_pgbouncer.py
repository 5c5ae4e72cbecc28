"""Behind PgBouncer in transaction mode: all works but listening, and that is not missed."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from conftest import Cli, until
from queuectl.errors import QueuectlError
from queuectl.model import COMPLETED, DEAD, FAILED, Chunk, OutputPart, Want
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


def test_jobs_are_handed_over_through_a_pooler_and_brought_once(
    pooled: str, open_store: Open
) -> None:
    clerk = open_store(pooled)
    with living_worker(open_store(pooled), slots=2) as worker:
        for number in range(20):
            worker.store.turn(worker.id, (), (), Want(2, waits=True), T0)
            add(clerk, f"a{number}")
            assert clerk.handed_to == worker.id
            brought = worker.store.turn(worker.id, (), (), Want(2, waits=True), T0)
            (claim,) = brought.claims
            assert claim.id == f"a{number}"
            worker.finish(claim)
    assert counted(clerk) == {COMPLETED: 20}
    audit(clerk)


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
    assert not store._db._connection.prepares  # type: ignore[union-attr]
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
    assert store._db._connection.prepares  # type: ignore[union-attr]
    assert not open_store(pooled)._db._connection.prepares  # type: ignore[union-attr]


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


# -- workers -------------------------------------------------------------------------------


@pytest.fixture
def pooled_cli(pooled: str, cli: Cli) -> Iterator[Cli]:
    """The command line, all of it through the pooler; what it starts is stopped."""
    cli.env["QUEUECTL_DB"] = pooled
    cli.ok("config", "set", "worker_poll_interval", "0.2")
    yield cli
    cli.ok("worker", "stop", "--now")


def test_workers_work_off_a_queue_through_a_pooler(pooled_cli: Cli) -> None:
    lines = "".join(f"echo {n}\n" for n in range(100))
    pooled_cli.ok("enqueue", "--file", "-", input=lines)
    pooled_cli.ok("worker", "start", "--drain", "--count", "2", "--concurrency", "2")
    assert pooled_cli("status", "--json").json["completed"] == 100
    assert pooled_cli.ok("logs", "j1") == "0"


def test_a_worker_behind_a_pooler_finds_by_itself_what_nobody_rang_for(
    pooled_cli: Cli, pooled: str, open_store: Open
) -> None:
    store = open_store(pooled)
    pooled_cli.ok("worker", "start", "--detach")
    add(store, "now")
    pooled_cli.wait_for("now", COMPLETED)


def test_a_run_is_cancelled_through_a_pooler(pooled_cli: Cli, pooled: str) -> None:
    pooled_cli.ok("worker", "start", "--detach")
    pooled_cli.ok("enqueue", "--id", "long", "sleep 1000")
    pooled_cli.wait_for("long", "processing")
    pooled_cli.ok("cancel", "long")
    assert pooled_cli.job("long")["outcome"] == "cancelled"


def test_a_lease_is_renewed_through_a_pooler(
    pooled_cli: Cli, run_sql: Callable[[str], list[tuple[int]]]
) -> None:
    pooled_cli.ok("config", "set", "lease_seconds", "3")
    pooled_cli.ok("enqueue", "--id", "long", "sleep 4")
    pooled_cli.ok("worker", "start", "--detach")
    pooled_cli.wait_for("long", COMPLETED)
    assert len(pooled_cli.job("long")["history"]) == 1
    late = "SELECT 1 FROM queuectl.workers WHERE lease_until > now() + interval '2 seconds'"
    until(lambda: run_sql(late))
