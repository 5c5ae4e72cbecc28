"""What these tests say everything with: a store, the workers started on it, and /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from queuectl.clock import now_ms
from queuectl.host import host_name
from queuectl.model import (
    ENDED,
    PROCESSING,
    STDERR,
    STDOUT,
    Attempt,
    Filter,
    Job,
    NewJob,
    Worker,
)
from queuectl.retry import RetryPolicy
from queuectl.store import open_store
from queuectl.store.base import Store
from queuectl.worker import doorbell

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds until a condition that should come soon is given up."""

NEVER = 3600
"""A poll interval (seconds) by which nothing in a test is ever seen."""

_START = """
import json, os, sys
from queuectl.errors import QueuectlError
from queuectl.worker.supervisor import start
url, options = sys.argv[1], json.loads(sys.argv[2])
try:
    code = start(url, **{**options, "queues": tuple(options["queues"])})
except QueuectlError as error:
    print(error.message, file=sys.stderr)
    code = error.exit_code
sys.stderr.flush()
os._exit(code)  # as the command line does: while Python ends, signals have no handlers
"""


def wait_until(condition: Callable[[], T], seconds: float = PATIENCE, what: str = "") -> T:
    """The first true value of the condition; fails if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain {what}"
        time.sleep(0.005)
    return value


def time_passes(seconds: float) -> None:
    """Where time itself is what matters: a lease that ends, or what must not happen."""
    end = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= end, seconds + PATIENCE)


# -- processes -------------------------------------------------------------------------


def state_of(pid: int) -> str:
    """The letter of proc_pid_stat(5); nothing if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return text[text.rfind(")") + 2 :][:1]


def lives(pid: int) -> bool:
    """Whether the process is there; a zombie is not."""
    return state_of(pid) not in ("", "Z", "X")


def every_pid() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def marked(uid: str) -> list[int]:
    """The living processes of all runs of a store."""
    want = f"QUEUECTL_RUN={uid}.".encode()
    return [p for p in every_pid() if want in _bytes(f"/proc/{p}/environ") and lives(p)]


def workers_of(uid: str) -> list[int]:
    """The living worker processes of a store."""
    found = []
    for pid in every_pid():
        line = _bytes(f"/proc/{pid}/cmdline")
        if b"queuectl.worker" in line and uid.encode() in line and lives(pid):
            found.append(pid)
    return found


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal, if the process is still there."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def children_of(pid: int) -> list[int]:
    """Zombies too."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text(encoding="ascii").split()
    ]


def resident(pid: int) -> int:
    """Bytes of memory that a process has at present."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no process {pid}")


def numbers_in(path: Path) -> list[int]:
    """The numbers in a file that jobs append to; none if it is not there yet."""
    return [int(word) for word in lines_of(path)]


def lines_of(path: Path) -> list[str]:
    """The whole lines of a file that jobs append to; none if it is not there yet."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()


# -- a store and its workers -----------------------------------------------------------


class Supervisor:
    """A `worker start` in a process of its own; what it says goes to a file."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self.pid = process.pid
        self._log = log

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop_now(self) -> None:
        """Two signals, of two kinds, since two of a kind may become one."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGINT)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running: {self.log}") from None


class Shop:
    """A store, and whatever was started on it; `close` proves that nothing is left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = str(folder / "queue.db")
        self.store = open_store(self.url)
        self.uid = self.store.uid
        self._supervisors: list[Supervisor] = []
        self.configure(kill_grace=0.5)

    def configure(self, **settings: float | str) -> None:
        for key, value in settings.items():
            self.store.set_config(key, str(value))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else can write to the store inside the block."""
        other = sqlite3.connect(self.url, isolation_level=None, timeout=PATIENCE)
        try:
            other.execute("BEGIN EXCLUSIVE")
            yield
        finally:
            other.close()

    # -- jobs --------------------------------------------------------------------------

    def job(self, command: str | Sequence[str], id: str | None = None, **fields: Any) -> NewJob:
        """A job to enqueue; what is not said is plain."""
        policy = RetryPolicy(fields.pop("max_retries", 3), fields.pop("base", 0.1), 3600, 0)
        given: dict[str, Any] = {
            "id": id,
            "command": command if isinstance(command, str) else tuple(command),
            "policy": policy,
            "timeout_seconds": 60,
            "cwd": str(self.folder),
            "created_by": f"ann@{host_name()}",
        }
        return NewJob(**given | fields)

    def add(self, command: str | Sequence[str], id: str | None = None, **fields: Any) -> str:
        """Enqueue a job, and ring; its id."""
        return self.add_all([self.job(command, id, **fields)])[0]

    def add_all(self, jobs: Sequence[NewJob]) -> list[str]:
        """Enqueue jobs in one go, and ring; their ids."""
        ids = self.store.enqueue(jobs, now_ms())
        self.ring()
        return ids

    def ring(self) -> None:
        doorbell.Bells(self.uid).ring()

    def cancel(self, *ids: str) -> list[str]:
        """Cancel jobs, and ring; the results."""
        results = [change.result for change in self.store.cancel(ids, now_ms())]
        self.ring()
        return results

    def get(self, id: str) -> Job:
        return self.store.get(id)

    def state(self, id: str) -> str:
        return self.store.get(id).state

    def states(self) -> dict[str, str]:
        return {job.id: job.state for job in self.store.list_jobs(Filter())}

    def wait_for(self, id: str, *states: str, seconds: float = PATIENCE) -> Job:
        """The job, once it is in one of these states (none named: once it has ended)."""
        wanted = states or ENDED
        wait_until(
            lambda: self.state(id) in wanted, seconds, f"for {id} to be {wanted}: {self.logs}"
        )
        return self.get(id)

    def wait_for_run(self, id: str) -> None:
        """Until the job has its process: it is processing as soon as it is claimed, and a
        worker that is told to stop then gives it back."""
        self.wait_for(id, PROCESSING)
        wait_until(lambda: marked(self.uid), what=f"for {id} to run")

    def wait_for_all(self, seconds: float = PATIENCE) -> dict[str, str]:
        """The states of all jobs, once all have ended."""

        def over() -> bool:
            counts = self.store.stats().counts
            return sum(counts.values()) == sum(counts[state] for state in ENDED)

        wait_until(over, seconds, f"for all jobs to end: {self.logs}")
        return self.states()

    def run(self, command: str | Sequence[str], **fields: Any) -> Job:
        """Enqueue a job that is tried once, and see it end."""
        return self.wait_for(self.add(command, **{"max_retries": 1} | fields))

    def history(self, id: str) -> list[Attempt]:
        return self.store.history(id)

    def outcomes(self, id: str) -> list[str]:
        return [run.outcome for run in self.store.history(id)]

    def output(self, id: str, stream: int = STDOUT, attempt: int = 1) -> str:
        """What is kept of one stream of a run."""
        token = self.store.history(id)[attempt - 1].token
        chunks = [c for c in self.store.read_output(token) if c.stream == stream]
        return b"".join(c.data for c in chunks).decode("utf-8", "replace")

    def errors(self, id: str, attempt: int = 1) -> str:
        return self.output(id, STDERR, attempt)

    # -- workers -----------------------------------------------------------------------

    def start(
        self,
        count: int = 1,
        concurrency: int = 1,
        queues: Sequence[str] = (),
        *,
        drain: bool = False,
        ready: bool = True,
        env: dict[str, str] | None = None,
        **process: Any,
    ) -> Supervisor:
        """`worker start`; with `ready` this returns once all its workers are there."""
        import json

        log = self.folder / f"supervisor-{len(self._supervisors)}.log"
        options = {"count": count, "concurrency": concurrency, "queues": queues, "drain": drain}
        words = [sys.executable, "-P", "-c", _START, self.url, json.dumps(options)]
        with log.open("wb") as file:
            started = subprocess.Popen(
                words,
                **{"stdin": subprocess.DEVNULL, "stderr": file, "cwd": "/"} | process,
                env={**os.environ, "PYTHONFAULTHANDLER": "1", **(env or {})},
            )
        supervisor = Supervisor(started, log)
        self._supervisors.append(supervisor)
        if ready:
            self.wait_ready(supervisor, count)
        return supervisor

    def wait_ready(self, supervisor: Supervisor, count: int) -> None:
        wait_until(
            lambda: len(self.workers(supervisor)) == count or supervisor.process.poll(),
            what=f"for {count} workers: {supervisor.log}",
        )
        assert supervisor.process.poll() is None, supervisor.log

    def workers(self, supervisor: Supervisor | None = None) -> list[Worker]:
        """The living workers (of one supervisor)."""
        return [
            worker
            for worker in self.store.workers()
            if worker.alive and (not supervisor or worker.supervisor_pid == supervisor.pid)
        ]

    def worker(self) -> Worker:
        """The only living worker."""
        (worker,) = self.workers()
        return worker

    @property
    def logs(self) -> str:
        return "\n".join(s.log for s in self._supervisors)

    def stop(self, supervisor: Supervisor) -> int:
        """Stop it at once; its exit code."""
        supervisor.stop_now()
        return supervisor.wait()

    # -- nothing is left ---------------------------------------------------------------

    def close(self) -> None:
        """End everything; fail if something did not end by itself, or was left behind."""
        for supervisor in self._supervisors:
            if supervisor.process.poll() is None:
                supervisor.stop_now()
        stuck = [s.pid for s in self._supervisors if not _ended(s)]
        left = list(self._left())
        if stuck:  # PYTHONFAULTHANDLER: each says in the log where its threads are
            speakers = workers_of(self.uid)
            for pid in speakers:
                kill(pid, signal.SIGABRT)
            wait_until(lambda: not any(map(lives, speakers)))
        for pid in (*stuck, *workers_of(self.uid), *marked(self.uid)):
            kill(pid)
        for supervisor in self._supervisors:
            supervisor.process.wait()
        logs = self.logs
        self.store.close()
        assert not stuck, f"supervisors that do not stop: {logs}"
        assert not left, f"left behind: {left}\n{logs}"
        assert "Traceback" not in logs, logs

    def _left(self) -> Iterator[str]:
        for what, pids in ("worker", workers_of(self.uid)), ("run", marked(self.uid)):
            for pid in pids:
                yield f"{what} {pid}: {_bytes(f'/proc/{pid}/cmdline')!r}"
        if os.path.exists(self.store.slot_dir):
            yield f"slot files {os.listdir(self.store.slot_dir)}"
        bells = Path(doorbell._folder(self.uid))
        if bells.exists():
            yield f"doorbells {os.listdir(bells)}"


def _ended(supervisor: Supervisor) -> bool:
    try:
        supervisor.process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        return False
    return True


class AtOnce:
    """In place of the store's thread: it has done what is asked when it is asked."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def call(self, work: Any, done: Any) -> None:
        done(work(self._store), None)
