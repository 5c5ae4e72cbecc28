"""Peers at the same work: 2,000 shell jobs `true`, two at a time, next to xargs (optional).

huey (SQLite, two worker processes, its own settings: no fsync) is installed into a
throw-away environment and runs each job with subprocess; task-spooler (`tsp`, keeps
nothing) and GNU parallel (keeps nothing) take part if they are on PATH. Jobs are enqueued
beforehand. Of huey and queuectl the steady drain is counted, of tsp the time from opening
its slots to the end of the last of 500 jobs, times four, of parallel the whole process.
"""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

from bench.drain import drain, xargs
from bench.home import Home
from bench.measure import Row, ratio, run, seconds, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

_JOBS = 2_000
_TSP_JOBS = 500
"""A client waits for each of tsp's jobs, and its server takes no thousand of them."""
_ROUNDS = 5
_TIMES = struct.Struct("dd")

_HUEY = """\
import os, struct, subprocess, time
from huey import SqliteHuey
here = os.path.dirname(__file__)
huey = SqliteHuey(filename=os.path.join(here, "huey.db"), results=False)
log = os.open(os.path.join(here, "times"), os.O_WRONLY | os.O_APPEND | os.O_CREAT)

@huey.task()
def job(line):
    began = time.time()
    subprocess.run(["sh", "-c", line])
    os.write(log, struct.pack("dd", began, time.time()))

def fill():
    for _ in range({jobs}):
        job("true")
"""


def run_all() -> list[Row]:
    """The rows."""
    lines = ["true"] * _JOBS
    with tempfile.TemporaryDirectory(prefix="queuectl-bench-peers-") as folder:
        peers: dict[str, Callable[[], float]] = {
            "queuectl, 2 of 2": lambda: drain(lines).steady,
            "queuectl, 2 of 1": lambda: drain(lines, ("--count", "2")).steady,
        }
        rows = []
        for name, make in (
            ("huey", _huey),
            ("task-spooler", _tsp),
            ("GNU parallel", _parallel),
        ):
            peer = make(folder)
            if isinstance(peer, str):
                rows.append(Row(f"{name}: skipped, {peer}", "-", "", "", None, ""))
            else:
                peers[name] = peer
        base: list[float] = []
        taken: dict[str, list[float]] = {name: [] for name in peers}
        for _ in range(_ROUNDS):
            base.append(xargs(lines).whole)
            for name, peer in peers.items():
                taken[name].append(peer())
    found = [ratio(name, base, taken[name], beside=seconds(taken[name])) for name in peers]
    return [*found, *rows]


def _huey(folder: str) -> Callable[[], float] | str:
    here = os.path.join(folder, "venv")
    python = os.path.join(here, "bin", "python")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for words in (
        [sys.executable, "-m", "venv", here],
        [python, "-m", "pip", "install", "huey"],
    ):
        if subprocess.run(words, check=False, **quiet).returncode:
            return "it can't be installed"

    def once() -> float:
        with Home() as home:
            home.file("tasks.py", _HUEY.replace("{jobs}", str(_JOBS)))
            log = os.path.join(home.path, "times")
            env = {**os.environ, "PYTHONPATH": home.path}
            run([python, "-c", "import tasks; tasks.fill()"], env=env)
            consumer = subprocess.Popen(
                [os.path.join(here, "bin", "huey_consumer"), "tasks.huey", "-w2", "-kprocess"],
                env=env,
                cwd=home.path,
                **quiet,
            )
            try:
                wait_until(lambda: os.path.getsize(log) == _JOBS * _TIMES.size, pause=0.05)
            finally:
                consumer.send_signal(signal.SIGINT)
                consumer.wait(30)
            with open(log, "rb") as file:
                times = list(_TIMES.iter_unpack(file.read()))
            return max(end for _, end in times) - min(start for start, _ in times)

    return once


def _tsp(_folder: str) -> Callable[[], float] | str:
    program = shutil.which("tsp")
    if program is None:
        return "no tsp on PATH"

    def once() -> float:
        with Home() as home:
            env = {
                **os.environ,
                "TS_SOCKET": os.path.join(home.path, "tsp"),
                "TS_MAXFINISHED": "10",
                "TMPDIR": home.path,
            }
            held = os.path.join(home.path, "held")
            os.mkfifo(held)
            run([program, "-n", "sh", "-c", f"read _ <{held}"], env=env)
            for _ in range(_TSP_JOBS):
                run([program, "-n", "sh", "-c", "true"], env=env)
            # The second slot takes the jobs at once; the first as soon as it is let go.
            began = time.perf_counter()
            run([program, "-S", "2"], env=env)
            with open(held, "w", encoding="utf-8") as file:
                file.write("\n")
            run([program, "-w"], env=env, may_fail=True)
            taken = time.perf_counter() - began
            run([program, "-K"], env=env, may_fail=True)
            return taken * _JOBS / _TSP_JOBS

    return once


def _parallel(_folder: str) -> Callable[[], float] | str:
    program = shutil.which("parallel")
    if program is None:
        return "no parallel on PATH"

    def once() -> float:
        with Home() as home:
            lines = home.file("lines", "true\n" * _JOBS)
            return run([program, "--will-cite", "-j2", "sh", "-c"], stdin=lines).wall

    return once
