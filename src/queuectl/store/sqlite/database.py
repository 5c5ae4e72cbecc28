"""One connection to a SQLite file: opening, creating, migrating, transactions, errors.

Settings: WAL with `synchronous=FULL`, so that a commit is on disk when it returns
(https://www.sqlite.org/pragma.html#pragma_synchronous), and no checkpoint on close, which
would make every lone `enqueue` pay for one.
"""

from __future__ import annotations

import os
import time

import apsw

from queuectl.errors import QueuectlError, StoreError, StoreGone, StoreTooNew

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any

_FOLDER = os.path.dirname(os.path.abspath(__file__))
VERSION = 1
MIN_COMPATIBLE = 1
_LONG_LOG = 256 * 1024
_LONGEST_NAP = 0.01
_STATEMENTS = 400
"""How many apsw keeps compiled: a ring, in which each row of an executemany takes a place."""

_statements: dict[str, str] = {}


def sql(name: str) -> str:
    """The statement in `sql/<name>.sql`, without its comments: apsw hashes it at each use."""
    text = _statements.get(name)
    if text is None:
        with open(f"{_FOLDER}/sql/{name}.sql", "rb", buffering=0) as file:
            lines = file.read().decode().splitlines()
        text = _statements[name] = "\n".join([s for s in lines if not s.startswith("--")])
    return text


def read_statements() -> None:
    """Have all of them at hand: an upgrade may replace the files, or take them away."""
    for name in os.listdir(f"{_FOLDER}/sql"):
        sql(name.removesuffix(".sql"))


class Database:
    """A connection of one thread. A locked database is waited for `wait_seconds`."""

    def __init__(
        self,
        path: str,
        wait_seconds: float,
        version: int = VERSION,
        min_compatible: int = MIN_COMPATIBLE,
        migrations: str = _FOLDER + "/migrations",
    ) -> None:
        self.path = os.path.realpath(path)
        self.version = version
        self._min_compatible = min_compatible
        self._migrations = migrations
        self._wait_seconds = wait_seconds
        self._deadline = 0.0
        self._writing = _Transaction(self, "BEGIN IMMEDIATE")
        self._reading = _Transaction(self, "BEGIN")
        _make_private(self.path)
        try:
            self.connection = apsw.Connection(self.path, statementcachesize=_STATEMENTS)
            self._opened = os.stat(self.path)
            self._prepare()
        except apsw.Error as error:
            raise store_error(error, self.path) from error
        self.execute: Callable[..., Any] = self.connection.execute
        self.executemany: Callable[..., Any] = self.connection.executemany

    def _prepare(self) -> None:
        db = self.connection
        db.set_busy_handler(self._wait_for_lock)
        self.start_waiting()
        db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        # Else what a partial index might serve is compiled anew for each value bound to it.
        db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
        db.execute("PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864")
        meta = self._meta()
        if meta.get("version", 0) < self.version:
            meta = self._migrate()
        if meta["min_compatible"] > self.version:
            raise StoreTooNew(self.path, meta["version"])
        self.uid: str = meta["uid"]
        self._use_wal()

    def _meta(self) -> dict[str, Any]:
        """What the store says of itself; nothing if the database is empty."""
        try:
            return self._read_meta()
        except apsw.SQLError:
            if not self.connection.execute("SELECT 1 FROM sqlite_schema LIMIT 1").get:
                return {}
        try:
            return self._read_meta()  # another process may have made the store just now
        except apsw.SQLError:
            raise StoreError(
                f"{self.path} is a database of something else", "choose another --db"
            ) from None

    def _read_meta(self) -> dict[str, Any]:
        return dict(self.connection.execute("SELECT name, value FROM meta"))

    def _use_wal(self) -> None:
        """Outside any transaction, so not part of a migration; nothing to do but once."""
        while True:
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
                return
            except apsw.BusyError:  # raised without asking the busy handler
                if not self._wait_for_lock(3):
                    raise

    def _migrate(self) -> dict[str, Any]:
        """Apply what is missing, each migration once, under the write lock."""
        db = self.connection
        db.execute("BEGIN IMMEDIATE")
        try:
            there = self._meta().get("version", 0)
            for number in range(there + 1, self.version + 1):
                db.execute(_migration(self._migrations, number))
            db.execute(
                "INSERT OR IGNORE INTO meta VALUES ('uid', ?), ('place', ?)",
                (os.urandom(6).hex(), self._place()),
            )
            if there < self.version:  # not if somebody was faster, and may be newer
                db.execute(
                    "INSERT OR REPLACE INTO meta VALUES ('version', ?), ('min_compatible', ?)",
                    (self.version, self._min_compatible),
                )
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:  # a full disk may have rolled back already
                db.execute("ROLLBACK")
            raise
        return self._meta()

    def _place(self) -> str:
        """Tells this file from its copies."""
        found = os.stat(self.path)
        return f"{found.st_dev}:{found.st_ino}"

    def is_in_place(self) -> bool:
        """Whether the file is still what others find under its name."""
        try:
            return os.path.samestat(os.stat(self.path), self._opened)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:  # who knows; whoever asks further will hear
            return True

    def is_copy(self) -> bool:
        """Whether the file lies elsewhere than where its uid, read anew, was made."""
        meta = self._read_meta()
        self.uid = meta["uid"]
        return bool(meta.get("place") != self._place())

    def rename(self) -> None:
        """Take a new uid for this place."""
        self.uid = os.urandom(6).hex()
        self.execute(
            "REPLACE INTO meta VALUES ('uid', ?), ('place', ?)", (self.uid, self._place())
        )

    def start_waiting(self) -> None:
        """Set the deadline for the locks of the operation that begins now."""
        self._deadline = time.monotonic() + self._wait_seconds

    def _wait_for_lock(self, tries: int) -> bool:
        if time.monotonic() >= self._deadline:
            return False
        # Uneven and short: SQLite's own handler soon sleeps 100 ms at a time.
        time.sleep(min(0.0005 * (tries + 1), _LONGEST_NAP) * (0.5 + os.urandom(1)[0] / 255))
        return True

    def give_way(self) -> None:
        """Leave the lock alone until everybody who waits for it has tried: there is no line,
        and who takes it again at once has it for good."""
        time.sleep(_LONGEST_NAP * 2)

    def write(self) -> _Transaction:
        """`with database.write():` holds the write lock; commits, durably, or rolls back."""
        return self._writing

    def read(self) -> _Transaction:
        """`with database.read():` sees one state of the store throughout."""
        return self._reading

    def change_mark(self) -> object:
        """Other connections' commits move data_version, our own total_changes. A file that
        nobody else sees always counts as changed: whoever asks further will hear.

        The pragma, since the file control of that name sees only what the connection has
        read already (https://www.sqlite.org/c3ref/c_fcntl_begin_atomic_write.html).
        """
        if not self.is_in_place():
            return object()
        try:
            return self.execute("PRAGMA data_version").get, self.connection.total_changes()
        except apsw.Error:  # busy, or worse: whoever asks further will hear
            return object()

    def shorten_log(self) -> None:
        """Checkpoint a log that has grown: the first to open the file next reads all of it."""
        try:
            if os.stat(self.path + "-wal").st_size > _LONG_LOG:
                self._deadline = 0.0
                self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except (OSError, apsw.Error):  # somebody else is there after all
            return

    def close(self) -> None:
        self.connection.close()


class _Transaction:
    """The same object each time: a worker enters it some hundred times a second."""

    def __init__(self, database: Database, begin: str) -> None:
        self._database = database
        self._begin = begin

    def __enter__(self) -> None:
        database = self._database
        if not database.is_in_place():
            raise StoreGone(database.path)
        database.start_waiting()
        try:
            database.execute(self._begin)
        except apsw.Error as error:
            raise store_error(error, database.path) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        database = self._database
        if error is None:
            try:
                database.execute("COMMIT")
                return
            except apsw.Error as failure:
                self._roll_back()
                raise store_error(failure, database.path) from failure
        self._roll_back()
        if isinstance(error, apsw.Error):
            raise store_error(error, database.path) from error

    def _roll_back(self) -> None:
        # A full disk may have rolled back already.
        if self._database.connection.in_transaction:
            self._database.execute("ROLLBACK")


def store_error(error: apsw.Error, path: str) -> QueuectlError:
    """The clear line for what SQLite said."""
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return StoreError(
            f"{path} is locked by another process",
            f"try again; fuser -v {path} tells who has it open",
        )
    if isinstance(error, apsw.FullError):
        return StoreError(f"the disk is full: nothing was changed in {path}", "make room")
    if isinstance(error, apsw.ReadOnlyError):
        return StoreError(f"{path} can't be written: it is read-only")
    if isinstance(error, apsw.NotADBError):
        return StoreError(f"{path} is not a database", "choose another --db")
    if isinstance(error, apsw.CantOpenError | apsw.PermissionsError | apsw.AuthError):
        return StoreError(f"{path} can't be opened: {_why_not(path)}")
    return StoreError(f"{path}: {error}")


def _why_not(path: str) -> str:
    if os.path.isdir(path):
        return "it is a directory"
    if not os.access(path, os.R_OK | os.W_OK):
        return "no permission"
    try:
        for descriptor in os.pipe():  # SQLite does not say so, and needs two at a time
            os.close(descriptor)
    except OSError as error:
        return str(error.strerror)
    return "no permission for its folder, or no space"


def _make_private(path: str) -> None:
    """Create the file and its folder for this user's eyes only, whatever the umask.

    A file that is there is not opened: closing it again would end the locks that other
    connections of this process hold on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    if os.path.exists(path):
        return
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:  # somebody else was faster
        return
    except OSError as error:
        raise StoreError(f"{path} can't be created: {error.strerror}") from error


def _migration(folder: str, number: int) -> str:
    (name,) = [n for n in os.listdir(folder) if n.startswith(f"{number:03d}_")]
    with open(os.path.join(folder, name), encoding="utf-8") as file:
        return file.read()
