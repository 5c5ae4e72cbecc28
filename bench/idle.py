"""What a supervisor and two workers cost while there is nothing to do, over a minute.

CPU and context switches of all their threads from `/proc`; bytes sent to the disk from
`/proc/PID/io` (the heartbeats: one a worker every half of `lease_seconds`, 60 s).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.home import Home
from bench.measure import Row, account, number, written

_SECONDS = 60

if TYPE_CHECKING:
    from bench.measure import Account


def run_all() -> list[Row]:
    """The rows."""
    with Home() as home:
        home.enqueue(["true"] * 10)
        with home.workers(2) as workers:
            home.wait_for_ended(10)
            time.sleep(3)
            before = _accounts(workers.all_pids)
            disk = sum(written(pid) for pid in workers.all_pids)
            began = time.monotonic()
            time.sleep(_SECONDS)
            taken = time.monotonic() - began
            after = _accounts(workers.all_pids)
            disk = sum(written(pid) for pid in workers.all_pids) - disk
    cpu = sum(b.cpu - a.cpu for a, b in zip(before, after, strict=True))
    switches = sum(b.switches - a.switches for a, b in zip(before, after, strict=True))
    return [
        number("CPU, % of a core", cpu / taken * 100, "{:.3f}", most=0.1),
        number("context switches a second", switches / taken, most=3),
        Row(
            "written to disk in a minute", f"{disk / 1024:.0f} KiB", "", "heartbeats", None, ""
        ),
    ]


def _accounts(pids: list[int]) -> list[Account]:
    return [account(pid) for pid in pids]
