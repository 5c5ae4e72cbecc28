"""From the commit of an enqueue to the job's first words, an idle worker waiting.

The job writes a byte into a FIFO that the benchmark reads. Beside it the benchmark starts
the same command itself with posix_spawn. Both are counted from the same point (the commit
has returned; the call to posix_spawn begins) to the byte. The claim in between is on disk
before the job starts: what 32 KiB and an fdatasync take at the time is measured as well.

Of 2.4 ms the process itself takes 1.25, the claim's fsync 0.4, waking two threads 0.15; the
rest is Python and SQLite with cold caches: hearing the bell 0.06, looking 0.14, claiming 0.15,
preparing the start 0.12.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from bench.home import Home, shell_job
from bench.measure import median, number, quantile
from queuectl.clock import now_ms
from queuectl.worker.doorbell import Bells

if TYPE_CHECKING:
    from bench.measure import Row

_ROUNDS = 200


def run_all() -> list[Row]:
    """The rows."""
    bare, ours, syncs = [], [], []
    with Home() as home, home.workers(1), home.store() as store:
        path = os.path.join(home.path, "fifo")
        os.mkfifo(path)
        fifo = os.open(path, os.O_RDWR)
        command = f"echo >{path}"
        job = shell_job(command, home.path)
        for _ in range(_ROUNDS + 10):
            syncs.append(_sync(os.path.join(home.path, "wal")))
            time.sleep(0.06)
            began = time.perf_counter()
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], home.env)
            os.read(fifo, 1)
            bare.append(time.perf_counter() - began)
            os.waitpid(pid, 0)
            time.sleep(0.06)
            bells = Bells(store.uid)
            store.enqueue([job], now_ms())
            began = time.perf_counter()
            bells.ring()
            os.read(fifo, 1)
            ours.append(time.perf_counter() - began)
        os.close(fifo)
    bare, ours = bare[10:], ours[10:]
    rows = []
    for what, most, at in (("p50", 1.8, median), ("p95", 4.0, _p95)):
        theirs, mine = at(bare), at(ours)
        beside = f"posix_spawn {theirs * 1000:.2f} ms, queuectl {mine * 1000:.2f} ms"
        beside += f", fdatasync {at(syncs) * 1000:.2f} ms"
        rows.append(number(f"pick-up, {what}", mine / theirs, most=most, beside=beside))
    return rows


def _p95(values: list[float]) -> float:
    return quantile(values, 0.95)


def _sync(path: str) -> float:
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(file, bytes(32768))
    began = time.perf_counter()
    os.pwrite(file, b"x" * 32768, 0)
    os.fdatasync(file)
    taken = time.perf_counter() - began
    os.close(file)
    return taken
