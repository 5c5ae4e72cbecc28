# ruff: noqa: S608 - table names from a list below
"""What the PostgreSQL store does alone: turns, bulk enqueue, and both beside a long past."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import psycopg

from bench.fleet_home import FleetHome
from bench.home import shell_job
from bench.measure import interleave, median, number, ratio, seconds
from queuectl.clock import now_ms
from queuectl.model import COMPLETED, Finish, Outcome, Turn, Want, Worker
from queuectl.store import open_store
from queuectl.transitions import settle

if TYPE_CHECKING:
    from bench.measure import Row
    from postgres_server import PostgresServer
    from queuectl.model import Claim
    from queuectl.store.base import Store

_ROUNDS = 5
_PAST = 1_000_000
_BULK = 50_000

_SHIFTED = {"seq": "seq + n", "token": "token + n", "finished_at": "finished_at - n * 1000"}


def alone(server: PostgresServer) -> list[Row]:
    """Claims and finishes without a process; bulk enqueue; beside them the disk."""
    rates: dict[str, list[float]] = {}
    with FleetHome(server) as home:
        turns(home.db, 16, 1000)
        for _ in range(_ROUNDS):
            rates.setdefault("commits", []).append(commits(home.db))
            rates.setdefault("bulk", []).append(bulk(home, _BULK))
            drop_pending(server, home)
            for batch in (1, 16, 64):
                rates.setdefault(f"{batch}", []).append(turns(home.db, batch, 150 * batch))
            rates.setdefault("two", []).append(several(home.db, 2, 64, 5000))
    disk = f"commits of one row: {median(rates['commits']):,.0f} a second"
    rows = []
    for key, what, least in (
        ("64", "claims + finishes a second, no process, turns of 64", 10_000),
        ("16", "  turns of 16", None),
        ("1", "  turns of 1", None),
        ("two", "  turns of 64, two processes", None),
        ("bulk", "jobs a second in bulk", 40_000),
    ):
        found = rates[key]
        beside = disk if key == "64" else ""
        rows.append(
            number(what, median(found), "{:,.0f}", least=least, of=found, beside=beside)
        )
    return rows


def history(server: PostgresServer) -> list[Row]:
    """The same on an empty store and on one with a million finished jobs."""
    with FleetHome(server) as empty, FleetHome(server) as full:
        _make_past(server, full)
        with empty.store() as small, full.store() as large:
            workers = []
            for store in (small, large):
                store.enqueue([shell_job("true", empty.path)] * 3000, now_ms())
                workers.append(_Turns(store))
            # What the filling stirred up settles before anything is counted.
            interleave(30, *[worker.timed for worker in workers])
            job = shell_job("true", empty.path)
            enqueues = interleave(100, *[_timed_enqueue(s, job) for s in (small, large)])
            turns = interleave(150, *[worker.timed for worker in workers])
            for worker in workers:
                worker.leave()
        drains = interleave(3, lambda: _drain(empty), lambda: _drain(full))
        looks = interleave(
            7, *[lambda home=home: home.queuectl("status").wall for home in (empty, full)]
        )
    rows = []
    for what, (a, b) in (
        ("drain of 2,000 `true`, 1,000,000 finished rows by none", drains),
        ("  a turn of 8 jobs, store alone", turns),
        ("  one enqueue, store alone", enqueues),
        ("  `status`, whole process", looks),
    ):
        beside = f"empty {seconds(a)}, full {seconds(b)}"
        rows.append(ratio(what, b, a, most=1.15, beside=beside))
        if len(a) > 20:  # single calls: the median of each, not of pairs
            value = median(b) / median(a)
            rows[-1] = number(what, value, most=1.15, beside=beside)
    return rows


def _make_past(server: PostgresServer, home: FleetHome) -> None:
    """One job the real way, then a million like it."""
    home.enqueue(["true"])
    home.queuectl("worker", "start", "--drain")
    with psycopg.connect(server.url(home.database)) as connection:
        connection.execute("SET synchronous_commit = off; SET search_path = queuectl")
        connection.execute("ALTER TABLE jobs DISABLE TRIGGER USER")
        for table in ("jobs", "specs", "attempts"):
            cursor = connection.execute(f"SELECT * FROM {table}")
            names = [column.name for column in cursor.description or ()]
            values = ", ".join(_SHIFTED.get(name, name) for name in names)
            connection.execute(
                f"INSERT INTO {table} ({', '.join(names)})"
                f" SELECT {values} FROM {table}, generate_series(1, {_PAST}) n"
            )
        connection.execute("ALTER TABLE jobs ENABLE TRIGGER USER")
        connection.execute(f"INSERT INTO count_changes VALUES ({_PAST}, 1, 'completed')")
        connection.execute(
            "SELECT setval('seqs', max(seq)), setval('tokens', max(token)) FROM jobs"
        )
    server.run_sql("VACUUM (FREEZE, ANALYZE)", home.database)
    server.run_sql("CHECKPOINT")


def _drain(home: FleetHome) -> float:
    home.enqueue(["true"] * 2000)
    mark = home.last_token()
    home.queuectl("worker", "start", "--drain", "--count", "2", "--concurrency", "2")
    return home.steady(mark)


def _timed_enqueue(store: Store, job: object) -> object:
    def once() -> float:
        began = time.perf_counter()
        store.enqueue([job], now_ms())  # type: ignore[list-item]
        return time.perf_counter() - began

    return once


# -- a worker without processes --------------------------------------------------------------


def a_worker(name: str, slots: int) -> Worker:
    """It is this process, and its lease is long enough for any benchmark."""
    now = now_ms()
    return Worker(name, "bench", os.getpid(), "", "", 0, 0, slots, (), now, now)


def ends(claims: list[Claim]) -> list[Finish]:
    """Every job that was claimed completes at once."""
    now = now_ms()
    outcome = Outcome(COMPLETED, now, now, 0.01, 0)
    return [
        Finish(c.token, c.seq, c.attempt, outcome, settle(c.attempts, c.policy, outcome))
        for c in claims
    ]


class _Turns:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._name = f"w{os.urandom(4).hex()}"
        self._turn = Turn(())
        store.register(a_worker(self._name, 8))

    def timed(self) -> float:
        """Seconds for one turn: finish what was claimed, claim as much."""
        finishes = ends(list(self._turn.claims))
        began = time.perf_counter()
        self._turn = self._store.turn(self._name, finishes, [], Want(8), now_ms())
        return time.perf_counter() - began

    def leave(self) -> None:
        """Finish the rest."""
        while self._turn.claims:
            self.timed()
        self._store.unregister(self._name)


def turns(url: str, batch: int, jobs: int) -> float:
    """Claims and finishes a second with this many of each a turn."""
    with open_store(url) as store:
        store.enqueue([shell_job("true", "/tmp")] * jobs, now_ms())
        return _work_off(store, batch)


def several(url: str, processes: int, batch: int, jobs: int) -> float:
    """Claims and finishes a second of several processes together."""
    with open_store(url) as store:
        store.enqueue([shell_job("true", "/tmp")] * (processes * jobs), now_ms())
    children = []
    began = time.perf_counter()
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            with open_store(url) as store:
                _work_off(store, batch)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return 2 * processes * jobs / (time.perf_counter() - began)


def _work_off(store: Store, batch: int) -> float:
    name = f"w{os.urandom(4).hex()}"
    store.register(a_worker(name, batch))
    finishes: list[Finish] = []
    done = 0
    began = time.perf_counter()
    while True:
        turn = store.turn(name, finishes, [], Want(batch), now_ms())
        done += len(finishes) + len(turn.claims)
        finishes = ends(list(turn.claims))
        if not finishes:
            break
    took = time.perf_counter() - began
    store.unregister(name)
    return done / took


def bulk(home: FleetHome, jobs: int) -> float:
    """Jobs a second into the store, in one batch."""
    batch = [shell_job("true", home.path)] * jobs
    with home.store() as store:
        began = time.perf_counter()
        store.enqueue(batch, now_ms())
        return jobs / (time.perf_counter() - began)


def drop_pending(server: PostgresServer, home: FleetHome) -> None:
    """Empty the queue."""
    server.run_sql(
        "TRUNCATE queuectl.jobs, queuectl.specs, queuectl.counts, queuectl.count_changes",
        home.database,
    )


def commits(url: str) -> float:
    """Commits of one row a second: what the disk allows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (n int)")
        began = time.perf_counter()
        for n in range(300):
            connection.execute("INSERT INTO bench_commits VALUES (%s)", (n,))
        return 300 / (time.perf_counter() - began)
