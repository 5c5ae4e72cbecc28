"""What a store asks of its database, whatever somebody has made of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from postgres_server import PostgresServer
from queuectl.errors import StoreError, StoreTooNew
from queuectl.model import COMPLETED, PENDING, STDOUT, Chunk, OutputPart
from queuectl.store.postgres import PostgresStore
from store.helpers import add, living_worker

Open = Callable[..., PostgresStore]
Sql = Callable[[str], list[tuple[Any, ...]]]


def test_an_accepted_job_is_on_disk_even_where_the_server_says_so_early_by_default(
    open_store: Open, database: str, run_sql: Sql
) -> None:
    run_sql(f"ALTER DATABASE {database} SET synchronous_commit = off")
    store = open_store()
    with store._db.write():
        shown = store._db.execute("SHOW synchronous_commit").fetchall()
    assert shown == [("on",)]


def test_what_is_set_holds_for_all_transactions_of_a_direct_connection(
    open_store: Open, run_sql: Sql
) -> None:
    store = open_store(wait_seconds=20)
    show = "SELECT current_setting('lock_timeout'), current_setting('enable_seqscan')"
    with pytest.raises(StoreError), store._db.write():  # it takes its settings with it
        store._db.execute("SELECT 1 / 0").fetchall()
    for begin in (store._db.write, store._db.read, store._db.write_in_bulk, store._db.write):
        with begin():
            assert store._db.execute(show).fetchall() == [("16s", "off")]
    run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(StoreError):
        store.stats()
    with store._db.read():
        assert store._db.execute(show).fetchall() == [("16s", "off")]


def test_a_connection_that_came_back_for_one_look_is_set_before_it_writes(
    store: PostgresStore, run_sql: Callable[[str], list[tuple[object, ...]]]
) -> None:
    """Else an answer would not mean "on disk" where the server's default is less."""
    store.stats()
    run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    store.change_mark()  # fails, and says so to nobody
    with store._db.read_once():
        store._db.execute("SELECT 1")
    with store._db.write():
        shown = store._db.execute("SHOW enable_seqscan")
    assert shown.fetchall() == [("off",)]


def test_the_server_finds_out_soon_that_a_host_is_lost(store: PostgresStore) -> None:
    """It waits for the rest of what such a one was saying, with all its locks."""
    shown = []
    with store._db.write():
        for name in ("idle", "interval", "count"):
            shown += store._db.execute(f"SHOW tcp_keepalives_{name}").fetchall()
    idle, interval, count = (int(value) for (value,) in shown)
    assert 0 < idle + interval * count <= 60


def test_a_stricter_default_of_the_server_stays(
    open_store: Open, database: str, run_sql: Sql
) -> None:
    run_sql(f"ALTER DATABASE {database} SET synchronous_commit = remote_apply")
    store = open_store()
    with store._db.write():
        shown = store._db.execute("SHOW synchronous_commit").fetchall()
    assert shown == [("remote_apply",)]


def test_other_defaults_of_isolation_do_not_matter(
    open_store: Open, database: str, run_sql: Sql
) -> None:
    run_sql(f"ALTER DATABASE {database} SET default_transaction_isolation = serializable")
    store = open_store()
    add(store, "a")
    with store._db.write():
        shown = store._db.execute("SHOW transaction_isolation").fetchall()
    assert shown == [("read committed",)]


@pytest.mark.parametrize(
    "default",
    [
        "standard_conforming_strings = off",
        "array_nulls = off",
        "default_transaction_read_only = on",
        "bytea_output = escape",
    ],
)
def test_defaults_that_somebody_chose_for_the_database_change_nothing(
    server: PostgresServer, home: str, default: str
) -> None:
    name = server.new_database()
    server.run_sql(f"ALTER DATABASE {name} SET {default}")
    with PostgresStore(server.url(name), home) as store, living_worker(store) as worker:
        add(store, "a")
        claim = worker.claim_one()
        printed = Chunk(0, STDOUT, 0, b"\\x61 \0\xff'\"{}\n")
        worker.turn(output=[OutputPart(claim.token, [printed])])
        worker.finish(claim)
        assert store.read_output(claim.token) == [printed]
        assert store.get("a").state == COMPLETED
    server.drop_database(name)


def test_a_database_that_is_not_in_utf8_is_refused(server: PostgresServer, home: str) -> None:
    server.run_sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    try:
        with pytest.raises(StoreError, match="LATIN1"):
            PostgresStore(server.url("latin"), home)
    finally:
        server.drop_database("latin")


def test_a_store_of_a_newer_queuectl_is_refused_until_it_says_that_it_may_be_used(
    store: PostgresStore, open_store: Open, run_sql: Sql
) -> None:
    run_sql("UPDATE queuectl.meta SET value = '99' WHERE name = 'version'")
    open_store().stats()
    run_sql("UPDATE queuectl.meta SET value = '99' WHERE name = 'min_compatible'")
    with pytest.raises(StoreTooNew, match="newer"):
        open_store()


def test_a_store_that_was_removed_is_not_made_anew_by_those_who_had_it_open(
    store: PostgresStore, run_sql: Sql
) -> None:
    """A restore that is under way would stumble over it."""
    run_sql("DROP SCHEMA queuectl CASCADE")
    run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(StoreError):
        store.stats()
    with pytest.raises(StoreError, match="holds no store any more"):
        store.stats()
    assert run_sql("SELECT to_regnamespace('queuectl')") == [(None,)]


def test_text_that_postgresql_cannot_keep_is_made_visible(store: PostgresStore) -> None:
    add(store, "a")
    with living_worker(store) as worker:
        worker.run_one("failed", error="a\0b \udcff")
    assert store.get("a").error == "a\\0b \\udcff"


def test_a_standby_answers_and_says_where_to_write(home: str) -> None:
    server = PostgresServer(wal_level="replica")
    try:
        url = server.url(server.new_database())
        with PostgresStore(url, home) as store:
            add(store, "a")
        server.stop()
        with open(f"{server.data}/standby.signal", "w", encoding="utf-8"):
            server.start()
        with PostgresStore(url, home) as store:
            assert store.get("a").state == PENDING
            with pytest.raises(StoreError, match="read-only") as told:
                add(store, "b")
        assert "target_session_attrs=read-write" in str(told.value.hint)
        options = "options=-c%20default_transaction_isolation%3D"
        with pytest.raises(StoreError, match="serializable mode") as told:
            PostgresStore(f"{url}?{options}serializable", home)
        assert "ALTER ROLE" in str(told.value.hint)
        with PostgresStore(f"{url}?{options}repeatable%5C%20read", home) as store:
            assert store.get("a").state == PENDING
    finally:
        server.remove()
