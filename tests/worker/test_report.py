"""What a worker says: a line for each start and end, and never at the cost of its work."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from queuectl.model import CANCELLED, COMPLETED, FAILED, RELEASED, TIMEOUT, Claim, Outcome
from queuectl.retry import RetryPolicy
from queuectl.transitions import settle
from queuectl.worker.report import Report


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for end in (read, write):
        try:
            os.close(end)
        except OSError:
            continue


def a_claim(command: str | tuple[str, ...] = "make all", **fields: int) -> Claim:
    policy = RetryPolicy(3, 2, 3600, 0)
    return Claim(
        1, 1, "job1", 1, fields.get("attempts", 0), policy, command, "default", 0, "/", False,
        {}, {}, "ann@here",
    )  # fmt: skip


def said(pipe: tuple[int, int], report: Report) -> list[str]:
    report.flush()
    return [line[9:] for line in os.read(pipe[0], 65536).decode().splitlines()]


def test_a_start_tells_job_run_and_command(pipe: tuple[int, int]) -> None:
    report = Report(pipe[1])
    report.started(a_claim(attempts=1))
    (line,) = said(pipe, report)
    assert "job1" in line
    assert "2/3" in line
    assert "make all" in line


@pytest.mark.parametrize(
    ("kind", "error", "attempts", "parts"),
    [
        (COMPLETED, None, 0, ["job1", "done", "1.5"]),
        (FAILED, "exit 3: oh no", 0, ["job1", "exit 3 after 1.5s: oh no; again in 2"]),
        (TIMEOUT, "timed out after 1.5 s", 1, ["job1", "timed out", "again in 4"]),
        (FAILED, "exit 3", 2, ["job1", "exit 3", "dead"]),
        (CANCELLED, "cancelled while it ran", 0, ["job1 cancelled after 1.5s"]),
        (RELEASED, "cut off: its worker was stopped", 0, ["job1 released after 1.5s"]),
    ],
)
def test_an_end_tells_what_happened_and_what_follows(
    pipe: tuple[int, int], kind: str, error: str | None, attempts: int, parts: list[str]
) -> None:
    report = Report(pipe[1])
    claim = a_claim(attempts=attempts)
    outcome = Outcome(kind, 1_000_000, 998_500, 1.5, error=error)
    report.ended(claim, outcome, settle(attempts, claim.policy, outcome))
    (line,) = said(pipe, report)
    assert [part for part in parts if part not in line] == []


def test_text_of_jobs_writes_no_escape_codes_and_no_second_line(pipe: tuple[int, int]) -> None:
    report = Report(pipe[1])
    report.started(a_claim("echo \033[31m\nrm -rf / \u202e \x9b31m \r"))
    report.ended(
        a_claim(),
        outcome := Outcome(FAILED, 0, 0, 0, 1, None, "exit 1: \033]0;title\a\nsecond"),
        settle(0, a_claim().policy, outcome),
    )
    lines = said(pipe, report)
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_a_reader_who_left_is_no_reason_to_fail(pipe: tuple[int, int]) -> None:
    report = Report(pipe[1])
    os.close(pipe[0])
    report.line("to nobody")
    report.flush()


def test_a_reader_who_does_not_read_holds_nobody_up_and_hears_whole_lines(
    pipe: tuple[int, int],
) -> None:
    report = Report(pipe[1])
    for n in range(20_000):
        report.line(f"line {n:05}")
        report.flush()
    text = b""
    while b"line 19999\n" not in text:
        text += os.read(pipe[0], 65536)
        report.line("line 19999")
        report.flush()
    lines = text.decode().splitlines()
    assert all(len(line) == 19 and line[9:14] == "line " for line in lines)


def test_a_burst_larger_than_a_pipe_comes_out_whole_for_those_who_read(
    pipe: tuple[int, int],
) -> None:
    report = Report(pipe[1])
    for n in range(8_000):
        report.line(f"line {n:05}")
    text = b""
    while b"line 07999\n" not in text:
        report.flush()
        text += os.read(pipe[0], 65536)
    assert [int(line[14:]) for line in text.decode().splitlines()] == list(range(8_000))
