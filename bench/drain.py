"""Throughput: how fast a full queue is worked off, next to `xargs -P2 -n1 sh -c`.

The jobs are enqueued beforehand, then `worker start --drain` runs from start to exit.
*Steady* is from the start of the first run to the end of the last one, as the store has
them; *whole* is the process, so start of Python and the leaving included. xargs is always
counted whole (it starts in a millisecond). A ratio is xargs's time by queuectl's: 1.0 is
as fast as xargs, more is faster. Everything is durable: each claim and each end is fsynced.

The engine's own CPU is that of supervisor and workers (all threads, from
`/proc/PID/task/*/schedstat`, without the start of Python), its children's that of the jobs
(`cutime + cstime`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.home import Home
from bench.measure import account, median, number, ratio, run, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measure import Row

_JOBS = 5_000
_ECHOES = 3_000
_ROUNDS = 7
_TWO_OF_TWO = ("--count", "2", "--concurrency", "2")
_TWO = ("--count", "2")


def drain(commands: Sequence[str], options: Sequence[str]) -> tuple[float, float]:
    """Seconds that a drain of these shell lines takes: (steady, whole)."""
    with Home() as home:
        home.enqueue(commands)
        whole = home.queuectl("worker", "start", "--drain", *options).wall
        if home.ended() != len(commands):
            raise RuntimeError("jobs were lost")
        return home.steady(), whole


def xargs(commands: Sequence[str], pipe: str = "") -> float:
    """Seconds that xargs takes for the same lines."""
    with Home() as home:
        lines = home.file("lines", "\n".join(commands) + "\n")
        line = f"xargs -d '\\n' -P2 -n1 sh -c <{lines} {pipe}"
        return run(["sh", "-c", line]).wall


def run_all() -> list[Row]:
    """The rows."""
    jobs, echoes = ["true"] * _JOBS, ["/bin/echo hi"] * _ECHOES
    beside, four, two, echo_beside, echo = [], [], [], [], []
    for _ in range(_ROUNDS):
        beside.append(xargs(jobs))
        four.append(drain(jobs, _TWO_OF_TWO))
        two.append(drain(jobs, _TWO))
        echo_beside.append(xargs(echoes, "| cat >/dev/null"))
        echo.append(drain(echoes, _TWO_OF_TWO))
    rows = []
    for what, least, theirs, ours in (
        (f"{_JOBS:,} jobs `true`, --count 2 --concurrency 2", 1.0, beside, four),
        (f"{_JOBS:,} jobs `true`, --count 2", 0.85, beside, two),
        (f"{_ECHOES:,} jobs `/bin/echo hi`, --count 2 --concurrency 2", 1.3, echo_beside, echo),
    ):
        steady, whole = [a for a, _ in ours], [b for _, b in ours]
        both = f"xargs {seconds(theirs)}, queuectl {seconds(steady)}"
        rows.append(ratio(f"{what}, steady", theirs, steady, least=least, beside=both))
        both = f"queuectl {seconds(whole)}"
        rows.append(ratio(f"{what}, whole process", theirs, whole, beside=both))
    return rows + _engine(jobs)


def _engine(jobs: Sequence[str]) -> list[Row]:
    own, shares = [], []
    for _ in range(3):
        with Home() as home:
            home.enqueue(jobs)
            home.queuectl("queue", "pause", "default")
            with home.workers(2, 2) as workers:
                before = [account(pid) for pid in workers.all_pids]
                home.queuectl("queue", "resume", "default")
                home.wait_for_ended(len(jobs))
                after = [account(pid) for pid in workers.all_pids]
        cpu = sum(b.cpu - a.cpu for a, b in zip(before, after, strict=True))
        children = sum(b.children - a.children for a, b in zip(before, after, strict=True))
        own.append(cpu / len(jobs) * 1000)
        shares.append(cpu / children * 100)
    beside = f"jobs: {median(own) / median(shares) * 100:.2f} ms"
    return [
        number("engine's own CPU, ms a job", median(own), most=0.30, of=own, beside=beside),
        number("  in % of the jobs'", median(shares), "{:.0f}", most=20, of=shares),
    ]
