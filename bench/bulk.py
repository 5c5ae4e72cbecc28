# ruff: noqa: S608 - table names from the list below
"""Enqueueing 100,000 JSON lines, next to a bare APSW executemany of the same rows.

queuectl is counted as a whole process. The bare insert is counted from BEGIN to the end
of COMMIT, without the start of Python and without making the rows: it puts those that
queuectl stored into the same tables, indexes included, of a new store.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import apsw

from bench.home import Home
from bench.measure import median, number, ratio, seconds

if TYPE_CHECKING:
    from bench.measure import Row

_JOBS = 100_000
_ROUNDS = 7
_TABLES = ("jobs", "specs")


def run_all() -> list[Row]:
    """The rows."""
    lines = "".join(
        f'{{"command": "echo {n}", "priority": {n % 10 + 1}}}\n' for n in range(_JOBS)
    )
    bare, ours = [], []
    for _ in range(_ROUNDS):
        with Home() as home, Home() as other:
            path = home.file("lines", lines)
            ours.append(home.queuectl("enqueue", "--file", path).wall)
            other.queuectl("init-db")
            bare.append(_bare(home.db, other.db))
    rates = [_JOBS / taken for taken in ours]
    beside = f"bare {seconds(bare)}, queuectl {seconds(ours)}"
    return [
        number("jobs a second", median(rates), "{:,.0f}", least=60_000, of=rates),
        ratio("next to a bare executemany", bare, ours, least=0.3, beside=beside),
    ]


def _bare(source: str, target: str) -> float:
    tables = {}
    reader = apsw.Connection(source)
    for table in _TABLES:
        tables[table] = reader.execute(f"SELECT * FROM {table}").fetchall()
    reader.close()
    assert len(tables["jobs"]) == _JOBS
    writer = apsw.Connection(target)
    writer.execute("PRAGMA synchronous = FULL")
    began = time.perf_counter()
    writer.execute("BEGIN IMMEDIATE")
    for table, rows in tables.items():
        places = ",".join("?" * len(rows[0]))
        writer.executemany(f"INSERT INTO {table} VALUES ({places})", rows)
    writer.execute("COMMIT")
    taken = time.perf_counter() - began
    writer.close()
    return taken
