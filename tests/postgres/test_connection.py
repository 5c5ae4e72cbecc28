"""Connections that break, stall and come back; what they need; what they never tell."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from postgres_server import PostgresServer
from queuectl.errors import STORE_FAILED, BadInput, StoreError, StoreTooNew
from queuectl.model import (
    COMPLETED,
    PENDING,
    PROCESSING,
    STDOUT,
    Chunk,
    Filter,
    Finish,
    OutputPart,
    Want,
)
from queuectl.store import open_store as open_any
from queuectl.store.postgres import PostgresStore, urls
from queuectl.store.postgres.database import sql
from store.helpers import T0, a_job, add, living_worker, states, the_end
from tcp_proxy import TcpProxy, tcp_proxy

Open = Callable[..., PostgresStore]
Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[TcpProxy]:
    with tcp_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: TcpProxy, database: str, open_store: Open) -> PostgresStore:
    """A store behind the proxy that gives up after a second."""
    return open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}", 1.0)


# -- losing it and coming back -------------------------------------------------------------


def test_a_lost_connection_is_an_error_once_and_then_forgotten(
    store: PostgresStore, run_sql: Sql
) -> None:
    add(store, "a")
    run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(StoreError):
        store.stats()
    assert store.stats().counts["pending"] == 1
    add(store, "b")


def test_a_worker_goes_on_after_the_server_restarted(home: str) -> None:
    server = PostgresServer()
    try:
        with PostgresStore(server.url(server.new_database()), home) as store:
            add(store, "a", "b")
            with living_worker(store) as worker:
                claim = worker.claim_one()
                server.stop(signal.SIGQUIT)
                with pytest.raises(StoreError):
                    worker.turn(the_end(claim), free=1)
                with pytest.raises(StoreError):
                    store.held(worker.id)
                server.start()
                assert worker.held() == {claim.token: claim.seq}
                turn = worker.turn(the_end(claim), free=1)
                assert ([c.id for c in turn.claims], list(turn.refused)) == (["b"], [])
                assert states(store) == {"a": COMPLETED, "b": PROCESSING}
    finally:
        server.remove()


def test_a_cut_network_is_an_error_and_the_next_call_finds_its_way(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    add(proxied, "a")
    proxy.cut()
    with pytest.raises(StoreError):
        proxied.get("a")
    assert proxied.get("a").id == "a"


def test_no_call_waits_longer_than_its_deadline_for_a_network_that_says_nothing(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    add(proxied, "a")
    proxy.stalled = True
    for call in (
        proxied.stats,
        lambda: proxied.enqueue([a_job()], T0),
        lambda: proxied.enqueue([a_job()] * 100, T0),
        lambda: proxied.turn("w", [], [], Want(1), T0),
    ):
        proxy.stalled = False
        proxied.stats()
        proxy.stalled = True
        began = time.monotonic()
        with pytest.raises(StoreError, match="no answer"):
            call()
        assert time.monotonic() - began < 15
    proxy.stalled = False
    assert proxied.get("a").id == "a"


def test_a_look_for_changes_waits_but_briefly_however_patient_the_store_is(
    proxy: TcpProxy, database: str, open_store: Open
) -> None:
    store = open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}", 60.0)
    proxy.stalled = True
    began = time.monotonic()
    assert store.change_mark() != store.change_mark()
    assert time.monotonic() - began < 30
    proxy.stalled = False


def test_no_call_waits_for_a_server_that_is_stopped(open_store: Open, run_sql: Sql) -> None:
    store = open_store(wait_seconds=1.0)
    add(store, "a")
    pid = store._db._connection.info.backend_pid  # type: ignore[union-attr]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError):
            store.get("a")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert store.get("a").id == "a"


def test_a_statement_that_waits_for_a_lock_gives_up_and_says_so(
    open_store: Open, run_sql: Sql
) -> None:
    patient, hasty = open_store(), open_store(wait_seconds=0.5)
    add(patient, "a")
    with patient._db.write():
        patient._db.execute(sql("lock_jobs"), ([1],)).fetchall()
        with pytest.raises(StoreError, match="locked"):
            hasty.cancel(["a"], T0)
    assert hasty.cancel(["a"], T0)[0].result == "done"


def test_a_turn_costs_one_round_trip_however_much_it_does(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    proxied.enqueue([a_job() for _ in range(96)], T0)
    with living_worker(proxied, slots=16) as worker:
        claims = worker.claim(16)
        proxy.delay = 0.15

        def trips(*finishes: Finish, free: int = 0) -> float:
            nonlocal claims
            began = time.monotonic()
            claims = list(worker.turn(*finishes, free=free).claims)
            assert len(claims) == free
            return (time.monotonic() - began) / (2 * proxy.delay)

        # The best of a few: a busy machine may delay some.
        assert any(trips(*map(the_end, claims), free=16) < 1.9 for _ in range(5))
        assert any(trips() < 1.9 for _ in range(5))
        proxy.delay = 0


def test_after_a_turn_whose_reply_was_lost_the_worker_learns_what_it_holds(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    add(proxied, "a", "b")
    with living_worker(proxied) as worker:
        finish = the_end(worker.claim_one())
        proxy.muted = True
        with pytest.raises(StoreError, match="no answer"):
            worker.turn(finish, free=1)
        proxy.muted = False
        ((token, seq),) = worker.held().items()
        assert seq == proxied.get("b").seq
        assert list(worker.turn(finish).refused) == []
        assert len(proxied.history("a")) == 1
        proxied.release(worker.id, [token], T0)
        assert states(proxied) == {"a": COMPLETED, "b": PENDING}


def test_an_enqueue_whose_reply_was_lost_is_there_whole_or_not_at_all(
    proxied: PostgresStore, proxy: TcpProxy, store: PostgresStore
) -> None:
    add(proxied, "before")
    proxy.muted = True
    for jobs in ([a_job("x"), a_job("y")], [a_job() for _ in range(60)]):
        with pytest.raises(StoreError):
            proxied.enqueue(jobs, T0)
        proxy.cut()
    proxy.muted = False
    assert len(states(store)) in (1, 3, 61, 63)


def test_an_interrupt_ends_a_wait_at_once(open_store: Open) -> None:
    store, other = open_store(), open_store()
    add(store, "a")
    with store._db.write():
        store._db.execute(sql("lock_jobs"), ([1],)).fetchall()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            other.cancel(["a"], T0)
        assert time.monotonic() - began < 15
    assert other.cancel(["a"], T0)[0].result == "done"


# -- what it asks of the database ------------------------------------------------------------


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


# -- URLs ------------------------------------------------------------------------------------


def test_a_url_is_shown_without_its_password(server: PostgresServer, database: str) -> None:
    url = f"postgresql://postgres:s3cret%2F%25@127.0.0.1:{server.port}/{database}"
    for given in (url, url.replace("postgresql:", "postgres:")):
        with open_any(given) as store:
            shown = f"postgresql://postgres@127.0.0.1:{server.port}/{database}"
            assert store.url == shown
    parts = f"host=127.0.0.1&port={server.port}&user=postgres&password=s3cret%2F%25"
    with open_any(f"postgresql:///{database}?{parts}") as store:
        assert "s3cret" not in store.url
        with open_any(store.url) as again:
            assert again.uid == store.uid


@pytest.mark.parametrize(
    "url",
    [
        "postgres://ann:s%40c%2Fret@a:1,b:2/x?target_session_attrs=read-write",
        "postgresql://%2Frun%2Fpg/x",
        "postgresql:///x?host=@abstract&user=a",
        "postgresql://ann@[::1]:5432/x?sslrootcert=system",
        "postgresql://?service=queue",
        "postgresql://",
    ],
)
def test_a_url_lasts_as_it_is_and_is_shown_as_the_same(url: str) -> None:
    given = urls.parsed(url)
    assert urls.lasting(url) == url
    shown = urls.parsed(urls.without_password(given))
    assert shown == {name: value for name, value in given.items() if name != "password"}


def test_a_url_may_name_a_socket(server: PostgresServer, database: str) -> None:
    folder = os.path.dirname(server.data)
    url = f"postgresql://postgres@/{database}?host={folder}&port={server.port}"
    with open_any(url) as store, open_any(store.url) as again:
        assert store.uid == again.uid


def test_errors_never_tell_the_password(server: PostgresServer) -> None:
    wrong = [
        f"postgresql://guarded:s3cret@127.0.0.1:{server.port}/nowhere",
        "postgresql://ann:s3cret@127.0.0.1:1/x",
        "postgresql://ann:s3cret@nowhere.invalid/x",
        "postgresql://ann:s3cret@127.0.0.1/x?nonsense=1",
        "postgresql://ann:s3cret@127.0.0.1:port/x",
        "postgresql://ann:s3cret@[::1/x",
        "postgresql://ann:s3cret/9@127.0.0.1/x",
        "postgresql://ann:1/s3cret@127.0.0.1/x",
        "postgresql://ann:x@s3cret@127.0.0.1/x",
        "postgresql://127.0.0.1:1/x?scram_server_key=s3cret",
    ]
    for url in wrong:
        with pytest.raises((StoreError, BadInput)) as failure:
            open_any(url)
        shown = f"{failure.value.message} {failure.value.hint}"
        assert "s3cret" not in shown, url
        assert "\n" not in shown
        if isinstance(failure.value, StoreError):
            assert failure.value.exit_code == STORE_FAILED


def test_a_client_encoding_of_the_users_own_changes_nothing(
    server: PostgresServer, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with open_any(server.url(database)) as store:
        store.enqueue([a_job("snow", command="echo ☃")], T0)
        assert store.get("snow").command == "echo ☃"


def test_a_password_may_come_from_pgpassfile_and_the_rest_from_a_service(
    server: PostgresServer, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"r{database}"
    server.run_sql(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD 's3cret'")
    server.require_password(role)
    try:
        url = server.url(database, role)
        with pytest.raises(StoreError, match="password") as refused:
            open_any(url)
        assert "PGPASSFILE" in str(refused.value.hint)
        passwords = tmp_path / "pgpass"
        passwords.write_text(f"127.0.0.1:{server.port}:*:{role}:s3cret\n")
        passwords.chmod(0o600)
        monkeypatch.setenv("PGPASSFILE", str(passwords))
        with open_any(url) as store:
            assert store.list_jobs(Filter()) == []
        services = tmp_path / "services"
        services.write_text(
            f"[queue]\nhost=127.0.0.1\nport={server.port}\ndbname={database}\nuser={role}\n"
        )
        monkeypatch.setenv("PGSERVICEFILE", str(services))
        with open_any("postgresql://?service=queue") as store:
            assert store.list_jobs(Filter()) == []
            with open_any(store.url) as again:
                assert again.uid == store.uid
    finally:
        server.drop_database(database)
        server.run_sql(f"DROP ROLE {role}")


def test_options_of_tls_are_passed_on(server: PostgresServer, database: str) -> None:
    with pytest.raises(StoreError, match="SSL"):
        open_any(server.url(database) + "?sslmode=require")
    with open_any(server.url(database) + "?sslmode=disable") as store:
        assert store.url.endswith("?sslmode=disable")


def test_a_postgresql_store_without_psycopg_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [n for n in sys.modules if n.startswith("queuectl.store.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(StoreError) as failure:
        open_any("postgresql://localhost/x")
    assert "psycopg[binary]" in str(failure.value.hint)
