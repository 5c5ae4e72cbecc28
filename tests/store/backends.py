"""The stores that the contract suite runs against: one class a backend."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from postgres_server import PostgresServer, shared_server, system_server
from queuectl.store import open_store
from queuectl.store.base import Store
from queuectl.store.sqlite.whole import SqliteStore


class SqliteBackend:
    """A file for each store, below one folder."""

    name = "sqlite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._opened: list[Store] = []

    def new_url(self) -> str:
        """Where no store is yet."""
        return str(self._folder / f"{next(self._numbers)}" / "queue.db")

    def open(self, url: str | None = None) -> Store:
        """A further connection to the store at `url`, or a new store."""
        store = open_store(url or self.new_url())
        self._opened.append(store)
        return store

    def open_hasty(self, url: str) -> Store:
        """A further connection that is refused at once (StoreError) where it would wait."""
        store = SqliteStore(url, str(self._folder / "logs"), wait_seconds=0)
        self._opened.append(store)
        return store

    def remove(self, url: str) -> None:
        """Remove a store that nobody has open."""
        shutil.rmtree(os.path.dirname(url))

    @contextlib.contextmanager
    def before_each_statement(self, store: Store, hook: Callable[[], None]) -> Iterator[None]:
        """Inside the block, `hook` runs before every statement that this store executes."""
        assert isinstance(store, SqliteStore)
        connection = store._db.connection

        def trace(_cursor: object, _sql: str, _bindings: object) -> bool:
            hook()
            return True

        connection.exec_trace = trace
        try:
            yield
        finally:
            connection.exec_trace = None

    def close(self) -> None:
        """Close what is still open, and remove it all."""
        for store in self._opened:
            store.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        os.makedirs(self._folder, exist_ok=True)


class PostgresBackend(SqliteBackend):
    """A database for each store, on the server of the session."""

    name = "postgres"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = self._start()
        self._databases: list[str] = []

    def _start(self) -> PostgresServer:
        return shared_server()

    def new_url(self) -> str:
        self._databases.append(self._server.clean_database())
        return self._server.url(self._databases[-1])

    def open_hasty(self, url: str) -> Store:
        store: Any = self.open(url)
        store._db._timeouts = ("20000", "50", "30000")
        return store  # type: ignore[no-any-return]

    def remove(self, url: str) -> None:
        database = url.rpartition("/")[2]
        self._databases.remove(database)
        self._server.give_back(database)

    @contextlib.contextmanager
    def before_each_statement(self, store: Store, hook: Callable[[], None]) -> Iterator[None]:
        opened: Any = store
        database = opened._db
        execute = database.execute

        def step(statement: str, values: Sequence[Any] = ()) -> Any:
            hook()
            answer = execute(statement, values)
            if database._trip is not None:  # statements would travel together
                database._trip.arrive()
            return answer

        database.execute = step
        try:
            yield
        finally:
            del database.execute

    def close(self) -> None:
        super().close()
        for database in self._databases:
            self._server.give_back(database)


class SystemPostgresBackend(PostgresBackend):
    """The same on the oldest PostgreSQL that the system has."""

    def _start(self) -> PostgresServer:
        return system_server()


BACKENDS: dict[str, type[SqliteBackend]] = {
    "sqlite": SqliteBackend,
    "postgres": PostgresBackend,
}
ALSO = {"system_postgres": SystemPostgresBackend}
"""For a part of the suite."""
