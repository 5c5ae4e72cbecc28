"""A copy of a store gets a name of its own before it runs anything; a store that stays where
it was made keeps its name."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from postgres_server import PostgresServer, shared_server
from queuectl.errors import StoreError
from queuectl.store import open_store
from queuectl.store.base import Store

from .helpers import add, living_worker


def test_a_store_in_its_place_keeps_its_name(store: Store, another: Store) -> None:
    before = store.uid, store.slot_dir
    store.settle_in()
    add(another, "a")
    another.settle_in()
    assert (store.uid, store.slot_dir) == (another.uid, another.slot_dir) == before


# -- SQLite --------------------------------------------------------------------------------


@pytest.fixture
def original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))
    with open_store(str(tmp_path / "queue.db")) as store:
        yield store


@pytest.fixture
def copy(original: Store, tmp_path: Path) -> str:
    """Made with sqlite3's .backup, while the original is in use."""
    path = tmp_path / "copy.db"
    with sqlite3.connect(original.url) as source, sqlite3.connect(path) as target:
        source.backup(target)
    return str(path)


def test_a_copied_file_gets_a_name_of_its_own_once(original: Store, copy: str) -> None:
    with open_store(copy) as one, open_store(copy) as two:
        assert one.uid == two.uid == original.uid
        one.settle_in()
        two.settle_in()
        assert one.uid == two.uid != original.uid
        two.settle_in()
        assert one.uid == two.uid
    with open_store(copy) as again:
        again.settle_in()
        assert again.uid == one.uid
    before = original.uid
    original.settle_in()
    assert original.uid == before


def test_a_file_that_was_moved_keeps_its_name(original: Store, tmp_path: Path) -> None:
    original.close()
    (tmp_path / "sub").mkdir()
    for path in tmp_path.glob("queue.db*"):
        shutil.move(path, tmp_path / "sub")
    with open_store(str(tmp_path / "sub" / "queue.db")) as moved:
        moved.settle_in()
        assert moved.uid == original.uid


def test_a_copy_keeps_its_name_while_a_worker_lives_on_it(original: Store, copy: str) -> None:
    with open_store(copy) as store, living_worker(store) as worker:
        store.settle_in()
        assert store.uid == original.uid
        worker.die()
        store.settle_in()
        assert store.uid != original.uid


# -- PostgreSQL ----------------------------------------------------------------------------


@pytest.fixture
def server() -> PostgresServer:
    return shared_server()


@pytest.fixture
def databases(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, str]]:
    """URLs of a database with a store, and of a copy of it."""
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))
    name = server.new_database()
    open_store(server.url(name)).close()
    server.run_sql(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    yield server.url(name), server.url(f"{name}_copy")
    server.drop_database(f"{name}_copy")
    server.drop_database(name)


def test_a_copied_database_gets_a_name_and_a_folder_of_its_own_once(
    databases: tuple[str, str],
) -> None:
    original, copy = databases
    with open_store(original) as store, open_store(copy) as one, open_store(copy) as two:
        assert one.uid == two.uid == store.uid
        for each in (one, two, one, store):
            each.settle_in()
        assert one.uid == two.uid != store.uid
        assert one.slot_dir == two.slot_dir != store.slot_dir
        assert one.slot_dir.endswith(one.uid)
        assert store.slot_dir.endswith(store.uid)


def test_whoever_may_not_rename_a_copied_database_is_told(
    server: PostgresServer, databases: tuple[str, str]
) -> None:
    name = databases[1].rpartition("/")[2]
    role = f"r{name}"
    server.run_sql(f"CREATE ROLE {role} LOGIN")
    server.run_sql(
        f"GRANT USAGE ON SCHEMA queuectl TO {role};"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA queuectl TO {role}",
        name,
    )
    try:
        with (
            open_store(server.url(name, role)) as store,
            pytest.raises(StoreError, match="permission denied for table meta"),
        ):
            store.settle_in()
    finally:
        server.run_sql(f"DROP OWNED BY {role}", name)
        server.run_sql(f"DROP ROLE {role}")
