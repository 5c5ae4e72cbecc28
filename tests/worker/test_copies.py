"""Workers on a copy of a store leave alone what the original runs, whose jobs have the same
tokens."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.model import CANCELLED, PROCESSING, TIMEOUT
from queuectl.store import open_store

from .helpers import Shop, Supervisor, lives, marked, wait_until


@pytest.fixture
def copy(shop: Shop, tmp_path: Path) -> Iterator[tuple[Shop, Supervisor]]:
    """A copy made as the documentation has it, and a worker on it."""
    folder = tmp_path / "copy"
    folder.mkdir()
    with (
        sqlite3.connect(shop.url) as source,
        sqlite3.connect(folder / "queue.db") as target,
    ):
        source.backup(target)
    copy = Shop(folder)
    try:
        supervisor = copy.start()
        with open_store(copy.url) as store:
            copy.uid = store.uid
        yield copy, supervisor
    finally:
        copy.close()


def test_a_copys_timeout_and_cancel_leave_the_originals_jobs_alone(
    shop: Shop, copy: tuple[Shop, Supervisor]
) -> None:
    other, _supervisor = copy
    shop.start(concurrency=2)
    jobs = [shop.add("exec sleep 60", timeout_seconds=0) for _ in range(2)]
    runs = wait_until(lambda: pids if len(pids := marked(shop.uid)) == 2 else None)
    late = other.add("exec sleep 60", max_retries=1, timeout_seconds=0.2)
    assert other.wait_for(late).outcome == TIMEOUT
    unwanted = other.add("exec sleep 60", max_retries=1)
    other.wait_for(unwanted, PROCESSING)
    other.cancel(unwanted)
    assert other.wait_for(unwanted).state == CANCELLED
    tokens = [other.history(job)[0].token for job in (late, unwanted)]
    assert tokens == [shop.history(job)[0].token for job in jobs]
    assert all(map(lives, runs))
    assert {shop.state(job) for job in jobs} == {PROCESSING}
    shop.cancel(*jobs)


def test_a_new_worker_on_a_copy_keeps_the_copys_name(
    shop: Shop, copy: tuple[Shop, Supervisor]
) -> None:
    other, supervisor = copy
    assert other.uid != shop.uid
    assert other.stop(supervisor) == 0
    other.start()
    with open_store(other.url) as store:
        assert store.uid == other.uid
    assert other.run("true").exit_code == 0
