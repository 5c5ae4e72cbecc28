"""A worker's memory: idle, and after 100,000 jobs (`worker start --count 2 --concurrency 2`).

PSS from `/proc/PID/smaps_rollup`, the larger of the two workers. Growth is counted from
the 10,000th job on, when all code has been used and the caches are warm.
"""

from __future__ import annotations

from bench.home import Home
from bench.measure import Row, number, peak_rss, pss

_JOBS = 100_000
_WARM = 10_000
_MIB = 2**20


def run_all() -> list[Row]:
    """The rows."""
    with Home() as home:
        home.queuectl("init-db")
        with home.workers(2, 2) as workers:
            idle = _most(workers.pids)
            home.enqueue(["echo hello"] * _WARM)
            home.wait_for_ended(_WARM)
            warm = _most(workers.pids)
            home.enqueue(["echo hello"] * (_JOBS - _WARM))
            home.wait_for_ended(_JOBS, 900)
            after = _most(workers.pids)
            peak = max(peak_rss(pid) for pid in workers.pids)
    beside = f"peak RSS {peak / _MIB:.1f} MiB"
    return [
        number("worker idle, MiB", idle / _MIB, "{:.1f}", most=30),
        number("after 100,000 jobs, MiB", after / _MIB, "{:.1f}", most=30, beside=beside),
        number("growth from the 10,000th, MiB", (after - warm) / _MIB, "{:.1f}", most=1),
    ]


def _most(pids: list[int]) -> int:
    return max(pss(pid) for pid in pids)
