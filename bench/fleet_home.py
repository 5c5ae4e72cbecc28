"""A PostgreSQL of the benchmark's own, queues in it, and what they ask of it."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import psycopg

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests"))

from bench.home import Home
from postgres_server import PostgresServer
from tcp_proxy import TcpProxy

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Sequence
    from typing import Any


@contextmanager
def postgres() -> Iterator[PostgresServer]:
    """A server that keeps what it says it keeps, on the disk of the temporary folder."""
    server = PostgresServer(
        fsync="on",
        synchronous_commit="on",
        full_page_writes="on",
        autovacuum_naptime="10s",
        shared_buffers="512MB",
        max_wal_size="4GB",
    )
    try:
        yield server
    finally:
        server.remove()


class FleetHome(Home):
    """A queue in a database of its own, behind a port of this machine."""

    def __init__(self, server: PostgresServer, port: int | None = None) -> None:
        super().__init__()
        self._server = server
        self.database = server.new_database()
        self.db = f"postgresql://postgres@127.0.0.1:{port or server.port}/{self.database}"
        self.env["QUEUECTL_DB"] = self.db
        # The same home for stores of this process: their slot folder is there.
        self._home_before = os.environ.get("QUEUECTL_HOME", "")
        os.environ["QUEUECTL_HOME"] = self.path

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        os.environ["QUEUECTL_HOME"] = self._home_before
        self._server.drop_database(self.database)

    def steady(self, after: int = 0, first: int = -1) -> float:
        """As for SQLite."""
        statement = (
            "SELECT max(finished_at) - min(started_at) FROM (SELECT * FROM queuectl.attempts"
            " WHERE token > %s AND outcome = 'completed' ORDER BY token LIMIT %s) a"
        )
        taken = self._read(statement, (after, first if first >= 0 else None))[0][0]
        return float(taken) / 1000

    def last_token(self) -> int:
        """Of all runs that have ended."""
        return int(self._read("SELECT coalesce(max(token), 0) FROM queuectl.attempts")[0][0])

    def _read(self, text: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._server.url(self.database)) as connection:
            return connection.execute(text.encode(), values).fetchall()


class Use(NamedTuple):
    """What was asked of a database."""

    transactions: int
    written: int
    """Rows inserted, updated, deleted."""
    log: int
    """Bytes of the write-ahead log, of the whole server."""

    def since(self, before: Use) -> Use:
        """What came after."""
        return Use(*(b - a for a, b in zip(before, self, strict=True)))


def use_of(server: PostgresServer, database: str) -> Use:
    """All so far. Only rows that were committed count (and what was rolled back is lost)."""
    with psycopg.connect(server.url(database), autocommit=True) as connection:
        # Sessions tell what they did when they go idle or end; none is left.
        row = connection.execute(
            "SELECT xact_commit + xact_rollback, tup_inserted + tup_updated + tup_deleted,"
            " pg_current_wal_lsn() - '0/0' FROM pg_stat_database"
            " WHERE datname = current_database()"
        ).fetchone()
    assert row is not None
    return Use(*map(int, row))


class CountingProxy(TcpProxy):
    """Counts round trips: each time that a client speaks after its server has."""

    def __init__(self, target_port: int) -> None:
        super().__init__(target_port)
        self.trips = 0
        self._answered: set[socket.socket] = set()

    def _take(self, source: socket.socket) -> None:
        other = self._pairs.get(source)
        if source in self._servers and other is not None:
            self._answered.add(other)
        elif source in self._answered:
            self._answered.discard(source)
            self.trips += 1
        super()._take(source)


@contextmanager
def counting_proxy(server: PostgresServer) -> Iterator[CountingProxy]:
    """One for the block."""
    proxy = CountingProxy(server.port)
    try:
        yield proxy
    finally:
        proxy.close()
