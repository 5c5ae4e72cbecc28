"""One who writes much and one who writes little share a SQLite store."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from queuectl.cli import purge
from queuectl.cli.bulk import in_parts
from queuectl.model import Change
from queuectl.store.sqlite.whole import SqliteStore

from .helpers import T0, a_job

JOBS = 30_000


class Parts(SqliteStore):
    """Counts the parts of its long work."""

    done = 0

    def prune(self, ended_before: int, limit: int) -> int:
        self.done += 1
        return super().prune(ended_before, limit)

    def delete(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        self.done += 1
        return super().delete(job_ids, now, only)


def longest_wait(path: str, parts: Parts, stop: threading.Event) -> int:
    """How many parts a small write saw come and go at most."""
    longest = 0
    with SqliteStore(path, "") as store:
        while not stop.is_set():
            before = parts.done
            store.set_config("max_retries", "4")
            longest = max(longest, parts.done - before)
    return longest


@pytest.mark.parametrize("verb", ["purge", "delete"])
def test_who_writes_little_waits_for_a_part_of_long_work_not_for_all(
    tmp_path: Path, verb: str
) -> None:
    path = str(tmp_path / "q.db")
    with Parts(path, "") as store:
        ids = store.enqueue([a_job() for _ in range(JOBS)], T0)
        store.cancel(ids, T0)
        stop = threading.Event()
        waits: list[int] = []
        other = threading.Thread(target=lambda: waits.append(longest_wait(path, store, stop)))
        other.start()
        try:
            if verb == "purge":
                assert purge._prune(store, T0 + 1) == JOBS
            else:
                in_parts(store, lambda part: store.delete(part, T0), ids)
        finally:
            stop.set()
            other.join(30)
    assert store.done >= 30
    assert waits[0] <= 5
