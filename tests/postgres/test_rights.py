"""The role that docs/postgres.md describes can do all that workers and people do, no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from postgres_server import PostgresServer
from queuectl.errors import StoreError
from queuectl.model import Chunk, Filter, OutputPart
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.database import VERSION, Database
from store.helpers import T0, a_job, add, living_worker, the_end

Open = Callable[..., PostgresStore]
DOC = Path(__file__).parents[2] / "docs" / "postgres.md"


@pytest.fixture
def role(server: PostgresServer, database: str) -> Iterator[str]:
    name = f"r{database}"
    server.run_sql(f"CREATE ROLE {name} LOGIN")
    yield name
    server.run_sql(f"DROP OWNED BY {name}", database)
    server.run_sql(f"DROP ROLE {name}")


def grants(role: str) -> str:
    """The statements that the documentation gives, for this role."""
    (block,) = re.findall(r"```sql\n(-- least rights.*?)```", DOC.read_text(), re.S)
    return block.replace("queuectl_worker", role)


def test_who_may_have_too_few_connections_hears_how_many_it_takes(
    server: PostgresServer, database: str, role: str, open_store: Open
) -> None:
    open_store().close()
    server.run_sql(grants(role), database)
    server.run_sql(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    open_store(server.url(database, role))
    with pytest.raises(StoreError, match="too many connections") as refused:
        open_store(server.url(database, role))
    assert "4 for each worker" in str(refused.value.hint)


def test_the_least_rights_suffice(
    server: PostgresServer, database: str, role: str, open_store: Open
) -> None:
    open_store().close()
    server.run_sql(grants(role), database)
    store = open_store(server.url(database, role))
    listener = store.listen()
    assert listener is not None
    add(store, "a", "b", tags=("t",))
    add(store, "c", after=("a",), queue="new")
    store.enqueue([a_job(captured={"PATH": "/bin"}) for _ in range(100)], T0)
    with living_worker(store, slots=2) as worker:
        first, second = worker.claim(2)
        worker.turn(output=[OutputPart(first.token, [Chunk(1, 1, 0, b"x")])])
        worker.turn(output=[OutputPart(first.token, [Chunk(2, 1, 1, b"y")], (1,))])
        store.heartbeat(worker.id, T0)
        worker.finish(first)
        worker.turn(the_end(second, "failed"), free=4)
        store.release(worker.id, worker.held(), T0)
        store.ask_stop([worker.id], 1)
        worker.claim()
        worker.die()
        store.rescue(worker.id, None, T0)
    store.cancel(["b"], T0)
    store.retry(["b"], T0)
    store.delete(["b"], T0)
    store.prune(T0 + 1, 100)
    store.set_queue("new", paused=True, limit=3)
    store.set_config("max_retries", "4")
    store.set_config("max_retries", None)
    store.list_jobs(Filter(states=("pending",), tag="t"))
    store.list_jobs(Filter(states=("pending",)))
    store.stats()
    store.metrics(5)
    store.change_mark()
    store.workers()
    store._fold()
    store.announce()
    assert listener.test()
    listener.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE queuectl.jobs",
        "ALTER TABLE queuectl.jobs ADD COLUMN x int",
        "CREATE TABLE queuectl.mine (n int)",
        "TRUNCATE queuectl.jobs",
        "DROP SCHEMA queuectl CASCADE",
        "DELETE FROM queuectl.meta",
        "UPDATE queuectl.meta SET value = '0'",
    ],
)
def test_the_least_rights_are_least(
    server: PostgresServer, database: str, role: str, open_store: Open, statement: str
) -> None:
    open_store().close()
    server.run_sql(grants(role), database)
    with (
        psycopg.connect(server.url(database, role), autocommit=True) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement)  # type: ignore[call-overload]


def test_a_role_without_rights_is_told_which_it_needs(
    server: PostgresServer, database: str, role: str, open_store: Open
) -> None:
    open_store().close()
    with pytest.raises(StoreError) as refusal:
        open_store(server.url(database, role))
    assert "permission denied for schema queuectl" in str(refusal.value)
    hint = str(refusal.value.hint)
    for right in set(re.findall(r"USAGE|SELECT|INSERT|UPDATE|DELETE", grants(role))):
        assert right in hint


def test_a_role_that_may_not_make_the_store_is_told_that_there_is_none(
    database: str, role: str, server: PostgresServer, open_store: Open
) -> None:
    with pytest.raises(StoreError) as refusal:
        open_store(server.url(database, role))
    assert str(refusal.value).endswith(f"/{database} holds no store yet")
    assert refusal.value.hint == "as the owner of the database: queuectl init-db"
    open_store().close()


def test_a_role_that_may_not_upgrade_the_store_is_told_who_may(
    database: str, role: str, server: PostgresServer, open_store: Open, tmp_path: Path
) -> None:
    open_store().close()
    server.run_sql(grants(role), database)
    (tmp_path / f"{VERSION + 1:03d}_wider.sql").write_text(
        "ALTER TABLE queuectl.jobs ADD COLUMN more int"
    )
    with pytest.raises(StoreError) as refusal:
        Database(server.url(database, role), 30, VERSION + 1, migrations=str(tmp_path))
    assert "is of an older queuectl" in str(refusal.value)
    assert refusal.value.hint == "as the owner of the schema: queuectl init-db"
