# ruff: noqa: S608 - table names from the list below
"""The cost of a job in a store with a past, next to an empty one.

The past: 1,000,000 finished jobs, 200,000 scheduled for next year, 100,000 pending, and
1,000,000 more in a paused queue. It is made once: one job of each kind goes the real way,
then SQL multiplies its rows (`/tmp/queuectl-bench-history-*.db`, about 1 GB, is kept for
the next time). Each round drains the first 3,000 pending jobs of both stores and counts
from the first start to the last end; *store alone* is enqueueing, and a turn of 8
finishes and 8 claims, without processes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from typing import TYPE_CHECKING

import apsw

from bench.home import Home, shell_job
from bench.measure import interleave, median, number, ratio, seconds
from queuectl.clock import now_ms
from queuectl.model import COMPLETED, Finish, Outcome, Want, Worker
from queuectl.store.sqlite import database
from queuectl.transitions import settle

if TYPE_CHECKING:
    from bench.measure import Row
    from queuectl.model import Claim
    from queuectl.store.base import Store

_FINISHED, _SCHEDULED, _PENDING, _PAUSED = 1_000_000, 200_000, 100_000, 1_000_000
_ROUNDS = 7
_DRAINED = 3_000
_YEAR = 365 * 86_400_000
_SPREAD = 1000
"""Ms between two jobs of the made-up past and future."""


def run_all() -> list[Row]:
    """The rows."""
    with Home() as empty, Home() as full:
        shutil.copyfile(_built(), full.db)
        rows = _store_alone(empty, full)
        small, large = interleave(_ROUNDS, lambda: _drain(empty), lambda: _drain(full))
        beside = f"empty {seconds(small)}, full {seconds(large)}"
        what = f"drain of {_DRAINED:,} `true`, full by empty"
        return [
            ratio(what, large, small, most=1.15, beside=beside),
            *rows,
            *_looks(empty, full),
        ]


def _drain(home: Home) -> float:
    """Seconds for the next so many pending jobs; leaves the others."""
    if home.pending("default") < _DRAINED + 1000:
        home.enqueue(["true"] * (_DRAINED + 1000))
    mark, ended = home.last_token(), home.ended()
    with home.workers(2, 2):
        home.wait_for_ended(ended + _DRAINED)
    return home.steady(mark, _DRAINED)


def _store_alone(empty: Home, full: Home) -> list[Row]:
    rows = []
    with empty.store() as small, full.store() as large:
        small.enqueue([shell_job("true", empty.path)] * 5000, now_ms())
        parts = []
        for store, home in ((small, empty), (large, full)):
            job = shell_job("true", home.path)
            turns = _Turns(store)
            parts.append((lambda s=store, j=job: _timed_enqueue(s, j), turns))
        enqueues = interleave(200, parts[0][0], parts[1][0])
        turns = interleave(300, parts[0][1].timed, parts[1][1].timed)
        for _enqueue, worker in parts:
            worker.leave()
    for what, (a, b) in (("one enqueue", enqueues), ("a turn of 8 jobs", turns)):
        beside = f"empty {seconds(a)}, full {seconds(b)}"
        value = median(b) / median(a)
        rows.append(number(f"store alone, {what}", value, most=1.15, beside=beside))
    return rows


def _timed_enqueue(store: Store, job: object) -> float:
    began = time.perf_counter()
    store.enqueue([job], now_ms())  # type: ignore[list-item]
    return time.perf_counter() - began


class _Turns:
    """A worker without processes: every job that it claims completes at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._claims: list[Claim] = []
        now = now_ms()
        worker = Worker("bench", "here", os.getpid(), "", "", 0, 0, 8, (), now, now, "0")
        store.register(worker)

    def timed(self) -> float:
        """Seconds for one turn: finish what was claimed, claim as much."""
        now = now_ms()
        outcome = Outcome(COMPLETED, now, now, 0.001, 0)
        finishes = [
            Finish(c.token, c.seq, c.attempt, outcome, settle(c.attempts, c.policy, outcome))
            for c in self._claims
        ]
        began = time.perf_counter()
        self._claims = self._store.turn("bench", finishes, [], Want(8), now).claims
        return time.perf_counter() - began

    def leave(self) -> None:
        """Give back what is held."""
        self._store.release("bench", [claim.token for claim in self._claims], now_ms())
        self._store.unregister("bench")


def _looks(empty: Home, full: Home) -> list[Row]:
    rows = []
    with empty.store() as store:
        names = [store.enqueue([shell_job("true", empty.path)], now_ms())[0]]
    names.append(f"j{_FINISHED // 2}")
    for words in (["status"], ["list", "--limit", "50"], ["metrics"], ["show", "ID"]):
        first, second = ([name if word == "ID" else word for word in words] for name in names)
        a, b = interleave(
            15,
            lambda words=first: empty.queuectl(*words).wall,
            lambda words=second: full.queuectl(*words).wall,
        )
        more = [(y - x) * 1000 for x, y in zip(a, b, strict=True)]
        rows.append(
            number(
                f"`{' '.join(words)}`, ms more than on an empty store",
                median(more),
                "{:.1f}",
                most=50,
                of=more,
                beside=f"empty {seconds(a)}, full {seconds(b)}",
            )
        )
    return rows


# -- the past ------------------------------------------------------------------------------


def _built() -> str:
    """The path of the store with a past; made if it is not there yet."""
    mark = hashlib.sha256()
    migrations = os.path.join(os.path.dirname(database.__file__), "migrations")
    for path in (__file__, *sorted(os.scandir(migrations), key=lambda entry: entry.name)):
        with open(path, "rb") as file:
            mark.update(file.read())
    name = f"queuectl-bench-history-{mark.hexdigest()[:12]}.db"
    path = os.path.join(tempfile.gettempdir(), name)
    if not os.path.exists(path):
        with Home() as home:
            _build(home)
            shutil.move(home.db, path)
    return path


def _build(home: Home) -> None:
    """One job of each kind the real way, then many like it."""
    later = now_ms() + _YEAR
    with home.store() as store:
        store.enqueue([shell_job("echo hello", home.path)], now_ms())
    home.queuectl("worker", "start", "--drain")
    with home.store() as store:
        store.enqueue([shell_job("true", home.path, run_at=later)], now_ms())
        store.enqueue([shell_job("true", home.path)], now_ms())
        store.set_queue("held", paused=True)
        store.enqueue([shell_job("true", home.path, queue="held")], now_ms())
    db = apsw.Connection(home.db)
    db.execute("PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; BEGIN")
    # From the last kind to the first, so that no number is in use yet.
    first = _FINISHED + _SCHEDULED + _PENDING + 1
    _multiply(db, 4, first, _PAUSED)
    first -= _PENDING
    _multiply(db, 3, first, _PENDING)
    first -= _SCHEDULED
    _multiply(db, 2, first, _SCHEDULED)
    for seq in (2, 3, 4):
        for table in ("jobs", "specs"):
            db.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
    _multiply(db, 1, 2, _FINISHED - 1)
    total = _FINISHED + _SCHEDULED + _PENDING + _PAUSED
    db.execute("UPDATE counters SET seq = ?, token = ?", (total, _FINISHED))
    db.execute(
        "UPDATE counts SET n = (SELECT count(*) FROM jobs j WHERE j.queue = counts.queue"
        " AND j.state = counts.state)"
    )
    db.execute("COMMIT; ANALYZE; PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def _multiply(db: apsw.Connection, template: int, first: int, number: int) -> None:
    """Copy all that belongs to one job to `number` jobs from `first` on."""
    changed = {
        "seq": "n",
        "token": "CASE WHEN token IS NULL THEN NULL ELSE n END",
        "finished_at": f"finished_at - n * {_SPREAD}",
        "due_at": f"due_at + n * {_SPREAD}",
        "run_at": f"run_at + n * {_SPREAD}",
    }
    where = {
        "jobs": "seq = ?1",
        "specs": "seq = ?1",
        "attempts": "seq = ?1",
        "output": "token = (SELECT token FROM attempts WHERE seq = ?1)",
    }
    for table, condition in where.items():
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = [changed.get(column, column) for column in columns]
        # due_at of what is due stays: it is in the past.
        if table == "jobs":
            values = [
                f"CASE WHEN ready = 0 THEN {value} ELSE due_at END"
                if name == "due_at"
                else value
                for name, value in zip(columns, values, strict=True)
            ]
        db.execute(
            f"WITH RECURSIVE numbers(n) AS (SELECT ?2 UNION ALL SELECT n + 1 FROM numbers"
            f" WHERE n + 1 < ?2 + ?3) INSERT INTO {table} ({', '.join(columns)})"
            f" SELECT {', '.join(values)} FROM {table}, numbers WHERE {condition} AND ?3 > 0",
            (template, first, number),
        )
