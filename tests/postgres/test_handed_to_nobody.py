"""Whom an enqueue claims for, and whom not: who might not start the job at once."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from postgres_server import PostgresServer
from queuectl import host
from queuectl.model import PENDING
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.database import sql
from queuectl.worker.report import Report
from queuectl.worker.turns import Turns
from store.helpers import T0, LivingWorker, a_job, living_worker
from worker.helpers import AtOnce, wait_until

Open = Callable[..., PostgresStore]
Sql = Callable[[str], list[tuple[object, ...]]]


@pytest.fixture
def clerk(open_store: Open) -> PostgresStore:
    """Who enqueues."""
    return open_store()


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """A worker's process, as far as others can see."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def worker(store: PostgresStore, process: subprocess.Popen[bytes]) -> Iterator[LivingWorker]:
    """One that waits to be called."""
    ticks = host.start_ticks(process.pid)
    with living_worker(store, pid=process.pid, start_ticks=ticks) as worker:
        assert not worker.turn(free=1, waits=True).claims
        yield worker


def handed_to(clerk: PostgresStore) -> str | None:
    """Who gets a job that is enqueued now."""
    clerk.enqueue([a_job()], T0)
    return clerk.handed_to


def test_a_job_goes_to_a_worker_of_this_host_that_waits(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    assert handed_to(clerk) == worker.id


def test_nothing_goes_to_a_worker_in_the_middle_of_a_turn(
    store: PostgresStore, clerk: PostgresStore, worker: LivingWorker
) -> None:
    with store._db.write_in_bulk():
        store._db.execute(sql("enter_turn"), (worker.id, store._db.session, None))
        assert handed_to(clerk) is None


def test_nothing_goes_to_a_worker_that_is_being_rescued(
    store: PostgresStore, clerk: PostgresStore, worker: LivingWorker
) -> None:
    with store._db.write_in_bulk():
        store._db.execute(sql("lock_turns"), (worker.id,))
        assert handed_to(clerk) is None


def test_an_enqueue_does_not_wait_for_a_heartbeat(
    store: PostgresStore, open_store: Open, worker: LivingWorker
) -> None:
    hasty = open_store(wait_seconds=3.0)
    with store._db.write_in_bulk():
        store._db.execute(sql("heartbeat"), (worker.id, T0))
        assert handed_to(hasty) is None


def test_nothing_goes_to_a_worker_whose_heartbeats_are_overdue(
    clerk: PostgresStore, worker: LivingWorker, run_sql: Sql
) -> None:
    run_sql(
        "UPDATE queuectl.workers SET lease_until ="
        " clock_timestamp() + lease_seconds * interval '0.5 seconds'"
    )
    assert handed_to(clerk) is None


def test_nothing_goes_to_a_worker_that_may_claim_no_more(
    clerk: PostgresStore, worker: LivingWorker, run_sql: Sql
) -> None:
    run_sql("UPDATE queuectl.meta SET value = '99' WHERE name = 'min_compatible'")
    assert handed_to(clerk) is None


def test_nothing_goes_to_a_worker_that_is_suspended_until_it_goes_on(
    clerk: PostgresStore, worker: LivingWorker, process: subprocess.Popen[bytes]
) -> None:
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: host.is_suspended(process.pid))
    assert handed_to(clerk) is None
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: not host.is_suspended(process.pid))
    worker.run_one()
    assert not worker.turn(free=1, waits=True).claims
    assert handed_to(clerk) == worker.id


def test_nothing_goes_to_a_worker_whose_process_is_gone(
    clerk: PostgresStore, worker: LivingWorker, process: subprocess.Popen[bytes]
) -> None:
    process.kill()
    process.wait()
    assert handed_to(clerk) is None


@pytest.mark.parametrize(
    "elsewhere",
    [{"host": "far"}, {"boot_id": "other"}, {"pid_namespace": "pid:[1]"}],
    ids=lambda fields: next(iter(fields)),
)
def test_nothing_goes_to_a_worker_that_can_not_be_seen_from_here(
    store: PostgresStore, clerk: PostgresStore, elsewhere: dict[str, Any]
) -> None:
    with living_worker(store, **elsewhere) as worker:
        assert not worker.turn(free=1, waits=True).claims
        assert handed_to(clerk) is None


def test_nothing_goes_to_a_worker_of_another_home(
    server: PostgresServer, database: str, worker: LivingWorker, tmp_path: Any
) -> None:
    other = PostgresStore(server.url(database), str(tmp_path / "other home"))
    try:
        assert handed_to(other) is None
    finally:
        other.close()


def test_a_worker_that_leaves_gives_back_what_came_for_it_at_the_last_moment(
    clerk: PostgresStore, worker: LivingWorker
) -> None:
    thread: Any = AtOnce(worker.store)
    turns = Turns(worker.id, thread, Report(2), pytest.fail, pytest.fail, pytest.fail)
    assert handed_to(clerk) == worker.id
    left = []
    turns.sign_off(lambda: left.append(worker.id))
    assert left == [worker.id]
    assert clerk.workers() == []
    assert clerk.get("j1").state == PENDING
