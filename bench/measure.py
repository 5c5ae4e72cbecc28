# ruff: noqa: RUF001 - an en dash between the ends of a range
"""Measuring: processes timed and accounted for, ratios of interleaved pairs, spreads."""

from __future__ import annotations

import os
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Row(NamedTuple):
    """A line of the table. `met` is None where there is no goal."""

    what: str
    figure: str
    spread: str
    goal: str
    met: bool | None
    beside: str


class Cost(NamedTuple):
    """What a whole process took: seconds of the wall clock and of CPU, largest RSS in bytes."""

    wall: float
    cpu: float
    peak: int


def run(
    words: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: str = os.devnull,
    stdout: str = os.devnull,
    may_fail: bool = False,
) -> Cost:
    """Run a program to its end. Its errors stay visible only as the exit code."""
    began = time.perf_counter()
    pid = os.posix_spawnp(
        words[0],
        list(words),
        dict(os.environ if env is None else env),
        file_actions=(
            (os.POSIX_SPAWN_OPEN, 0, stdin, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, stdout, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ),
    )
    _pid, status, used = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    if code and not may_fail:
        raise RuntimeError(f"exit {code}: {' '.join(words)[:200]}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def interleave(
    rounds: int, *things: Callable[[], float], warm_up: bool = True
) -> list[list[float]]:
    """Do the things in turn, `rounds` times; for each of them its results, in order."""
    if warm_up:
        for thing in things:
            thing()
    results: list[list[float]] = [[] for _ in things]
    for _ in range(rounds):
        for found, thing in zip(results, things, strict=True):
            found.append(thing())
    return results


median = statistics.median


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies (nearest rank)."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def middle(values: Sequence[float], shown: str = "{:.2f}") -> str:
    """The middle half of the values."""
    return f"{shown.format(quantile(values, 0.25))}–{shown.format(quantile(values, 0.75))}"


def ratio(
    what: str,
    upper: Sequence[float],
    lower: Sequence[float],
    *,
    least: float | None = None,
    most: float | None = None,
    beside: str = "",
) -> Row:
    """A row of the ratios of interleaved pairs: their median, their middle half."""
    ratios = [a / b for a, b in zip(upper, lower, strict=True)]
    return number(
        what, median(ratios), "{:.2f}", least=least, most=most, beside=beside, of=ratios
    )


def number(
    what: str,
    value: float,
    shown: str = "{:.2f}",
    *,
    least: float | None = None,
    most: float | None = None,
    beside: str = "",
    of: Sequence[float] = (),
) -> Row:
    """A row of one number against its bound; `of` are the values that it is the middle of."""
    goal, met = "–", None
    if least is not None:
        goal, met = "≥ " + shown.format(least), value >= least
    if most is not None:
        goal, met = "≤ " + shown.format(most), value <= most
    spread = middle(of, shown) if len(of) > 1 else ""
    return Row(what, shown.format(value), spread, goal, met, beside)


def seconds(values: Sequence[float]) -> str:
    """The median of times, for people."""
    value = median(values)
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.2f} s"


def wait_until(done: Callable[[], bool], patience: float = 300.0, pause: float = 0.02) -> None:
    """Poll. Raises TimeoutError."""
    deadline = time.monotonic() + patience
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError("it never came")
        time.sleep(pause)


class Account(NamedTuple):
    """A process's use so far: seconds of CPU, its own and its dead children's, and the
    times it was switched off a core."""

    cpu: float
    children: float
    switches: int


def account(pid: int) -> Account:
    """All threads of a process: own CPU to the nanosecond, children's to the tick."""
    own = 0
    switches = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        own += int(_read(f"/proc/{pid}/task/{thread}/schedstat").split()[0])
        for line in _read(f"/proc/{pid}/task/{thread}/status").splitlines():
            if "ctxt_switches" in line:
                switches += int(line.split()[1])
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    ticks = int(fields[13]) + int(fields[14])
    return Account(own / 1e9, ticks / os.sysconf("SC_CLK_TCK"), switches)


def written(pid: int) -> int:
    """Bytes that a process has sent to a disk."""
    for line in _read(f"/proc/{pid}/io").splitlines():
        if line.startswith("write_bytes"):
            return int(line.split()[1])
    return 0


def pss(pid: int) -> int:
    """A process's proportional share of memory, in bytes."""
    for line in _read(f"/proc/{pid}/smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def peak_rss(pid: int) -> int:
    """The most memory that a process ever had resident, in bytes."""
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()
