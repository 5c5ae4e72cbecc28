"""`worker start --detach`: a supervisor in the background, which logs to a rotated file."""

from __future__ import annotations

import json
import os
import re
import sys
import threading
import time
import traceback
from contextlib import suppress
from io import TextIOWrapper
from logging import Formatter, LogRecord
from logging.handlers import RotatingFileHandler

from queuectl import host
from queuectl.errors import QueuectlError, StoreError
from queuectl.store import lasting_url, open_store
from queuectl.worker import shortage
from queuectl.worker.supervisor import Plan, Supervisor

_LOG_BYTES = 5 * 1024 * 1024
_LOGS_KEPT = 3
_KEPT_FOR = 30 * 86_400.0
"""Seconds that a log is kept after its workers have gone."""


def start_detached(
    store_url: str | None, *, count: int, concurrency: int, queues: tuple[str, ...], drain: bool
) -> list[int]:
    """Start workers in the background; their pids, once they are ready. Of those that have
    died again and again before they were, a line says so.

    Raises QueuectlError with what the workers said if they could not start.
    """
    with open_store(store_url) as store:
        log_dir = store.log_dir
    os.makedirs(os.path.dirname(log_dir), mode=0o700, exist_ok=True)
    os.makedirs(log_dir, mode=0o700, exist_ok=True)
    plan = json.dumps([count, concurrency, queues, drain])
    read, write = os.pipe()
    os.set_inheritable(write, True)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    words = [sys.executable, "-P", "-m", "queuectl.worker.detach", plan, log_dir, str(write)]
    pid = os.posix_spawn(
        sys.executable,
        words,
        os.environ | {"QUEUECTL_DB": lasting_url(store_url)},
        file_actions=[(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)],
        setsid=True,
        setsigmask=(),
    )
    os.close(null)
    os.close(write)
    with os.fdopen(read, encoding="utf-8") as answer:
        text = answer.read()
    if not text:
        _pid, status = os.waitpid(pid, 0)
        raise StoreError(
            f"the workers could not be started (exit {os.waitstatus_to_exitcode(status)})",
            f"see {log_dir}",
        )
    told = json.loads(text)
    if "error" in told:
        os.waitpid(pid, 0)
        error = QueuectlError(told["error"], told["hint"])
        error.exit_code = told["exit_code"]
        raise error
    pids: list[int] = told["pids"]
    if len(pids) < count:
        late = f"{count - len(pids)} of {count} workers could not be started yet"
        print(f"queuectl: {late}; see {log_dir}", file=sys.stderr)
    return pids


def main(argv: list[str]) -> int:
    """Be the supervisor in the background: PLAN, LOG FOLDER, descriptor for the answer."""
    count, concurrency, queues, drain = json.loads(argv[1])
    plan = Plan(None, count, concurrency, tuple(queues), drain)
    answer = _Answer(int(argv[3]))
    host.keep_only(answer.descriptor)
    os.chdir("/")
    log = None
    try:
        with shortage.as_store_error():
            _sweep(argv[2])
            log = _Log(os.path.join(argv[2], f"worker-{os.getpid()}.log"))
            code = Supervisor(plan, lambda pids: answer.give({"pids": pids})).run()
    except QueuectlError as error:
        print(f"queuectl: {error.message}", file=sys.stderr)
        answer.give({"error": error.message, "hint": error.hint, "exit_code": error.exit_code})
        code = error.exit_code
    except Exception:
        traceback.print_exc()
        code = 70  # EX_SOFTWARE
    if log is not None:
        log.close()
    return code


class _Answer:
    """What the starter waits for; given once, it waits no more."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._given = False

    def give(self, value: object) -> None:
        if not self._given:
            self._given = True
            with (
                suppress(BrokenPipeError),  # the starter has gone: the workers stay
                os.fdopen(self.descriptor, "w", encoding="utf-8") as file,
            ):
                json.dump(value, file)


def _sweep(folder: str) -> None:
    """Remove old logs of workers that are gone."""
    for name in os.listdir(folder):
        found = re.fullmatch(r"worker-([0-9]+)\.log(\.[0-9]+)?", name)
        path = os.path.join(folder, name)
        with suppress(FileNotFoundError):  # another supervisor does the same
            if (
                found
                and os.stat(path).st_mtime < time.time() - _KEPT_FOR
                and host.start_ticks(int(found[1])) is None
            ):
                os.unlink(path)


class _Log:
    """Makes standard error of this process, and of its workers, a rotated file.

    They write into a pipe, and a thread of this process into the file, so that nobody
    holds a file open that was rotated away.
    """

    def __init__(self, path: str) -> None:
        self._handler = _PrivateFiles(
            path, maxBytes=_LOG_BYTES, backupCount=_LOGS_KEPT, encoding="utf-8"
        )
        # A line tells the time by itself.
        self._handler.setFormatter(Formatter("%(asctime)s %(message)s", "%Y-%m-%d"))
        read, write = os.pipe()
        os.dup2(write, 2)
        os.close(write)
        self._thread = threading.Thread(target=self._copy, args=(read,), daemon=True)
        shortage.start(self._thread)

    def _copy(self, descriptor: int) -> None:
        with os.fdopen(descriptor, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                record = LogRecord("worker", 20, "", 0, line.rstrip("\n"), None, None)
                self._handler.handle(record)

    def close(self) -> None:
        """After the last worker: take what is still in the pipe."""
        os.close(2)
        self._thread.join(1.0)
        with suppress(OSError):  # a full disk
            self._handler.close()


class _PrivateFiles(RotatingFileHandler):
    """Rotated files that only their user can read. A full disk is no reason to stop: what
    would be said of it would come back through the pipe."""

    def _open(self) -> TextIOWrapper:
        return open(self.baseFilename, "a", encoding=self.encoding, opener=_private)

    def handleError(self, record: LogRecord) -> None:  # noqa: ARG002, N802 - logging's
        return


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
