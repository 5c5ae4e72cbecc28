"""A store in a known state, and the command line to look at it with."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from queuectl.cli.main import command_line
from queuectl.clock import now_ms
from queuectl.model import COMPLETED, STDERR, STDOUT, Chunk, Claim, OutputPart
from queuectl.records import Record
from queuectl.store import open_store
from store.helpers import LivingWorker, a_job

DEADLINE = 10.0


class Said(Record):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Scene:
    """Jobs and a worker that does what it is told; time does not matter to it."""

    def __init__(self, folder: Path, capsys: Any) -> None:
        self.db = str(folder / "queue.db")
        self.store = open_store(self.db)
        self._capsys = capsys
        self._worker: LivingWorker | None = None

    def close(self) -> None:
        if self._worker is not None:
            self._worker.leave()
        self.store.close()

    @property
    def worker(self) -> LivingWorker:
        """A living worker for all queues, from when it is first asked for."""
        if self._worker is None:
            self._worker = LivingWorker(self.store, slots=4, host="gpu1")
        return self._worker

    def add(self, *ids: str, **fields: Any) -> None:
        self.store.enqueue([a_job(job_id, **fields) for job_id in ids], now_ms())

    def start(self, job_id: str, **fields: Any) -> Claim:
        """A new job, running."""
        self.add(job_id, **fields)
        return self.claim(job_id)

    def claim(self, job_id: str) -> Claim:
        claim = self.worker.claim_one(now_ms())
        assert claim.id == job_id
        return claim

    def end(self, claim: Claim, kind: str = COMPLETED, **facts: Any) -> None:
        self.worker.finish(claim, kind, now_ms(), **facts)

    def kill(self, job_id: str, error: str = "exit 1: it broke", **fields: Any) -> None:
        """A new job that ends in the DLQ."""
        claim = self.start(job_id, max_retries=1, **fields)
        self.end(claim, "failed", exit_code=1, error=error, output=self.output(claim))

    def output(self, claim: Claim, out: bytes = b"", err: bytes = b"") -> OutputPart:
        chunks = [Chunk(0, STDOUT, 0, out), Chunk(1, STDERR, 0, err)]
        return OutputPart(claim.token, [chunk for chunk in chunks if chunk.data])

    def say(self, claim: Claim, out: bytes = b"", err: bytes = b"") -> None:
        """The running job prints; all that it has printed is given."""
        self.worker.turn(output=[self.output(claim, out, err)], now=now_ms())

    def run(self, *words: str) -> Said:
        """A command, in this process."""
        self._capsys.readouterr()
        code = command_line(["--db", self.db, *words])
        return Said(code, *self._capsys.readouterr())

    def start_command(self, *words: str, **streams: Any) -> Command:
        """A command, in a process of its own, which is killed when it is left."""
        command = [sys.executable, "-m", "queuectl", "--db", self.db, *words]
        environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
        return Command(command, env={**environment, "TERM": "xterm"}, **streams)

    def on_terminal(self, *words: str) -> Terminal:
        """A command whose stdout and stderr are a terminal."""
        return Terminal(self, *words)


class Command(subprocess.Popen[bytes]):
    """A process; nothing of it outlives its `with`, however the test ends."""

    def __exit__(self, *error: Any) -> None:
        self.kill()
        super().__exit__(*error)


class Terminal:
    """A command on a pseudo-terminal of 80 columns; `screen` is all it has written."""

    def __init__(self, scene: Scene, *words: str) -> None:
        self._master, slave = pty.openpty()
        import fcntl
        import struct
        import termios

        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.process = scene.start_command(
            *words, stdout=slave, stderr=slave, stdin=slave, start_new_session=True
        )
        os.close(slave)
        self._read = bytearray()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_error: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    @property
    def screen(self) -> str:
        return self._read.decode("utf-8", "replace")

    def wait_for(self, text: str) -> None:
        """Read until the text is there."""
        end = time.monotonic() + DEADLINE
        wanted = text.encode()
        while wanted not in self._read:
            assert time.monotonic() < end, f"no {text!r} in {self.screen!r}"
            assert self._read_some(), f"it ended without {text!r}: {self.screen!r}"

    def finish(self) -> str:
        """Read to the end."""
        end = time.monotonic() + DEADLINE
        while self._read_some():
            assert time.monotonic() < end, "it does not end"
        self.process.wait(DEADLINE)
        return self.screen

    def _read_some(self) -> bool:
        if select.select([self._master], [], [], 0.2)[0]:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # EIO: nobody has the terminal open any more
                return False
            self._read += data
            return bool(data)
        return True


def read_until(stream: Any, text: bytes) -> bytes:
    """Read from a pipe until the text is there."""
    found = b""
    end = time.monotonic() + DEADLINE
    while text not in found:
        assert time.monotonic() < end, f"no {text!r} in {found!r}"
        if select.select([stream], [], [], 0.2)[0]:
            data = os.read(stream.fileno(), 65536)
            assert data, f"it ended without {text!r}: {found!r}"
            found += data
    return found
