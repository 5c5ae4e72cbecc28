"""Ten shells that enqueue one job after another while four workers drain.

The lone figure is one shell and idle workers. Thirty processes want two cores here, so a
second row divides by `python -c pass` under the same load, which shows what is the
store's part of the wait and what the machine's.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

from bench.home import QUEUECTL, Home
from bench.measure import Row, number, quantile

if TYPE_CHECKING:
    from collections.abc import Callable

_SHELLS = 10
_EACH = 20
_BACKLOG = 20_000
_PASS = [sys.executable, "-c", "pass"]
_ENQUEUE = [QUEUECTL, "enqueue", "true"]


def run_all() -> list[Row]:
    """The rows."""
    with Home() as home, home.workers(4):
        errors: list[str] = []
        lone = _shells(1, 60, _ENQUEUE, home, errors)
        lone_pass = _shells(1, 60, _PASS, home, errors)
        before = 60
        home.enqueue(["true"] * _BACKLOG)
        crowd = _shells(_SHELLS, _EACH, _ENQUEUE, home, errors)
        crowd_pass = _shells(_SHELLS, _EACH, _PASS, home, errors)
        still_busy = home.ended() < before + _BACKLOG
        wanted = before + _BACKLOG + _SHELLS * _EACH
        home.wait_for_ended(wanted)
        with home.store() as store:
            counts = dict(store.stats().counts)
    p95, lone_p95 = quantile(crowd, 0.95), quantile(lone, 0.95)
    lost = wanted - counts["completed"]
    beside = f"lone {lone_p95 * 1000:.0f} ms, crowd {p95 * 1000:.0f} ms"
    share = (p95 / quantile(crowd_pass, 0.95)) / (lone_p95 / quantile(lone_pass, 0.95))
    return [
        Row(
            "errors of 200 enqueues" + ("" if still_busy else " (the drain ended early)"),
            str(len(errors)),
            "",
            "0",
            not errors,
            "; ".join(errors)[:80],
        ),
        Row("jobs lost", str(lost), "", "0", lost == 0, ""),
        number(
            "`enqueue`, p95 in the crowd by p95 alone", p95 / lone_p95, most=3, beside=beside
        ),
        number(
            "  the same, each in units of `python -c pass`", share, beside="the store's part"
        ),
    ]


def _shells(
    shells: int, each: int, words: list[str], home: Home, errors: list[str]
) -> list[float]:
    """Seconds of every process."""
    taken: list[float] = []

    def work() -> None:
        for _ in range(each):
            began = time.perf_counter()
            done = subprocess.run(
                words, env=home.env, stdin=subprocess.DEVNULL, capture_output=True, check=False
            )
            taken.append(time.perf_counter() - began)
            if done.returncode:
                errors.append(done.stderr.decode().strip())

    _together([work] * shells)
    return taken


def _together(works: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
