"""A queue of its own for a benchmark: a temporary home, the CLI, workers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import apsw

from bench.measure import Cost, run, wait_until
from queuectl.clock import now_ms
from queuectl.config import Config
from queuectl.jobspec import JobSpec
from queuectl.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

    from queuectl.model import NewJob
    from queuectl.store.base import Store

QUEUECTL = os.path.join(os.path.dirname(sys.executable), "queuectl")


def shell_job(line: str, cwd: str, **fields: object) -> NewJob:
    """A job as the CLI would make it, for a store that is used in this process."""
    spec = JobSpec(Config(), cwd=cwd, created_by="bench@here", captured={}, fields=fields)
    return spec.from_line(line, now_ms())


class Workers(NamedTuple):
    """One `worker start`: its process, and the workers' pids."""

    supervisor: subprocess.Popen[bytes]
    pids: list[int]

    @property
    def all_pids(self) -> list[int]:
        """Workers and supervisor."""
        return [*self.pids, self.supervisor.pid]


class Home:
    """`with Home() as home:`; gone afterwards, folder and processes."""

    def __init__(self) -> None:
        self.path = tempfile.mkdtemp(prefix="queuectl-bench-")
        self.db = os.path.join(self.path, "queue.db")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("QUEUECTL_")}
        self.env["QUEUECTL_HOME"] = self.path
        # Not among the bells of others; this process rings in it too.
        self.env["QUEUECTL_RUNTIME_DIR"] = os.environ["QUEUECTL_RUNTIME_DIR"] = self.path

    def __enter__(self) -> Home:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def file(self, name: str, content: str) -> str:
        """Write a file into the home; its path."""
        path = os.path.join(self.path, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(content)
        return path

    def queuectl(self, *words: str) -> Cost:
        """Run the CLI to its end, unseen."""
        return run([QUEUECTL, *words], env=self.env)

    def enqueue(self, commands: Sequence[str]) -> None:
        """Add shell lines."""
        self.queuectl("enqueue", "--file", self.file("jobs", "\n".join(commands) + "\n"))

    def store(self) -> Store:
        """The store itself, in this process."""
        return open_store(self.db)

    def ended(self) -> int:
        """How many jobs are through."""
        with self.store() as store:
            counts = dict(store.stats().counts)
        return counts.get("completed", 0) + counts.get("dead", 0)

    def pending(self, queue: str) -> int:
        """How many jobs of a queue are pending."""
        with self.store() as store:
            found = [dict(q.counts) for q in store.stats().queues if q.name == queue]
        return int(found[0].get("pending", 0)) if found else 0

    def wait_for_ended(self, number: int, patience: float = 300.0) -> None:
        """Wait until so many jobs are through."""
        wait_until(lambda: self.ended() >= number, patience, 0.05)

    def last_token(self) -> int:
        """Of all runs that have ended."""
        rows = self._read("SELECT max(token) FROM attempts")
        return int(rows[0][0] or 0)

    def steady(self, after: int = 0, first: int = -1) -> float:
        """Seconds from the start of the first run to the end of the last one (of the
        `first` so many after a token)."""
        rows = self._read(
            "SELECT started_at, finished_at FROM attempts WHERE token > ? AND"
            " outcome = 'completed' ORDER BY token LIMIT ?",
            (after, first),
        )
        return (max(r[1] for r in rows) - min(r[0] for r in rows)) / 1000

    def last_start(self) -> float:
        """When the last run began, in seconds since 1970."""
        return self._read("SELECT max(started_at) FROM attempts")[0][0] / 1000

    def most_at_once(self) -> int:
        """The most runs that there were at any moment."""
        runs = self._read("SELECT started_at, finished_at FROM attempts")
        changes = sorted([(r[0], 1) for r in runs] + [(r[1], -1) for r in runs])
        most = now = 0
        for _at, change in changes:
            now += change
            most = max(most, now)
        return most

    def _read(self, text: str, values: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
        connection = apsw.Connection(self.db, flags=apsw.SQLITE_OPEN_READONLY)
        try:
            return connection.execute(text, values).fetchall()  # type: ignore[return-value]
        finally:
            connection.close()

    @contextmanager
    def workers(self, count: int, concurrency: int = 1) -> Iterator[Workers]:
        """Workers that are ready; stopped afterwards."""
        supervisor = subprocess.Popen(
            [
                *(QUEUECTL, "worker", "start", "--count", str(count)),
                *("--concurrency", str(concurrency)),
            ],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            with self.store() as store:
                wait_until(
                    lambda: len(store.workers()) == count or supervisor.poll() is not None
                )
                pids = [worker.pid for worker in store.workers()]
            if len(pids) != count:
                raise RuntimeError(f"the workers did not start: exit {supervisor.poll()}")
            time.sleep(0.2)
            yield Workers(supervisor, pids)
        finally:
            supervisor.send_signal(signal.SIGTERM)
            supervisor.wait(60)
