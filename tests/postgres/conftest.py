"""A database for each test, and stores on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postgres_server import PostgresServer, shared_server
from queuectl.store.postgres import PostgresStore


@pytest.fixture
def server() -> PostgresServer:
    """The session's server."""
    return shared_server()


@pytest.fixture
def database(server: PostgresServer) -> Iterator[str]:
    """The name of a fresh database."""
    name = server.new_database()
    yield name
    server.drop_database(name)


@pytest.fixture
def home(tmp_path: Path) -> str:
    return str(tmp_path / "home")


@pytest.fixture
def open_store(
    server: PostgresServer, database: str, home: str
) -> Iterator[Callable[..., PostgresStore]]:
    """Opens stores on the test's database, or on another URL; closed at the end."""
    opened = []

    def open_one(url: str | None = None, wait_seconds: float = 30.0) -> PostgresStore:
        store = PostgresStore(url or server.url(database), home, wait_seconds)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., PostgresStore]) -> PostgresStore:
    """A store on the test's database."""
    return open_store()


@pytest.fixture
def run_sql(server: PostgresServer, database: str) -> Callable[[str], list[tuple[object, ...]]]:
    """Runs a statement as the superuser in the test's database."""
    return lambda statement: server.run_sql(statement, database)
