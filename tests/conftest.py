"""What all tests share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Started by `make test &` or nohup these are ignored, and would be by all that tests start.
for _number, _handler in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

PATIENCE = 20.0
"""Seconds that a test waits at most for something that should happen at once."""


@pytest.fixture(scope="session", autouse=True)
def runtime_dir() -> Iterator[str]:
    """Doorbells of the tests' workers hang in a folder of their own, short enough for
    socket paths, gone at the end even if a test killed its workers."""
    folder = tempfile.mkdtemp(prefix="qctl-", dir="/tmp")
    os.environ["QUEUECTL_RUNTIME_DIR"] = folder
    os.environ.pop("QUEUECTL_DB", None)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Result:
    """How a command ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    @property
    def json(self) -> Any:
        """What was printed, read as JSON."""
        return json.loads(self.out)

    def __repr__(self) -> str:
        return f"Result({self.code}, out={self.out!r}, err={self.err!r})"


class Cli:
    """The command line as a person has it: real processes, a home of its own."""

    def __init__(self, home: Path, work: Path) -> None:
        self.home = home
        self.work = work
        self.env = {**os.environ, "QUEUECTL_HOME": str(home), "LC_ALL": "C.UTF-8"}
        self.env.pop("PYTHONUNBUFFERED", None)
        self._started: list[subprocess.Popen[str]] = []

    def __call__(
        self, *words: str, input: str | bytes = "", env: dict[str, str] | None = None
    ) -> Result:
        """Run a command to its end."""
        ended = subprocess.run(
            self._argv(words),
            input=input if isinstance(input, bytes) else input.encode(),
            capture_output=True,
            env={**self.env, **(env or {})},
            cwd=self.work,
            timeout=60,
            check=False,
        )
        return Result(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def ok(self, *words: str, **options: Any) -> str:
        """Run a command that must exit 0; its stdout without the last newline."""
        result = self(*words, **options)
        assert result.code == 0, (words, result)
        return result.out.rstrip("\n")

    def start(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """Begin a command; it is killed when the test is over."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(
            self._argv(words), env=self.env, cwd=self.work, text=True, **options
        )
        self._started.append(process)
        return process

    def drain(self) -> None:
        """Run everything that is due, with one worker in the foreground."""
        self.ok("worker", "start", "--drain")

    def job(self, job_id: str) -> dict[str, Any]:
        """A job with its history."""
        shown: dict[str, Any] = json.loads(self.ok("show", job_id, "--json"))
        return shown

    def wait_for(self, job_id: str, state: str) -> dict[str, Any]:
        """Wait until there is the job and it is in a state."""

        def look() -> dict[str, Any] | None:
            shown = self("show", job_id, "--json")
            return shown.json if shown.code == 0 and shown.json["state"] == state else None

        found: dict[str, Any] = until(look)
        return found

    def close(self) -> None:
        """End what was started."""
        self.work.mkdir(exist_ok=True)
        if (self.home / "queue.db").exists():
            self("worker", "stop", "--now")
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    def _argv(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "queuectl", *words]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[Cli]:
    """`python -m queuectl` with a fresh home, in a fresh directory."""
    work = tmp_path / "work"
    work.mkdir()
    cli = Cli(tmp_path / "home", work)
    yield cli
    cli.close()


@pytest.fixture
def worker(cli: Cli) -> Cli:
    """The same, with one worker in the background."""
    cli.ok("worker", "start", "--detach")
    return cli


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A session that belongs to nobody here; it may stand for a worker."""
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    yield child
    child.kill()
    child.wait()


def until(look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Wait for a condition; its first value that is not None or False."""
    deadline = time.monotonic() + patience
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.01)
    return found
