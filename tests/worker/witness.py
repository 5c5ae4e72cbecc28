"""Runs say that they begin and end, so that a test sees whether two overlap."""

from __future__ import annotations

from pathlib import Path

from .helpers import lines_of, lives, wait_until


class Witness:
    """A file into which runs write that they begin and end; it tells whether two overlap."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "witness"

    def line(self, body: str) -> str:
        """A line of shell that does `body` between the two notes."""
        note = f"$QUEUECTL_JOB_ID $$ >> {self._file}"
        return f"echo begin {note}; {body}; echo end {note}"

    def begun(self, id: str) -> list[int]:
        """The pids of the runs of a job that have begun."""
        return [int(pid) for what, job, pid in self._notes() if (what, job) == ("begin", id)]

    def _notes(self) -> list[list[str]]:
        return [line.split() for line in lines_of(self._file)]

    def wait(self, id: str, runs: int = 1) -> int:
        """The pid of that run, once it has begun."""
        wait_until(lambda: len(self.begun(id)) >= runs, what=f"for run {runs} of {id}")
        return self.begun(id)[runs - 1]

    def check(self) -> None:
        """No run is alive, and none ended after another of its job had begun."""
        latest: dict[str, str] = {}
        for what, job, pid in self._notes():
            if what == "begin":
                latest[job] = pid
            else:
                assert latest[job] == pid, f"{job}: {pid} ended while {latest[job]} ran"
            assert not lives(int(pid)), f"{job}: {pid} is still alive"
