"""Where jobs live: `open_store(url)` is the only place that knows which backends there are."""

from __future__ import annotations

import os

from queuectl.errors import BadInput, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from queuectl.store.base import Intake, Store

_LIBPQ = ("dbname", "host", "hostaddr", "password", "port", "service", "sslmode", "user")
_NO_PATH = ("postgres:", "postgresql:")


def home() -> str:
    """The folder for everything of this user that is not in a store: absolute path.

    Raises StoreError for a user without a home.
    """
    chosen = os.environ.get("QUEUECTL_HOME")
    if chosen:
        return os.path.abspath(chosen)
    users = os.path.expanduser("~")
    if users.startswith("~"):
        raise StoreError("this user has no home directory", "set HOME or QUEUECTL_HOME")
    return os.path.abspath(os.path.join(users, ".queuectl"))


def open_store(url: str | None = None, wait_seconds: float = 30.0) -> Store:
    """Open the store at `url` (else `QUEUECTL_DB`, else the home's), creating it if it is new.
    Each call on it waits at most so long.

    Raises BadInput (no such kind of store), StoreError (can't be reached or used).
    """
    path = _sqlite_path(url := _chosen(url))
    if path is None:
        store: Store = _of_postgres("PostgresStore")(url, home(), wait_seconds)
        return store
    from queuectl.store.sqlite.whole import SqliteStore

    return SqliteStore(path, os.path.join(home(), "logs"), wait_seconds)


def open_intake(url: str | None = None, wait_seconds: float = 30.0) -> Intake:
    """Like `open_store`, for those who do nothing but enqueue."""
    path = _sqlite_path(_chosen(url))
    if path is None:
        return open_store(url, wait_seconds)
    from queuectl.store.sqlite.intake import SqliteIntake

    return SqliteIntake(path, wait_seconds)


def lasting_url(url: str | None) -> str:
    """A name of the same store that holds from any folder, with its password if that is in
    it: for the environment of processes, as QUEUECTL_DB, never for their arguments.

    Raises BadInput (no such kind of store).
    """
    path = _sqlite_path(url := _chosen(url))
    if path is not None:
        return os.path.abspath(path)
    lasting: str = _of_postgres("urls").lasting(url)
    return lasting


def _chosen(url: str | None) -> str:
    if url == "":
        raise BadInput("--db is empty", "leave it out, or name a store")
    return url or os.environ.get("QUEUECTL_DB") or os.path.join(home(), "queue.db")


def _sqlite_path(url: str) -> str | None:
    """Where the file is; None for a PostgreSQL server."""
    if "\0" in url:
        raise BadInput("--db holds a NUL byte")
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        return None
    if not separator:
        if (url.partition("=")[0].strip() in _LIBPQ and "=" in url) or url.startswith(_NO_PATH):
            raise BadInput(
                "--db takes a path, or a whole URL",
                "postgresql://USER@HOST:PORT/DATABASE, or ./NAME for a file of such a name",
            )
        return url
    if scheme == "sqlite":
        # sqlite:///relative.db and sqlite:////absolute.db, as SQLAlchemy has it
        return rest.removeprefix("/")
    raise BadInput(
        f"--db takes a path, sqlite:///PATH or postgresql://HOST/DATABASE, not {scheme}://…",
        "queuectl --db jobs.db status",
    )


def _of_postgres(name: str) -> Any:
    try:
        return getattr(__import__("queuectl.store.postgres", fromlist=[name]), name)
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError(
            "a postgresql:// store needs psycopg",
            "pip install 'psycopg[binary]' (pipx inject queuectl 'psycopg[binary]')",
        ) from None
