"""Readers that leave, full disks, closed streams, want of descriptors or memory: one line."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from conftest import Cli
from queuectl.cli import commands
from queuectl.cli.main import command_line


def test_a_reader_that_leaves_early_is_no_error(cli: Cli) -> None:
    cli.ok("enqueue", "--file", "-", input="true\n" * 5_000)
    process = cli.start("list", "--limit", "all")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 141
    assert process.stderr is not None
    assert process.stderr.read() == ""


def test_a_full_disk_behind_stdout_is_told(cli: Cli) -> None:
    process = cli.start("config", "list", stdout=os.open("/dev/full", os.O_WRONLY))
    _, err = process.communicate(timeout=20)
    assert process.returncode == 5
    assert err == "queuectl: No space left on device\n"


def with_few_descriptors(cli: Cli, limit: int, *words: str) -> subprocess.Popen[str]:
    line = f'ulimit -n {limit}; exec "$@"'
    return subprocess.Popen(
        ["sh", "-c", line, "sh", sys.executable, "-m", "queuectl", *words],
        env=cli.env,
        cwd=cli.work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("words", [["true"], ["--json", "true"], ["--file", "-"]])
def test_a_job_whose_id_cannot_be_written_is_said_to_be_enqueued(
    cli: Cli, words: list[str]
) -> None:
    """Else it would be enqueued again."""
    jobs = cli.work / "jobs"
    jobs.write_text("true\n")
    with jobs.open() as source, open("/dev/full", "w", encoding="ascii") as full:
        process = cli.start("enqueue", *words, stdin=source, stdout=full)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 5
    what = "1 job" if "--file" in words else "j1 is"
    assert f"{what} enqueued; No space left on device" in err
    assert cli.job("j1")["command"] == "true"


@pytest.mark.parametrize("limit", [5, 6, 7, 8])
def test_a_want_of_descriptors_is_one_clear_line(cli: Cli, limit: int) -> None:
    cli.ok("enqueue", "true")
    process = with_few_descriptors(cli, limit, "show", "j1")
    _, err = process.communicate(timeout=20)
    if process.returncode:
        assert process.returncode == 5
        assert err.count("\n") == 1
        assert "Too many open files" in err


@pytest.mark.parametrize("limit", [5, 7, 9, 13, 14, 15, 16])
def test_workers_that_want_descriptors_say_so(cli: Cli, limit: int) -> None:
    cli.ok("init-db")
    process = with_few_descriptors(cli, limit, "worker", "start", "--drain")
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if " ready on " in line:  # enough to begin with, on this machine
            process.kill()
            break
    assert "Traceback" not in said
    if process.wait(20) >= 0:
        assert process.returncode in (0, 5)
        assert process.returncode == 0 or "Too many open files" in said
    process.stderr.close()


@pytest.mark.parametrize("error", [MemoryError(), ImportError("failed to map segment")])
def test_a_want_of_memory_is_one_clear_line(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(_command: str) -> None:
        raise error

    monkeypatch.setattr(commands, "load", load)
    assert command_line(["status"]) == 5
    assert capsys.readouterr().err.count("\n") == 1


def test_closed_standard_streams_are_no_trap(cli: Cli) -> None:
    line = f"exec {sys.executable} -m queuectl enqueue true <&- >&- 2>&-"
    ended = subprocess.run(["sh", "-c", line], env=cli.env, cwd=cli.work, check=False)
    assert ended.returncode == 0
    assert cli.job("j1")["command"] == "true"


def test_no_locale_makes_printing_fail(cli: Cli) -> None:
    cli.ok("enqueue", "echo é")
    poor = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    assert "echo \\xe9" in cli.ok("list", env=poor)
