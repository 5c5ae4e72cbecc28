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
    with (folder / "pid:[1]-1-0").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert roster.supervisors(slots) == [os.getpid()]
    assert roster.supervisors(slots) == [os.getpid()]
    assert len(list(folder.iterdir())) == 1, "it is cleared away once it is dead"
    ours.strike()


def test_who_looks_at_a_dead_supervisors_entry_is_not_taken_for_it(slots: str) -> None:
    """Its pid may be somebody else's by now, who would be told to stop."""
    dead = roster.Entry(slots)
    os.close(dead._fd)
    with open(dead._path, encoding="ascii") as another_looks:
        fcntl.flock(another_looks, fcntl.LOCK_SH)
        assert roster.supervisors(slots) == []


def test_an_entry_that_is_cleared_away_while_it_is_made_is_made_again(
    slots: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def another_looks_first(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        assert roster.supervisors(slots) == []
        flock(descriptor, operation)

    assert roster.supervisors(slots) == []  # nothing to look at: the next lock is the entry's
    monkeypatch.setattr(fcntl, "flock", another_looks_first)
    entry = roster.Entry(slots)
    assert roster.supervisors(slots) == [os.getpid()]
    entry.strike()
