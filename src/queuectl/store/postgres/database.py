"""A connection to PostgreSQL: opening, reconnecting, migrating, transactions, deadlines.

Nothing here leans on a session that lasts: settings are made for each transaction, locks
end with it, and statements are prepared only where the connection is known to be direct.
So PgBouncer in transaction mode may stand in between.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from contextlib import contextmanager, suppress

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from queuectl.errors import StoreError, StoreTooNew
from queuectl.store.postgres import urls
from queuectl.store.postgres.failures import in_doubt, is_lost, store_error
from queuectl.store.postgres.wire import Connection, Trip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from queuectl.store.postgres.wire import Answer

_FOLDER = os.path.dirname(os.path.abspath(__file__))
VERSION = 1
MIN_COMPATIBLE = 1

_WRITE = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
_BRIEFLY = 2.0
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Should this process be killed meanwhile, nobody waits for what the server still does of it.
_MIGRATION_LOCK = (
    "SELECT set_config('client_connection_check_interval', '1s', true),"
    " pg_advisory_xact_lock(7816543, 0)"
)
_WHAT_IS_THERE = (
    "SELECT to_regclass('queuectl.meta') IS NOT NULL, current_setting('server_encoding')"
)
# A dead peer is found in less than half a lease, however quiet the connection is.
_PATIENCE = {
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
    "fallback_application_name": "queuectl",
}

_statements: dict[str, str] = {}


def sql(name: str) -> str:
    """The statement in `sql/<name>.sql`."""
    text = _statements.get(name)
    if text is None:
        with open(os.path.join(_FOLDER, "sql", name + ".sql"), encoding="utf-8") as file:
            text = _statements[name] = file.read()
    return text


def read_statements() -> None:
    """Have all of them at hand: an upgrade may replace the files, or take them away."""
    for name in os.listdir(f"{_FOLDER}/sql"):
        sql(name.removesuffix(".sql"))


class Database:
    """A connection of one thread, which comes back by itself after it was lost.

    `session` names the present connection to the server; it is never used again.
    """

    def __init__(
        self,
        url: str,
        wait_seconds: float,
        version: int = VERSION,
        min_compatible: int = MIN_COMPATIBLE,
        migrations: str = _FOLDER + "/migrations",
    ) -> None:
        self.version = version
        self._min_compatible = min_compatible
        self._migrations = migrations
        given = urls.parsed(url)
        urls.keep_places()
        self.url = urls.without_password(given)
        self._secrets = urls.secrets_of(given)
        self.parameters: dict[str, Any] = _PATIENCE | given
        if "connect_timeout" not in given:
            self.parameters["connect_timeout"] = max(2, min(10, round(wait_seconds)))
        if "PGCONNECT_TIMEOUT" in os.environ and "connect_timeout" not in given:
            del self.parameters["connect_timeout"]
        # What psycopg has to say comes as an error; its log would reach the terminal.
        logging.getLogger("psycopg").addHandler(logging.NullHandler())
        self.wait_seconds = wait_seconds
        # Statement, lock, pause: in milliseconds. The server gives up before we do.
        self._timeouts = tuple(str(round(wait_seconds * n)) for n in (900, 800, 1000))
        self._connection: Connection | None = None
        self.session = 0
        self.is_direct = False
        self._is_set = False
        self._trip: Trip | None = None
        self._committing = False
        self.uid = ""
        with self._clear_errors():
            self._connect()

    # -- opening -------------------------------------------------------------------------

    def _connect(self) -> Connection:
        connection = Connection.connect(
            **self.parameters | {"client_encoding": "UTF8"},
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.RawCursor,
        )
        connection.patience = self.wait_seconds
        connection.renew()
        try:
            self._recognise(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._is_set = False
        self.session = secrets.randbits(62)
        return connection

    def _recognise(self, connection: Connection) -> None:
        """See that it is our store, made and migrated, and whether a pooler is between."""
        meta = self._meta(connection)
        if self.uid and not meta:
            raise StoreError(f"{self.url} holds no store any more")
        if int(meta.get("version", 0)) < self.version:
            meta = self._migrate(connection)
        # Who was let in once may still tell what became of its jobs.
        if int(meta["min_compatible"]) > self.version and not self.uid:
            raise StoreTooNew(self.url, meta["version"])
        if self.uid not in ("", meta["uid"]):
            raise StoreError(f"{self.url} is another store than before")
        self.uid = meta["uid"]
        # A pooler makes up the process id that it tells its clients.
        self.is_direct = meta["backend"] == str(connection.info.backend_pid)
        if self.is_direct:
            connection.prepares = True

    def _meta(self, connection: Connection) -> dict[str, str]:
        try:
            return dict(connection.execute(sql("meta")).fetchall())
        except (errors.UndefinedTable, errors.InvalidSchemaName):
            return {}

    def _migrate(self, connection: Connection) -> dict[str, str]:
        """Apply what is missing, each migration once, under a lock of the transaction."""
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        connection.read_only = False  # whatever the default of this role or database
        with connection.transaction():
            connection.execute(_MIGRATION_LOCK)
            ((there, encoding),) = connection.execute(_WHAT_IS_THERE).fetchall()
            if encoding != "UTF8":
                raise StoreError(
                    f"{self.url} is a database in {encoding}",
                    "CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0",
                )
            meta = self._meta(connection) if there else {}
            version = int(meta.get("version", 0))
            if version < self.version:  # nobody was faster, or is newer
                connection.deadline = float("inf")  # a large table takes its time
                for number in range(version + 1, self.version + 1):
                    self._apply(connection, number)
                for name, value in (
                    ("uid", meta.get("uid") or secrets.token_hex(6)),
                    ("version", str(self.version)),
                    ("min_compatible", str(self._min_compatible)),
                ):
                    connection.execute(sql("set_meta"), (name, value))
                if "place" not in meta:
                    connection.execute(sql("set_place"))
        return self._meta(connection)

    def _apply(self, connection: Connection, number: int) -> None:
        try:
            connection.execute(_migration(self._migrations, number))
        except errors.InsufficientPrivilege:
            if number == 1:
                what, owned = "holds no store yet", "database"
            else:
                what, owned = "holds a store that is of an older queuectl", "schema"
            raise StoreError(
                f"{self.url} {what}", f"as the owner of the {owned}: queuectl init-db"
            ) from None

    def is_copy(self) -> bool:
        """Whether this is another database than that for which its uid, read anew, was made."""
        meta = dict(self.execute(sql("meta")).fetchall())
        self.uid = meta["uid"]
        return bool(meta.get("place") != meta["database"])

    def rename(self) -> None:
        """Take a new uid for this database, unless somebody was faster."""
        self.execute(_MIGRATION_LOCK)
        if self.is_copy():
            self.uid = secrets.token_hex(6)
            self.execute(sql("set_meta"), ("uid", self.uid))
            self.execute(sql("set_place"))

    def _ready(self) -> Connection:
        connection = self._connection
        if connection is None or connection.closed:
            connection = self._connect()
        connection.renew()
        return connection

    # -- transactions --------------------------------------------------------------------

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction whose statements travel together: `execute` only queues, and each
        fetch is one round trip for all that was queued before it."""
        with self._together(_WRITE):
            yield

    @contextmanager
    def read(self) -> Iterator[None]:
        """The same, seeing one state of the store throughout."""
        with self._together(_READ):
            yield

    @contextmanager
    def read_once(self) -> Iterator[None]:
        """For one statement, which sees one state by itself. (BEGIN and COMMIT would cost a
        worker that wakes up a twentieth of a millisecond.)"""
        with self._clear_errors():
            self._ready()
        if not self._is_set:
            with self.read():
                yield
            return
        with self._transaction() as connection:
            try:
                with Trip(connection) as self._trip:
                    yield
            finally:
                self._trip = None

    @contextmanager
    def write_in_bulk(self) -> Iterator[None]:
        """A transaction for COPY, which can't travel with others. The deadline is for
        each statement, not for the whole."""
        with self._transaction():
            self._begin(_WRITE)
            yield
            self._committing = True
            self.execute("COMMIT")

    @contextmanager
    def _together(self, begin: str) -> Iterator[None]:
        with self._transaction() as connection:
            try:
                with Trip(connection) as self._trip:
                    self._begin(begin)
                    yield
                    self._committing = begin == _WRITE
                    self.execute("COMMIT")
            finally:
                self._trip = None
        self._is_set = self.is_direct

    def _begin(self, begin: str) -> None:
        self.execute(begin)
        if not self._is_set:  # a connection of our own keeps what one transaction has set
            self.execute(sql("begin"), (*self._timeouts, not self.is_direct))

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        self._committing = False
        with self._clear_errors():
            connection = self._ready()
            try:
                yield connection
            except BaseException:
                self._abandon(connection)
                raise

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            told = store_error(error, self.url, self._secrets)
            if self._committing and is_lost(error):
                told = in_doubt(told)
            raise told from error

    def _abandon(self, connection: Connection) -> None:
        """Roll back; where that is not plainly possible, leave it to the server."""
        status = connection.info.transaction_status
        with suppress(psycopg.Error):
            if status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
                connection.rollback()
                return
            if status == TransactionStatus.IDLE:
                return
        connection.close()

    def execute(
        self, statement: str, values: Sequence[Any] = ()
    ) -> Answer | psycopg.Cursor[Any]:
        """Within a transaction of this database."""
        if self._trip is not None:
            return self._trip.execute(statement, values)
        connection: Any = self._connection
        connection.renew()
        cursor: psycopg.Cursor[Any] = connection.execute(statement, values)
        return cursor

    def copy(self, statement: str, rows: Iterator[tuple[Any, ...]]) -> None:
        """Send rows by COPY; within `write_in_bulk`."""
        connection: Any = self._connection
        connection.renew()
        with connection.cursor().copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def execute_alone(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first value of a statement that is a transaction by itself: something small,
        not worth waiting for, nor to connect for."""
        if self._connection is None or self._connection.closed:
            raise StoreError(f"{self.url} is not connected")
        with self._transaction() as connection:
            connection.deadline = time.monotonic() + min(_BRIEFLY, self.wait_seconds)
            row = connection.execute(statement, values).fetchone()
            return row[0] if row else None

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _migration(folder: str, number: int) -> str:
    (name,) = [n for n in os.listdir(folder) if n.startswith(f"{number:03d}_")]
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()
