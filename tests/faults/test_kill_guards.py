"""What a run does to processes that come into being while it ends them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from selectors import DefaultSelector

import pytest

from queuectl.model import CANCELLED, STDOUT, Claim
from queuectl.retry import RetryPolicy
from queuectl.worker.run import NEVER, Run


class Hydra:
    """A census that finds somebody each time it looks, and notes what it is told to send."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def group(self, _leader: int) -> list[int]:
        return []

    session = group

    def signal_session(self, _leader: int, number: int, _told: object = ()) -> bool:
        self.sent.append(number)
        return True

    def signal_marked(self, _token: int, number: int, _told: object = ()) -> bool:
        self.sent.append(number)
        return True


class Shy(Hydra):
    """A census that finds somebody now and then."""

    def __init__(self, *finds: bool) -> None:
        super().__init__()
        self.finds = iter(finds)

    def signal_session(self, _leader: int, number: int, _told: object = ()) -> bool:
        super().signal_session(_leader, number, _told)
        return next(self.finds)


def test_who_prints_faster_than_one_can_read_keeps_no_worker_from_its_other_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads = 0

    def full(_descriptor: int, buffers: Sequence[bytearray]) -> int:
        nonlocal reads
        reads += 1
        assert reads < 1000
        return len(buffers[0])

    run = a_run(0.0)
    monkeypatch.setattr(os, "readv", full)
    read, write = os.pipe()
    run.pipes = {read: STDOUT}
    assert not run.exited(0, left=True)
    run.close()
    os.close(write)


def a_run(grace: float) -> Run:
    claim = Claim(
        1, 1, "j1", 1, 0, RetryPolicy(3, 2, 3600, 0), "true", "default",
        0, "/", False, {}, {}, "a@b",
    )  # fmt: skip
    return Run(claim, 0, 1024, grace, DefaultSelector())


def exited_run(grace: float = 0.0) -> Run:
    """A run whose process is gone, and not all it started."""
    run = a_run(grace)
    run.exited(0, left=True)
    return run


def tick(run: Run, at: float, census: Hydra) -> bool:
    return run.tick(at, lambda: census)  # type: ignore[arg-type,return-value]


def test_whatever_appears_after_the_kill_is_killed_too() -> None:
    run = exited_run()
    hydra = Hydra()
    now = time.monotonic()
    assert not tick(run, now + 0.01, hydra)
    assert signal.SIGKILL in hydra.sent
    hydra.sent.clear()
    assert not tick(run, now + 0.05, hydra)
    assert set(hydra.sent) == {signal.SIGKILL}
    assert tick(run, now + 60, hydra), "at some time it is given up"


def test_one_look_that_finds_nobody_does_not_end_a_run() -> None:
    run = exited_run(grace=60)
    shy = Shy(True, False, False, True, False, False, False)
    now = time.monotonic()
    for look in range(6):
        assert not tick(run, now + look / 50, shy)
    assert tick(run, now + 0.2, shy)


def test_a_run_whose_process_does_not_end_is_waited_for_and_not_looked_at_all_the_time() -> (
    None
):
    """It may be stuck in the kernel for hours, and holds its slot as long."""
    process = subprocess.Popen(["sleep", "60"], start_new_session=True)
    run, hydra = a_run(grace=30), Hydra()
    run.pid = process.pid
    run.end(CANCELLED, lambda: hydra)  # type: ignore[arg-type,return-value]
    now = time.monotonic()
    assert not tick(run, now + 0.1, hydra)
    assert run.deadline > now + 29
    assert not tick(run, now + 31, hydra)
    assert signal.SIGKILL in hydra.sent
    assert not tick(run, now + 3600, hydra), "until its process has gone it is not over"
    assert run.deadline == NEVER
    _pid, status = process.wait(), 9
    run.exited(status, left=False)
    assert run.deadline < time.monotonic() + 1
