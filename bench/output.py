"""Jobs that print, next to `xargs … | cat >/dev/null`.

queuectl keeps what they print (the first and the last 32 KiB of each stream); ratios as in
`drain`, steady. Both sides start `sh -c` for each job. One job prints 2 GB, next to the
same command with `| cat >/dev/null`; meanwhile the worker's memory is watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.drain import against_xargs, drain, xargs
from bench.home import Home
from bench.measure import number, peak_rss, ratio, run, seconds

if TYPE_CHECKING:
    from bench.measure import Row

_ROUNDS = 7
_GIGANTIC = "exec head -c 2000000000 /dev/zero"
_MIB = 2**20


def run_all() -> list[Row]:
    """The rows."""
    rows = []
    for what, command, jobs, least in (
        ("3,000 jobs of 100 bytes", f"echo {'x' * 99}", 3_000, 0.95),
        ("1,000 jobs of 1 MB", "exec head -c 1000000 /dev/zero", 1_000, 0.8),
    ):
        lines = [command] * jobs
        theirs, ours = [], []
        for _ in range(_ROUNDS):
            theirs.append(xargs(lines, "| cat >/dev/null"))
            ours.append(drain(lines))
        rows += against_xargs(what, least, theirs, ours)
    return rows + _two_gigabytes()


def _two_gigabytes() -> list[Row]:
    theirs, ours, grown = [], [], []
    for _ in range(3):
        theirs.append(run(["sh", "-c", f"sh -c '{_GIGANTIC}' | cat >/dev/null"]).wall)
        with Home() as home, home.workers(1) as workers:
            home.enqueue(["true"] * 50)
            home.wait_for_ended(50)
            before = peak_rss(workers.pids[0])
            mark = home.last_token()
            home.enqueue([_GIGANTIC])
            home.wait_for_ended(51)
            ours.append(home.steady(mark))
            grown.append((peak_rss(workers.pids[0]) - before) / _MIB)
    beside = f"cat {seconds(theirs)}, queuectl {seconds(ours)}"
    return [
        ratio("one job of 2 GB", theirs, ours, least=0.8, beside=beside),
        number("  the worker's peak RSS grows, MiB", max(grown), "{:.1f}", most=4),
    ]
