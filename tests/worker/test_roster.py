"""Who may be told to stop: the supervisors of this pid namespace, and nobody else."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.errors import Refused
from queuectl.worker import roster

KEPT = roster.Kept(2, ("a", "b"))


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "slots")
    assert not list(tmp_path.iterdir())


def test_a_supervisor_is_found_until_it_leaves(slots: str) -> None:
    entry = roster.Entry(slots, KEPT)
    assert roster.supervisors(slots) == {os.getpid(): KEPT}
    entry.strike()
    assert roster.supervisors(slots) == {}


def test_a_pid_of_another_pid_namespace_is_nobody_here(slots: str) -> None:
    ours = roster.Entry(slots, KEPT)
    folder = Path(f"{slots}-supervisors")
    with (folder / "pid:[1]-1-0").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        assert roster.supervisors(slots) == {os.getpid(): KEPT}
    assert roster.supervisors(slots) == {os.getpid(): KEPT}
    assert len(list(folder.iterdir())) == 1, "it is cleared away once it is dead"
    ours.strike()


def test_who_looks_at_a_dead_supervisors_entry_is_not_taken_for_it(slots: str) -> None:
    """Its pid may be somebody else's by now, who would be told to stop."""
    dead = roster.Entry(slots, KEPT)
    os.close(dead._fd)
    with open(dead._path, encoding="ascii") as another_looks:
        fcntl.flock(another_looks, fcntl.LOCK_SH)
        assert roster.supervisors(slots) == {}


def test_an_entry_that_is_cleared_away_while_it_is_made_is_made_again(
    slots: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock = fcntl.flock

    def another_looks_first(descriptor: int, operation: int) -> None:
        monkeypatch.undo()
        assert roster.supervisors(slots) == {}
        flock(descriptor, operation)

    assert roster.supervisors(slots) == {}  # nothing to look at: the next lock is the entry's
    monkeypatch.setattr(fcntl, "flock", another_looks_first)
    entry = roster.Entry(slots, KEPT)
    assert roster.supervisors(slots) == {os.getpid(): KEPT}
    entry.strike()


def test_a_supervisor_says_how_many_workers_there_are_to_be(slots: str) -> None:
    entry = roster.Entry(slots, KEPT)
    for count in (10, 0):
        entry.keep(count)
        assert roster.supervisors(slots) == {os.getpid(): roster.Kept(count, KEPT.queues)}
    entry.strike()


def test_a_supervisor_whose_entry_was_emptied_can_be_stopped_still(slots: str) -> None:
    entry = roster.Entry(slots, KEPT)
    os.truncate(entry._path, 0)
    assert list(roster.supervisors(slots)) == [os.getpid()]
    entry.strike()


def test_who_waits_for_a_start_that_hangs_gives_up_and_says_so(
    slots: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "_PATIENCE", 0.1)
    before = len(os.listdir("/proc/self/fd"))
    with (
        roster.Counting(slots),
        pytest.raises(Refused, match="has not come to an end"),
        roster.Counting(slots),
    ):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
    with roster.Counting(slots):
        pass


def test_one_at_a_time_counts_and_starts_what_is_missing(slots: str) -> None:
    """Each adds one to the number that it reads."""
    code = (
        "import sys; from pathlib import Path; from queuectl.worker.roster import Counting\n"
        "path = Path(sys.argv[2])\n"
        "for _ in range(300):\n"
        "    with Counting(sys.argv[1]):\n"
        "        path.write_text(str(int(path.read_text()) + 1))\n"
    )
    count = Path(slots).with_name("count")
    count.write_text("0")
    words = [sys.executable, "-c", code, slots, str(count)]
    started = [subprocess.Popen(words) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert count.read_text() == "900"
    count.unlink()
