"""What PostgreSQL or the network said, as one clear line without a password."""

from __future__ import annotations

import functools

import psycopg
from psycopg import errors

from queuectl.errors import StoreError, StoreTooNew, WorkerGone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    R = TypeVar("R")

_TRIES = 5


class ConflictError(StoreError):
    """Two transactions got in each other's way and this one gave in: try again at once."""


class OtherSessionError(ConflictError):
    """The worker has taken turns over another connection since."""


def again_after_conflicts(operation: Callable[P, R]) -> Callable[P, R]:
    """Repeat a whole operation whose transaction was rolled back for another's sake."""

    @functools.wraps(operation)
    def repeated(*args: P.args, **named: P.kwargs) -> R:
        for _ in range(_TRIES - 1):
            try:
                return operation(*args, **named)
            except ConflictError:
                continue
        return operation(*args, **named)

    return repeated


class NoAnswerError(psycopg.OperationalError):
    """The deadline of a call is over."""


_PLAIN: tuple[tuple[type[psycopg.Error], str, str | None], ...] = (
    (NoAnswerError, "gave no answer in time", "is the server overloaded, or the network cut?"),
    (errors.QueryCanceled, "took too long", "is the server overloaded? pg_stat_activity tells"),
    (errors.LockNotAvailable, "is locked by another process", "try again"),
    (errors.IdleInTransactionSessionTimeout, "waited too long for this process", None),
    (errors.DiskFull, "has a full disk: nothing was changed", "make room on the server"),
    (errors.OutOfMemory, "is out of memory", None),
    (errors.ReadOnlySqlTransaction, "can't be written: it is read-only",
     "is it a standby? connect to the primary (target_session_attrs=read-write)"),
    (errors.CannotConnectNow, "is starting up or shutting down", "try again"),
    (errors.AdminShutdown, "was shut down, or ended this connection", "try again"),
    (errors.CrashShutdown, "crashed and recovers", "try again"),
)  # fmt: skip


# While it connects psycopg knows no codes, only the server's words.
_REFUSED = (
    ("password", "~/.pgpass, or PGPASSFILE: a line HOST:PORT:DATABASE:USER:PASSWORD, mode 600"),
    ("does not exist", "createdb and createuser make them"),
    ("too many clients", "raise its max_connections: 4 for each worker"),
    ("too many connections", "raise its limit for this role or database: 4 for each worker"),
    ("connection slots", "raise its max_connections: 4 for each worker"),
    ("Connection refused", "is the server running, and the port right?"),
    ("resolve host", "is the host's name right?"),
)

_RIGHTS = (
    "a role needs USAGE on the schema queuectl and on its sequences, and SELECT, INSERT, UPDATE"
    " and DELETE on its tables: its owner may GRANT them"
)

_STANDBY_READS = (
    "on the primary: ALTER ROLE … SET default_transaction_isolation = 'repeatable read'"
)

# What queuectl.enter_turn raises.
_RAISED: dict[str, Callable[[str, str], StoreError | WorkerGone]] = {
    "QC001": lambda _url, said: WorkerGone(said),
    "QC002": lambda _url, said: OtherSessionError(said),
    "QC003": StoreTooNew,
}


def store_error(
    error: psycopg.Error, url: str, secrets: Iterable[str]
) -> StoreError | WorkerGone:
    """The error of ours for one of psycopg's."""
    said = _one_line(error, secrets)
    if error.sqlstate in _RAISED:
        return _RAISED[error.sqlstate](url, said)
    if isinstance(
        error, errors.DeadlockDetected | errors.SerializationFailure | errors.UniqueViolation
    ):
        return ConflictError(f"{url} is too busy: {said}", "try again")
    if isinstance(error, errors.InsufficientPrivilege):
        return StoreError(f"{url}: {said}", _RIGHTS)
    if error.sqlstate == "0A000" and "during recovery" in said:
        error = errors.ReadOnlySqlTransaction()  # as a standby says it
    if error.sqlstate == "0A000" and "serializable" in said:
        return StoreError(f"{url}: {said}", _STANDBY_READS)
    for kind, line, hint in _PLAIN:
        if isinstance(error, kind):
            return StoreError(f"{url} {line}", hint)
    hints = [hint for words, hint in _REFUSED if error.sqlstate is None and words in said]
    return StoreError(f"{url}: {said}", hints[0] if hints else None)


def is_lost(error: psycopg.Error) -> bool:
    """Whether it is the connection that failed, so that nobody knows what was done."""
    return error.sqlstate is None or error.sqlstate.startswith(("08", "57P"))


def in_doubt(error: StoreError | WorkerGone) -> StoreError:
    """The same, where it was the answer to a commit that was lost."""
    return StoreError(
        f"{error.message}; what was asked may have been done",
        "look whether it was done (queuectl list, show) before you repeat it",
    )


def _one_line(error: psycopg.Error, secrets: Iterable[str]) -> str:
    """The first line of what was said."""
    text = error.diag.message_primary or str(error) or type(error).__name__
    line = text.strip().splitlines()[0].removesuffix(":")
    for secret in secrets:
        line = line.replace(secret, "…")
    return line
