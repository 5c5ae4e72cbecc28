"""The wire to a PostgreSQL: a connection that knows when to give up waiting, and
statements that travel together."""

from __future__ import annotations

import select
import time
from collections import deque
from contextlib import suppress
from itertools import count

import psycopg
from psycopg import errors, pq
from psycopg.adapt import PyFormat, Transformer

from queuectl.store.postgres.failures import NoAnswerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self, TypeAlias

    from psycopg.pq.abc import PGresult

    _Key: TypeAlias = tuple[str, tuple[int, ...]]  # a statement, types of its values

_MOST_PREPARED = 200
"""A worker needs some 40."""
_STALE = ("0A000", "26000")
"""A statement that was prepared is not what it was: its table or view is another by now."""
_READABLE, _WRITABLE = 1, 2  # of psycopg's Wait and Ready
_EVENTS = {1: select.POLLIN, 2: select.POLLOUT, 3: select.POLLIN | select.POLLOUT}
_FAILED = (pq.ExecStatus.FATAL_ERROR, pq.ExecStatus.PIPELINE_ABORTED)


class Connection(psycopg.Connection["tuple[Any, ...]"]):
    """One that waits for the server no longer than until `deadline` (monotonic).

    The server's own timeouts don't help against a server that is stopped, and TCP's not
    against one whose kernel still answers.
    """

    deadline = float("inf")
    patience = float("inf")
    """Seconds that each round trip gets."""
    prepares = False
    """Whether a `Trip` prepares what it sends. Behind a pooler it may not: the next
    transaction may have another server process."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.transformer = Transformer(self)
        self.prepared: dict[_Key, bytes] = {}
        """Names of statements."""
        self.numbers = count(1)

    def renew(self) -> None:
        """A round trip begins."""
        self.deadline = time.monotonic() + self.patience

    def wait(
        self,
        gen: Any,
        interval: float = 0.0,  # noqa: ARG002 - psycopg's, to look at signals in between
        timeout: float | None = None,
    ) -> Any:
        end = self.deadline if timeout is None else time.monotonic() + timeout
        try:
            wanted = next(gen)
            while True:
                wanted = gen.send(self.poll(wanted, end))
        except StopIteration as end_of_call:
            return end_of_call.value
        except BaseException as error:
            if not isinstance(error, psycopg.Error):
                self.pgconn.finish()  # Ctrl+C: what the server does now is its own affair
            # Ends it in order if it was not its own error; left alone it would try to
            # speak to the server when it is collected.
            with suppress(BaseException):
                gen.throw(error)
            raise

    def poll(self, wanted: int, end: float) -> int:
        """Wait until the socket is readable (1) or writable (2), as wanted; which it is."""
        poll = select.poll()
        poll.register(self.pgconn.socket, _EVENTS[wanted])
        while (left := end - time.monotonic()) > 0:
            ready = poll.poll(min(left, 3600) * 1000)
            if ready:
                event = ready[0][1]
                seen = wanted if event & ~select.POLLOUT else _WRITABLE
                return seen & wanted or wanted
        self.pgconn.finish()
        raise NoAnswerError("no answer in time")


class Answer:
    """What the server says to one statement; fetching it ends the leg of the trip."""

    def __init__(self, trip: Trip) -> None:
        self._trip = trip
        self.prepares: _Key | None = None
        self.result: Any = None

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""
        return self._arrived().command_tuples or 0

    def fetchall(self) -> list[tuple[Any, ...]]:
        """All rows."""
        return self._trip.rows(self._arrived())

    def _arrived(self) -> PGresult:
        if self.result is None or self.result.status in _FAILED:
            self._trip.arrive()
        result: PGresult = self.result
        return result


class Trip:
    """Statements that travel together. psycopg can do this too, with a cursor for each;
    but these cost a worker that wakes up half a millisecond, as much as the disk does. So
    this is libpq's pipeline, and psycopg's part are the values.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pg = connection.pgconn
        self._due: deque[Answer] = deque()
        self._error: psycopg.Error | None = None

    def __enter__(self) -> Self:
        self._pg.enter_pipeline_mode()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._pg.status == pq.ConnStatus.BAD:
            return
        try:
            self._sync()
            self._pg.exit_pipeline_mode()
        except psycopg.Error as lost:
            self._pg.finish()
            if error is None:
                raise self._error or lost from None
        if self._error is not None and self._error.sqlstate in _STALE:
            self._pg.finish()  # the next connection prepares anew
        if error is None and self._error is not None:
            raise self._error

    def execute(self, statement: str, values: Sequence[Any]) -> Answer:
        """Have a statement join the trip, which begins when an answer is asked for."""
        values_of = self._connection.transformer
        parameters = values_of.dump_sequence(values, [PyFormat.AUTO] * len(values))
        types, formats = values_of.types or (), values_of.formats
        answer = Answer(self)
        name = self._prepare((statement, types))
        if name:
            self._pg.send_query_prepared(name, parameters, formats)
        else:
            self._pg.send_query_params(statement.encode(), parameters, types, formats)
        self._due.append(answer)
        return answer

    def _prepare(self, key: _Key) -> bytes:
        """Its name. Unnamed it would be planned now, and again when it is sent next."""
        prepared = self._connection.prepared
        name = prepared.get(key)
        if name is None and self._connection.prepares and len(prepared) < _MOST_PREPARED:
            name = b"q%d" % next(self._connection.numbers)
            self._pg.send_prepare(name, key[0].encode(), key[1])
            prepared[key] = name
            preparing = Answer(self)
            preparing.prepares = key
            self._due.append(preparing)
        return name or b""

    def arrive(self) -> None:
        """Have the answers to all that was sent. Raises what went wrong first."""
        if self._due:
            self._sync()
        if self._error is not None:
            raise self._error

    def rows(self, result: PGresult) -> list[tuple[Any, ...]]:
        """What a result holds."""
        values_of = self._connection.transformer
        values_of.set_pgresult(result)
        return values_of.load_rows(0, result.ntuples, tuple)

    def _sync(self) -> None:
        """A leg ends. (Not by a flush: until it is told so a server takes the next statement to
        be on its way, and waits for it with all its locks, whatever its timeouts.)"""
        self._pg.pipeline_sync()
        self._due.append(Answer(self))
        self._receive()

    def _receive(self) -> None:
        self._connection.renew()
        try:
            unsent = self._pg.flush()
            while self._due:
                while self._pg.is_busy():
                    wanted = _READABLE | _WRITABLE if unsent else _READABLE
                    ready = self._connection.poll(wanted, self._connection.deadline)
                    self._connection.renew()  # much takes long, and goes on
                    if ready & _READABLE:
                        self._pg.consume_input()
                    if unsent:
                        unsent = self._pg.flush()
                self._take(self._pg.get_result())
        except BaseException as error:
            if not isinstance(error, psycopg.Error):
                self._pg.finish()  # as in `Connection.wait`
            raise

    def _take(self, result: PGresult | None) -> None:
        if result is None or result.status == pq.ExecStatus.PIPELINE_SYNC:
            self._due.popleft()
            return
        answer = self._due[0]
        answer.result = result
        if result.status in _FAILED:
            if answer.prepares is not None:
                del self._connection.prepared[answer.prepares]
            if self._error is None:
                encoding = self._connection.info.encoding
                self._error = errors.error_from_result(result, encoding)
