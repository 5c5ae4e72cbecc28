"""Who may be told to stop: the supervisors of this pid namespace, and nobody else."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.worker import roster


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "slots")
    assert not list(tmp_path.iterdir())


def test_a_supervisor_is_found_until_it_leaves(slots: str) -> None:
    entry = roster.Entry(slots)
    assert roster.supervisors(slots) == [os.getpid()]
    entry.strike()
    assert roster.supervisors(slots) == []


def test_a_pid_of_another_pid_namespace_is_nobody_here(slots: str) -> None:
    ours = roster.Entry(slots)
    folder = Path(f"{slots}-supervisors")
    with (folder / "pid:[1]-1").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert roster.supervisors(slots) == [os.getpid()]
    assert roster.supervisors(slots) == [os.getpid()]
    assert len(list(folder.iterdir())) == 1, "it is cleared away once it is dead"
    ours.strike()
