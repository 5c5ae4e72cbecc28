"""A newer queuectl changes the store, while older ones are at work.

The newer one is a process of its own with one migration more: `002_more.sql`, in a folder
of the test's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

import queuectl.store
from queuectl.errors import STORE_FAILED, StoreError, StoreTooNew
from queuectl.model import CANCELLED, COMPLETED, FAILED, PENDING, PROCESSING, Filter, Want
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import T0, a_job, add, counted, living_worker, states, the_end

_MORE = {
    "sqlite": """
        ALTER TABLE jobs ADD COLUMN note TEXT;
        CREATE TABLE more (n INTEGER) STRICT;
        INSERT INTO more VALUES (2);
    """,
    "postgres": """
        ALTER TABLE queuectl.jobs ADD COLUMN note text;
        CREATE TABLE queuectl.more (n integer);
        INSERT INTO queuectl.more VALUES (2);
    """,
}
_ENDLESS = {
    "sqlite": """
        WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT max(n) FROM c;
    """,
    "postgres": "SELECT pg_sleep(3600);",
}
_MIGRATE = """
import sys
from importlib import import_module
backend, url, folder, version, least = sys.argv[1:]
database = import_module(f"queuectl.store.{backend}.database")
database.Database(url, 20.0, int(version), int(least), folder).close()
"""


class Newer:
    """The newer queuectl: how its process is started, and what it leaves in the store."""

    def __init__(self, backend: SqliteBackend, folder: Path) -> None:
        self._backend = backend.name
        self._folder = folder
        own = os.path.join(os.path.dirname(queuectl.store.__file__), backend.name, "migrations")
        shutil.copytree(own, folder)
        self.write("002_more.sql", _MORE[backend.name])

    def write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)

    def tell_more_of_jobs(self) -> None:
        """Add a column to the view of them."""
        first = (self._folder / "001_first.sql").read_text()
        name, _, text = first.partition("CREATE VIEW ")[2].partition(";")[0].partition(" AS")
        wider = text.replace("j.runs", "j.runs, j.note")
        anew = f"DROP VIEW {name}; CREATE VIEW {name} AS {wider};"
        self.write("002_more.sql", _MORE[self._backend] + anew)

    def start(self, url: str, least: int, version: int = 2) -> subprocess.Popen[bytes]:
        """Begin to open the store, which migrates it."""
        return subprocess.Popen(self.words(url, least, version))

    def words(self, url: str, least: int, version: int = 2) -> list[str]:
        """The command for that."""
        words = [self._backend, url, str(self._folder), str(version), str(least)]
        return [sys.executable, "-c", _MIGRATE, *words]

    def open(self, url: str, least: int) -> None:
        assert self.start(url, least).wait(60) == 0

    def query(self, url: str, statement: str) -> list[tuple[Any, ...]]:
        """Read it directly."""
        if self._backend == "sqlite":
            connection = apsw.Connection(url)
            try:
                return connection.execute(statement.replace("queuectl.", "")).fetchall()
            finally:
                connection.close()
        with psycopg.connect(url, autocommit=True) as server:
            return server.execute(statement.encode()).fetchall()

    def is_under_way(self, url: str) -> bool:
        """Whether somebody is in the middle of migrating."""
        if self._backend == "postgres":
            sleeping = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            return bool(self.query(url, sleeping))
        connection = apsw.Connection(url)
        try:
            connection.execute("BEGIN IMMEDIATE; ROLLBACK")
        except apsw.BusyError:
            return True
        finally:
            connection.close()
        return False


@pytest.fixture
def newer(backend: SqliteBackend, tmp_path: Path) -> Newer:
    return Newer(backend, tmp_path / "migrations")


def until(look: Callable[[], Any], patience: float = 30.0) -> None:
    deadline = time.monotonic() + patience
    while not look():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


@contextlib.contextmanager
def old_workers(url: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`worker start` of this version."""
    process = subprocess.Popen(
        [sys.executable, "-m", "queuectl", "--db", url, "worker", "start", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)


# -- the store -------------------------------------------------------------------------------


def test_a_migration_is_applied_once_by_however_many_at_the_same_time(
    store: Store, newer: Newer
) -> None:
    add(store, "a")
    opening = [newer.start(store.url, 1) for _ in range(4)]
    assert [process.wait(60) for process in opening] == [0] * 4
    assert newer.query(store.url, "SELECT n FROM queuectl.more") == [(2,)]
    assert states(store) == {"a": PENDING}


def test_who_migrates_less_far_takes_nothing_back(store: Store, newer: Newer) -> None:
    newer.write("003_most.sql", "INSERT INTO {}more VALUES (3);")
    for path in newer._folder.glob("003*"):
        prefix = "" if newer._backend == "sqlite" else "queuectl."
        path.write_text(path.read_text().format(prefix))
    opening = [newer.start(store.url, 1, version) for version in (2, 3, 2, 3)]
    assert [process.wait(60) for process in opening] == [0] * 4
    assert newer.query(store.url, "SELECT n FROM queuectl.more ORDER BY n") == [(2,), (3,)]
    version = newer.query(store.url, "SELECT value FROM queuectl.meta WHERE name = 'version'")
    assert [str(value) for (value,) in version] == ["3"]


def test_a_migration_that_was_killed_in_the_middle_has_done_nothing_and_is_made_by_the_next(
    store: Store, another: Store, newer: Newer
) -> None:
    add(store, "a")
    newer.write("002_more.sql", _MORE[newer._backend] + _ENDLESS[newer._backend])
    process = newer.start(store.url, 2)
    until(lambda: newer.is_under_way(store.url))
    process.kill()
    process.wait()
    add(another, "b")
    with living_worker(store) as worker:
        worker.run_one()
    assert states(another) == {"a": COMPLETED, "b": PENDING}
    newer.write("002_more.sql", _MORE[newer._backend])
    newer.open(store.url, 1)
    assert newer.query(store.url, "SELECT n FROM queuectl.more") == [(2,)]


def test_a_migration_that_fails_leaves_the_store_as_it_was(store: Store, newer: Newer) -> None:
    newer.write("002_more.sql", _MORE[newer._backend] + "nonsense;")
    assert newer.start(store.url, 2).wait(60) != 0
    add(store, "a")
    newer.write("002_more.sql", _MORE[newer._backend])
    newer.open(store.url, 1)
    assert newer.query(store.url, "SELECT n FROM queuectl.more") == [(2,)]


def test_a_worker_needs_no_statements_file_once_it_is_registered(
    store: Store, backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"queuectl.store.{backend.name}.database")
    add(store, "a", "b")
    monkeypatch.setattr(module, "_statements", {})
    with living_worker(store) as worker:
        monkeypatch.setattr(module, "_FOLDER", "/nowhere")
        first, second = worker.claim(2)
        store.release(worker.id, [second.token], T0)
        store.cancel(["a"], T0)
        assert store.held(worker.id) == {first.token: first.seq}
        worker.finish(first, FAILED)
    assert states(store) == {"a": CANCELLED, "b": PENDING}


def test_an_older_queuectl_reads_jobs_of_which_a_newer_one_tells_more(
    store: Store, newer: Newer
) -> None:
    add(store, "a")
    before = [store.get("a") for _ in range(3)]
    newer.tell_more_of_jobs()
    newer.open(store.url, 1)
    with contextlib.suppress(StoreError):  # PostgreSQL: it had prepared for less
        store.get("a")
    assert [store.get("a") for _ in range(3)] == before
    assert store.list_jobs(Filter()) == before[:1]


def test_a_store_that_was_changed_compatibly_is_used_as_before(
    backend: SqliteBackend, store: Store, newer: Newer
) -> None:
    with living_worker(store) as worker:
        store.enqueue([a_job() for _ in range(20)], T0)
        for _ in range(5):  # statements are prepared by now
            worker.run_one()
        newer.open(store.url, 1)
        with backend.open(store.url) as opened_later:
            add(opened_later, "b", tags=("t",))
        for _ in range(5):
            worker.run_one()
        assert counted(store) == {COMPLETED: 10, PENDING: 11}


def test_who_is_too_old_by_now_claims_no_more_but_tells_what_became_of_its_jobs(
    backend: SqliteBackend, store: Store, newer: Newer
) -> None:
    add(store, "a", "b", "c")
    with living_worker(store) as worker:
        one, two = worker.claim(2)
        newer.open(store.url, 2)
        for finishes in ([the_end(one)], []):
            with pytest.raises(StoreTooNew, match="store version 2"):
                store.turn(worker.id, finishes, [], Want(1), T0)
        assert states(store) == {"a": PROCESSING, "b": PROCESSING, "c": PENDING}
        store.heartbeat(worker.id, T0)
        assert list(worker.turn(the_end(one)).refused) == []
        store.release(worker.id, [two.token], T0)
        store.unregister(worker.id)
    assert states(store) == {"a": COMPLETED, "b": PENDING, "c": PENDING}
    with pytest.raises(StoreTooNew, match="upgrade") as refused:
        raise_hint(lambda: backend.open(store.url))
    assert refused.value.exit_code == STORE_FAILED


def raise_hint(call: Callable[[], object]) -> None:
    """So that a match looks at the hint, too."""
    try:
        call()
    except StoreTooNew as error:
        error.args = (f"{error.message}: {error.hint}",)
        raise


# -- whole processes -------------------------------------------------------------------------


def test_old_workers_go_on_when_the_change_is_compatible(store: Store, newer: Newer) -> None:
    store.enqueue([a_job(command="sleep 0.02") for _ in range(60)], T0)
    with old_workers(store.url, "--count", "2") as workers:
        until(lambda: counted(store).get(COMPLETED))
        newer.open(store.url, 1)
        store.enqueue([a_job() for _ in range(20)], T0)
        until(lambda: counted(store) == {COMPLETED: 80})
        workers.terminate()
        printed, _ = workers.communicate(timeout=60)
        assert workers.returncode == 0, printed
    assert {run.attempt for job in states(store) for run in store.history(job)} == {1}


_WORKER = """
import subprocess, sys
from queuectl.worker import main, storethread
start = storethread.StoreThread.start
def start_late(self):
    subprocess.run(sys.argv[4:], check=True)
    start(self)
storethread.StoreThread.start = start_late
sys.exit(main.main(sys.argv[:4]))
"""


def test_a_worker_that_is_too_old_before_it_began_leaves_its_place_to_others(
    store: Store, newer: Newer
) -> None:
    """It registers over one connection, and opens another for its work."""
    settings = {
        "worker_id": "early",
        "slots": 1,
        "first_slot": 0,
        "queues": [],
        "drain": False,
        "turn_every": 1,
        "store_url": store.url,
        "store_uid": store.uid,
    }
    lifeline, end = os.pipe()
    ready, ready_end = os.pipe()
    process = subprocess.run(
        [sys.executable, "-c", _WORKER, json.dumps(settings), str(lifeline), str(ready_end),
         *newer.words(store.url, 2)],
        env=os.environ | {"QUEUECTL_DB": store.url},
        pass_fds=[lifeline, ready_end],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )  # fmt: skip
    for descriptor in (lifeline, end, ready, ready_end):
        os.close(descriptor)
    assert process.returncode not in (0, 75), process
    printed = process.stdout + process.stderr
    assert printed.count("belongs to a newer queuectl") == 1
    assert [lost.id for lost in store.lost_workers(T0)] == ["early"]
    assert store.rescue("early", None, T0) == []


def test_old_workers_end_what_runs_say_why_and_leave_when_the_change_is_not(
    store: Store, newer: Newer, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    add(store, "running", command=f"read line <{gate}")
    with old_workers(store.url, "--count", "2") as workers:
        until(lambda: states(store)["running"] == PROCESSING)
        until(lambda: len(store.workers()) == 2)
        newer.open(store.url, 2)
        add(store, "later")
        until(lambda: len(store.workers()) == 1)  # the idle one has seen it
        # The gate opens from this side only while the job still waits at it.
        with open(os.open(gate, os.O_WRONLY | os.O_NONBLOCK), "w", encoding="ascii") as end:
            end.write("go on\n")
        printed, _ = workers.communicate(timeout=60)
        assert workers.returncode == STORE_FAILED, printed
    assert printed.count("belongs to a newer queuectl (store version 2)") == 2
    assert "upgrade queuectl on this machine" in printed
    assert states(store) == {"running": COMPLETED, "later": PENDING}
    assert len(store.history("running")) == 1
    assert store.workers() == []


@pytest.mark.parametrize("words", [["status"], ["enqueue", "true"], ["worker", "start"]])
def test_the_old_command_line_says_so_and_exits_5(
    store: Store, newer: Newer, words: list[str]
) -> None:
    newer.open(store.url, 2)
    ended = subprocess.run(
        [sys.executable, "-m", "queuectl", "--db", store.url, *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (5, "")
    assert "belongs to a newer queuectl (store version 2)" in ended.stderr
    assert "upgrade queuectl on this machine" in ended.stderr
    assert "Traceback" not in ended.stderr
