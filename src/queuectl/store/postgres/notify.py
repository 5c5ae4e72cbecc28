"""Waking workers from any host: LISTEN and NOTIFY. Only a hint; a slow poll is the net
under it, and all there is behind a pooler.

A notification is sent by itself, after the enqueue and not too often: NOTIFY holds a lock
over its commit that is shared by the whole server, so an enqueue that notified in its own
transaction would wait for every other one's disk.
"""

from __future__ import annotations

import secrets
import time

import psycopg
from psycopg.sql import SQL, Identifier

from queuectl.errors import StoreError
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.wire import Connection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from queuectl.store.postgres.database import Database

_LEAST_PAUSE = 0.02


def channel(uid: str) -> str:
    """The channel that the workers of a store listen to."""
    return f"queuectl_{uid}"


class Ringer:
    """Rings at most every 20 ms; what is held back is owed until the next or `close`."""

    def __init__(self, database: Database, uid: str) -> None:
        self._db = database
        self._channel = channel(uid)
        self._next_at = 0.0
        self._owed = False

    def ring(self) -> None:
        """Wake those that listen. Never fails: they look by themselves before long."""
        self._owed = True
        if time.monotonic() >= self._next_at:
            self._pay()

    def _pay(self) -> None:
        try:
            self._db.execute_alone(sql("notify"), (self._channel, ""))
        except StoreError:
            return
        self._owed = False
        self._next_at = time.monotonic() + _LEAST_PAUSE

    def close(self) -> None:
        """Ring if it is owed."""
        if self._owed:
            self._pay()


class Listener:
    """A connection that hears the ringing. Opening it waits for the server; nothing else does.

    `fileno()` becomes readable when somebody rings, or the connection is lost. A half-open
    connection looks like a quiet one, so now and then the owner calls `test`.
    """

    def __init__(self, parameters: Mapping[str, Any], uid: str, wait_seconds: float) -> None:
        """Raises StoreError, after `wait_seconds` at the latest once it is connected."""
        self._own_channel = f"{channel(uid)}_{secrets.token_hex(6)}"
        self._sent: bytes | None = None
        self.alive = True
        """Whether the connection stands, as far as is known."""
        self.proven = False
        """Whether a test has come back."""
        connection = None
        try:
            connection = Connection.connect(**parameters, autocommit=True)
            connection.deadline = time.monotonic() + wait_seconds
            for name in (channel(uid), self._own_channel):
                connection.execute(SQL("LISTEN {}").format(Identifier(name)))
        except psycopg.Error as error:
            if connection is not None:
                connection.close()
            raise StoreError(f"can't listen for jobs: {type(error).__name__}") from error
        self._connection = connection
        self._pg = self._connection.pgconn
        self._pg.nonblocking = 1

    def fileno(self) -> int:
        """For the selector, while `alive`."""
        return self._pg.socket

    def drain(self) -> bool:
        """Take what has come. True if somebody rang, or if that can't be known any more."""
        rung = False
        try:
            self._pg.consume_input()
            while (note := self._pg.notifies()) is not None:
                if note.extra and note.extra == self._sent:
                    self._sent = None
                    self.proven = True
                elif not note.extra:
                    rung = True
            while not self._pg.is_busy() and self._pg.get_result() is not None:
                pass
        except psycopg.Error:
            self.close()
            return True
        return rung

    def test(self) -> bool:
        """Ring for oneself. False if the last test was not heard: then nothing will be, and
        the owner listens anew."""
        if self._sent is not None:
            self.drain()
        if self._sent is not None or not self.alive:
            self.close()
            return False
        self._sent = secrets.token_hex(8).encode()
        try:
            self._pg.send_query_params(
                sql("notify").encode(), [self._own_channel.encode(), self._sent]
            )
            self._pg.flush()
        except psycopg.Error:
            self.close()
        return self.alive

    def close(self) -> None:
        """Hear nothing more."""
        self.alive = False
        self._connection.close()
