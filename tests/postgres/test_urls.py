"""URLs: which places they name, what of them is shown, and what never."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from postgres_server import PostgresServer
from queuectl.errors import STORE_FAILED, BadInput, StoreError
from queuectl.model import Filter
from queuectl.store import open_store as open_any
from queuectl.store.postgres import urls
from store.helpers import T0, a_job


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
