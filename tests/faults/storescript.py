"""Every call of the Store once, in a sensible order, each time with the same effect: what
crashes, errors and power cuts are tried on. Runs in a forked process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import apsw

from queuectl.errors import StoreError
from queuectl.model import (
    COMPLETED,
    FAILED,
    STDOUT,
    Chunk,
    Claim,
    Finish,
    NewJob,
    Outcome,
    OutputPart,
    Want,
    Worker,
)
from queuectl.retry import RetryPolicy
from queuectl.store import open_store
from queuectl.store.base import Store
from queuectl.transitions import settle

_T0 = 1_800_000_000_000

Step = Callable[[Store, dict[str, Claim]], object]


def _job(job_id: str, *, max_retries: int = 3, **fields: Any) -> NewJob:
    given: dict[str, Any] = {
        "command": ("true",),
        "policy": RetryPolicy(max_retries, 2, 3600, 0),
        "timeout_seconds": 300,
        "cwd": "/tmp",
        "created_by": "ann@here",
        "id": job_id,
    }
    return NewJob(**given | fields)


def _worker(worker_id: str) -> Worker:
    return Worker(worker_id, "here", 1, "boot", "ns", 0, 1, 2, (), _T0, _T0)


def _enqueue(store: Store, _claims: dict[str, Claim]) -> None:
    jobs = [
        _job("a", captured={"PATH": "/bin"}, tags=("x", "y")),
        _job("b", max_retries=1, env={"K": "V"}),
        _job("c", after=("a",)),
        _job("d", run_at=_T0 + 60_000),
        _job("e", queue="night", priority=9),
        _job("f"),
        _job("g", after=("b",)),
    ]
    store.enqueue(jobs, _T0)


def _register(worker_id: str) -> Step:
    return lambda store, _claims: store.register(_worker(worker_id))


def _take(worker_id: str, free: int, now: int, *ends: tuple[str, str]) -> Step:
    def step(store: Store, claims: dict[str, Claim]) -> None:
        finishes = [_end(claims[job_id], kind, now) for job_id, kind in ends]
        answer = store.turn(worker_id, finishes, [], Want(free), now)
        claims.update({claim.id: claim for claim in answer.claims})

    return step


def _end(claim: Claim, kind: str, now: int) -> Finish:
    outcome = Outcome(kind, now, now - 10, 0.01, 0 if kind == COMPLETED else 1)
    chunk = Chunk(0, STDOUT, 0, b"said " * 500)
    verdict = settle(claim.attempts, claim.policy, outcome)
    part = OutputPart(claim.token, [chunk])
    return Finish(claim.token, claim.seq, claim.attempt, outcome, verdict, part)


def _say(job_id: str) -> Step:
    def step(store: Store, claims: dict[str, Claim]) -> None:
        part = OutputPart(claims[job_id].token, [Chunk(0, STDOUT, 0, b"so far")])
        store.turn("w1", [], [part], Want(0), _T0 + 30)

    return step


def _release(job_id: str) -> Step:
    return lambda store, claims: store.release("w2", [claims[job_id].token], _T0 + 70)


def _rescue(*unstarted: str) -> Step:
    def step(store: Store, claims: dict[str, Claim]) -> None:
        store.rescue("w1", [claims[job_id].token for job_id in unstarted], _T0 + 80)

    return step


STEPS: dict[str, Step] = {
    "enqueue": _enqueue,
    "register": _register("w1"),
    "turn that claims": _take("w1", 3, _T0 + 10),
    "turn that finishes": _take("w1", 2, _T0 + 20, ("a", COMPLETED), ("b", FAILED)),
    "turn with output": _say("c"),
    "heartbeat": lambda store, _claims: store.heartbeat("w1", _T0 + 40),
    "register another": _register("w2"),
    "turn that promotes": _take("w2", 1, _T0 + 60_000),
    "cancel": lambda store, _claims: store.cancel(["d", "f"], _T0 + 60),
    "ask_stop": lambda store, _claims: store.ask_stop(["w1"], 3.0),
    "release": _release("d"),
    "rescue": _rescue("f"),
    "retry": lambda store, _claims: store.retry(["b"], _T0 + 90),
    "set_config": lambda store, _claims: store.set_config("kill_grace", "7"),
    "set_queue": lambda store, _claims: store.set_queue("night", paused=True, limit=2),
    "delete": lambda store, _claims: store.delete(["c"], _T0 + 100),
    "prune": lambda store, _claims: store.prune(_T0 + 10_000_000, 2),
    "unregister": lambda store, _claims: store.unregister("w2"),
}
"""By the name of the call."""


def run_steps(url: str, done: Callable[[], None]) -> None:
    """Take all steps, saying so after each. Checkpoints come early and often."""
    claims: dict[str, Claim] = {}
    with open_store(url) as store:
        store._db.connection.wal_autocheckpoint(7)  # type: ignore[attr-defined]
        for step in STEPS.values():
            step(store, claims)
            done()


def run_on_after_trouble(url: str, done: Callable[[], None]) -> None:
    """The same until a call fails; then the same connection must still be of use."""
    claims: dict[str, Claim] = {}
    try:
        store = open_store(url)
    except StoreError:
        return
    store._db.connection.wal_autocheckpoint(7)  # type: ignore[attr-defined]
    for step in STEPS.values():
        try:
            step(store, claims)
        except StoreError:
            store.set_config("output_limit", "123")
            store.stats()
            return
        done()


class Result:
    """What became of a forked process: `acked` steps, its exit status, what it said."""

    def __init__(self, acked: int, status: int, said: str) -> None:
        self.acked = acked
        self.died = os.WIFSIGNALED(status)
        self.failed = not self.died and os.WEXITSTATUS(status) != 0
        self.said = said


def forked(work: Callable[[Callable[[], None]], None]) -> Result:
    """Do `work(done)` in a process of its own; count how often it called `done`."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(read)
            work(lambda: _tell(write, b"."))
            code = 0
        except BaseException:
            _tell(write, traceback.format_exc().replace(".", "·").encode())
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        told = pipe.read()
    _pid, status = os.waitpid(pid, 0)
    return Result(told.count(b"."), status, told.replace(b".", b"").decode())


def _tell(descriptor: int, what: bytes) -> None:
    os.write(descriptor, what)


def dump(path: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of a file that must be sound."""
    connection = apsw.Connection(path)
    try:
        answer = connection.execute("PRAGMA integrity_check").fetchall()
        assert answer == [("ok",)], answer
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
        ).fetchall()
        return {
            name: sorted(connection.execute(f"SELECT * FROM {name}").fetchall(), key=repr)  # noqa: S608
            for (name,) in tables
        }
    finally:
        connection.close()


class Stage:
    """A template of a store, copies of it, and what it holds after each step."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._template = os.path.join(folder, "template")
        os.mkdir(self._template)
        os.environ["QUEUECTL_HOME"] = os.path.join(folder, "home")
        open_store(os.path.join(self._template, "queue.db")).close()
        self.states = [dump(os.path.join(self._template, "queue.db"))]
        url = self.fresh()
        run_steps(url, lambda: self.states.append(dump(url)))
        assert len(self.states) == len(STEPS) + 1
        assert all(a != b for a, b in pairwise(self.states)), "a step without effect"

    def fresh(self) -> str:
        """The path of a store before the first step."""
        folder = os.path.join(self._folder, "stage")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self._template, folder)
        return os.path.join(folder, "queue.db")

    def expect(self, path: str, acked: int, what: str, *, exactly: bool = False) -> None:
        """The file is sound, and holds what was acknowledged, and the next step whole or
        not at all."""
        found = dump(path)
        last = acked if exactly else min(acked + 1, len(STEPS))
        if found not in self.states[acked : last + 1]:
            step = (["opening", *STEPS])[min(acked + (not exactly), len(STEPS))]
            wrong = {
                table: (rows, self.states[acked][table])
                for table, rows in found.items()
                if rows != self.states[acked][table]
            }
            raise AssertionError(f"{what}, at {step!r}: found and expected {wrong}")


@contextmanager
def a_stage() -> Iterator[Stage]:
    """In memory where that can be had: these tests don't need a real disk."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    folder = tempfile.mkdtemp(prefix="stage-", dir=base)
    home = os.environ.get("QUEUECTL_HOME")
    try:
        yield Stage(folder)
    finally:
        shutil.rmtree(folder)
        if home is None:
            os.environ.pop("QUEUECTL_HOME", None)
        else:
            os.environ["QUEUECTL_HOME"] = home
        sys.stdout.flush()
