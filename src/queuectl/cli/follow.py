"""Following a job: what its runs print, as they print it."""

from __future__ import annotations

from queuectl.cli.outputs import STREAMS, Printer, Reader, last_lines
from queuectl.model import PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.model import Job
    from queuectl.store.base import Store


class Follower:
    """Prints the output of one job's runs, each stream to its own file descriptor.

    Only of runs whose token is above `after`, only of these `streams`, and of what is there
    at the first look only the last `lines` (None: all).
    """

    def __init__(
        self,
        store: Store,
        job_id: str,
        *,
        after: int = 0,
        streams: Sequence[int] = tuple(STREAMS),
        lines: int | None = None,
    ) -> None:
        self._store = store
        self._job_id = job_id
        self._done = after
        self._streams = streams
        self._lines = lines
        self._current: tuple[int, Reader, Printer] | None = None

    def look(self) -> Job:
        """Print what is new; the job as it stood right before, so that when it has ended
        everything has been printed. Raises JobNotFound."""
        job = self._store.get(self._job_id)
        if job.runs:
            for attempt in self._store.history(self._job_id):
                if attempt.token > self._done:
                    self._print(attempt.token, ended=attempt.outcome != PROCESSING)
        self._lines = None
        return job

    def _print(self, token: int, *, ended: bool) -> None:
        if self._current is None or self._current[0] != token:
            self._current = (token, Reader(self._store, token, self._streams), Printer())
        _token, reader, printer = self._current
        pieces = reader.read()
        printer.print(pieces if self._lines is None else last_lines(pieces, self._lines))
        if ended:
            printer.end()
            self._current = None
            self._done = token
