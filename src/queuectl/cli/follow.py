"""Following a job: what its runs print, as they print it."""

from __future__ import annotations

from queuectl.cli.outputs import Printer, Reader
from queuectl.model import PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Job
    from queuectl.store.base import Store


class Follower:
    """Prints the output of one job's runs, each stream to its own file descriptor."""

    def __init__(self, store: Store, job_id: str) -> None:
        self._store = store
        self._job_id = job_id
        self._done = 0
        self._current: tuple[int, Reader, Printer] | None = None

    def look(self) -> Job:
        """Print what is new; the job as it stood right before, so that when it has ended
        everything has been printed. Raises JobNotFound."""
        job = self._store.get(self._job_id)
        if job.runs:
            for attempt in self._store.history(self._job_id):
                if attempt.token > self._done:
                    self._print(attempt.token, ended=attempt.outcome != PROCESSING)
        return job

    def _print(self, token: int, *, ended: bool) -> None:
        if self._current is None or self._current[0] != token:
            self._current = (token, Reader(self._store, token), Printer())
        _token, reader, printer = self._current
        printer.print(reader.read())
        if ended:
            printer.end()
            self._current = None
            self._done = token
