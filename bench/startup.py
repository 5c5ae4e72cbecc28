"""Whole processes of the CLI, next to `python -c pass` in the same environment.

A worker is running (so `enqueue` rings it, and it runs the job meanwhile).
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.home import QUEUECTL, Home
from bench.measure import interleave, median, ratio, run, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.measure import Row

_ROUNDS = 30
_PROCESSES = (
    ("`queuectl enqueue true`", 2.6, (QUEUECTL, "enqueue", "true")),
    ("`queuectl --help`", 2.5, (QUEUECTL, "--help")),
    ("`queuectl status`", 3.2, (QUEUECTL, "status")),
    ("`queuectl list` (50 shown)", 3.2, (QUEUECTL, "list", "--limit", "50")),
    (
        "`import argparse, apsw, json`",
        None,
        (sys.executable, "-c", "import argparse, apsw, json"),
    ),
)


def run_all() -> list[Row]:
    """The rows."""
    spent: dict[str, list[float]] = {}
    with Home() as home, home.workers(1):

        def timed(key: str, *words: str) -> Callable[[], float]:
            def once() -> float:
                cost = run(words, env=home.env)
                spent.setdefault(key, []).append(cost.cpu)
                return cost.wall

            return once

        for _ in range(60):
            home.queuectl("enqueue", "true")
        home.wait_for_ended(60)
        bare, *ours = interleave(
            _ROUNDS,
            timed("bare", sys.executable, "-c", "pass"),
            *[timed(what, *words) for what, _most, words in _PROCESSES],
        )
    rows = []
    for (what, most, _words), taken in zip(_PROCESSES, ours, strict=True):
        cpu = median(spent[what]) / median(spent["bare"])
        beside = f"python {seconds(bare)}, this {seconds(taken)}; by CPU {cpu:.2f}"
        rows.append(ratio(what, taken, bare, most=most, beside=beside))
    return rows
