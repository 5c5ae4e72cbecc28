"""A thousand slots: `worker start --count 2 --concurrency 500`, 1,000 jobs of `sleep 5`.

Beside it: the same 1,000 processes from one loop of posix_spawn. The loop's latency is
the time from a SIGCHLD that the benchmark sends to a worker (an event that asks for
nothing) until the loop has turned, tried every 10 ms from the first start to the last end.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from bench.home import Home
from bench.measure import Row, number, quantile
from queuectl.worker.slots import Watch

_JOBS = 1_000
_GIVE_UP = 5.0


def run_all() -> list[Row]:
    """The rows."""
    bare = _bare()
    with Home() as home:
        home.enqueue(["sleep 5"] * _JOBS)
        home.queuectl("queue", "pause", "default")
        with home.workers(2, 500) as workers, home.store() as store:
            stop = threading.Event()
            probes = [
                _Probe(pid, Watch(store.slot_dir, worker.id), stop)
                for pid, worker in zip(workers.pids, store.workers(), strict=True)
            ]
            asked = time.time()
            home.queuectl("queue", "resume", "default")
            for probe in probes:
                probe.start()
            home.wait_for_ended(_JOBS)
            stop.set()
            for probe in probes:
                probe.join()
            last_start = home.last_start() - asked
            at_once = home.most_at_once()
    waits = [wait for probe in probes for wait in probe.waits]
    beside = f"posix_spawn alone {bare:.2f} s"
    half = (
        f"p50 {quantile(waits, 0.5) * 1000:.1f} ms, p99 {quantile(waits, 0.99) * 1000:.1f} ms"
    )
    return [
        number("until the last has started, s", last_start, most=4, beside=beside),
        Row("running at once", f"{at_once}", "", f"{_JOBS}", at_once == _JOBS, ""),
        number("longest loop latency, ms", max(waits) * 1000, "{:.0f}", most=50, beside=half),
    ]


class _Probe(threading.Thread):
    """Knocks at one worker's loop and times the answer."""

    def __init__(self, pid: int, watch: Watch, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._watch = watch
        self._stopped = stop
        self.waits: list[float] = []

    def run(self) -> None:
        while not self._stopped.wait(0.01):
            turns = self._watch.turns()
            began = time.perf_counter()
            os.kill(self._pid, signal.SIGCHLD)
            while self._watch.turns() == turns and time.perf_counter() < began + _GIVE_UP:
                time.sleep(0.0005)
            self.waits.append(time.perf_counter() - began)


def _bare() -> float:
    began = time.perf_counter()
    pids = [
        os.posix_spawn("/bin/sleep", ["sleep", "5"], os.environ, setsid=True)
        for _ in range(_JOBS)
    ]
    taken = time.perf_counter() - began
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return taken
