"""Where jobs live: `open_store(url)` is the only place that knows which backends there are."""

from __future__ import annotations

import os

from queuectl.errors import BadInput, StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.base import Store


def home() -> str:
    """The folder for everything of this user that is not in a store: absolute path."""
    chosen = os.environ.get("QUEUECTL_HOME")
    return os.path.abspath(chosen or os.path.join(os.path.expanduser("~"), ".queuectl"))


def open_store(url: str | None = None, wait_seconds: float = 30.0) -> Store:
    """Open the store at `url` (else `QUEUECTL_DB`, else the home's), creating it if it is new.
    Each call on it waits at most so long.

    Raises BadInput (no such kind of store), StoreError (can't be reached or used).
    """
    url = url or os.environ.get("QUEUECTL_DB") or os.path.join(home(), "queue.db")
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        return _open_postgres(url, wait_seconds)
    if not separator:
        path = url
    elif scheme == "sqlite":
        # sqlite:///relative.db and sqlite:////absolute.db, as SQLAlchemy has it
        path = rest.removeprefix("/")
    else:
        raise BadInput(
            f"--db takes a path, sqlite:///PATH or postgresql://HOST/DATABASE, not {scheme}://…",
            "queuectl --db jobs.db status",
        )
    from queuectl.store.sqlite import SqliteStore

    return SqliteStore(path, os.path.join(home(), "logs"), wait_seconds)


def _open_postgres(url: str, wait_seconds: float) -> Store:
    try:
        from queuectl.store.postgres import PostgresStore
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise StoreError(
            "a postgresql:// store needs psycopg", "pip install 'queuectl[postgres]'"
        ) from None
    return PostgresStore(url, home(), wait_seconds)
