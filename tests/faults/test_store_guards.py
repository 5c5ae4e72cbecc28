"""Guards of the store that no test of its contract would miss (found by mutants)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl import host
from queuectl.model import (
    CANCELLED,
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

NOW = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path))
    with open_store(str(tmp_path / "queue.db")) as store:
        store.register(_worker("w"))
        policy = RetryPolicy(3, 2, 3600, 0)
        store.enqueue([NewJob(("true",), policy, 0, "/", "a@b", f"j-{n}") for n in (1, 2)], NOW)
        yield store


def _worker(worker_id: str) -> Worker:
    pid = os.getpid()
    ticks = host.start_ticks(pid)
    assert ticks is not None
    here = (host.host_name(), pid, host.boot_id(), host.pid_namespace(), ticks)
    return Worker(worker_id, *here, pid, 2, (), NOW, NOW)


def _end(claim: Claim, kind: str, at: int) -> Finish:
    outcome = Outcome(kind, at, NOW, 1.0)
    verdict = settle(claim.attempts, claim.policy, outcome)
    return Finish(claim.token, claim.seq, claim.attempt, outcome, verdict)


def test_an_end_of_the_same_kind_at_another_time_is_not_the_one_that_was_recorded(
    store: Store,
) -> None:
    """A rescuer recorded it; what the worker saw after that is stale."""
    claim = store.turn("w", [], [], Want(1), NOW).claims[0]
    assert not store.turn("w", [_end(claim, CANCELLED, NOW + 5)], [], Want(0), NOW).refused
    assert not store.turn("w", [_end(claim, CANCELLED, NOW + 5)], [], Want(0), NOW).refused
    late = _end(claim, CANCELLED, NOW + 6)
    assert store.turn("w", [late], [], Want(0), NOW).refused == [claim.token]


def test_output_of_an_old_run_is_ignored_though_its_worker_runs_another(store: Store) -> None:
    first, _second = store.turn("w", [], [], Want(2), NOW).claims
    store.turn("w", [_end(first, CANCELLED, NOW)], [], Want(0), NOW)
    store.turn("w", [], [OutputPart(first.token, [Chunk(0, STDOUT, 0, b"late")])], Want(0), NOW)
    assert store.read_output(first.token) == []


def test_a_worker_that_runs_is_not_lost_though_its_slot_file_is(store: Store) -> None:
    assert not os.path.exists(os.path.join(store.slot_dir, "w"))
    assert store.lost_workers(NOW) == []


def test_a_worker_whose_process_and_slot_file_are_gone_is_lost(store: Store) -> None:
    store.register(_worker("x").replace(start_ticks=1))
    assert [worker.id for worker in store.lost_workers(NOW)] == ["x"]
