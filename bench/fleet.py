"""PostgreSQL with `synchronous_commit=on`, all on this machine: queuectl and its peers.

`fleet` works through the same shell jobs `true` as `drain`, from a server of its own (the
wheel's PostgreSQL 18). *steady* is from the start of the first run to the end of the last,
and figures of drains are xargs's time a job by theirs, interleaved. Procrastinate and
PgQueuer have databases on the same server, RQ a Redis that writes nothing to disk; each
runs two jobs at a time in two processes (RQ, which has no slots: four processes that don't
fork). PgQueuer holds to two at a time by its own limit; in the last row of them it claims
20 ahead and the job itself holds back the others, which its limit does not allow.

*Round trips* are counted by a proxy in between, *transactions* and *rows* by the server:
1,200 jobs less 200. *Pick-up* is counted as in `latency`. *A whole process of Python* is
`import psycopg`, one connection and one `SELECT 1`.

What bounds it: a drain keeps both cores busy, so only CPU counts. Of some 1,060 us a job its
own process takes 770, the engine 200, the server 50 (25 with warm caches; a turn costs 2 ms
whatever is in it, and holds some 100 jobs), and xargs 970 in all. The drain stands near its
goal, and goes from 0.88 to 0.92 with the minute. On this host the enqueue claims for a worker
that waits, and from its commit on the job only has to be read. From another host an idle
worker's turn takes 1.7 to 2.2 ms: 0.5 the fsync of the commit, the rest server and client
with cold caches; a bell, one prepared statement that claims the first row of a table of four
columns, and posix_spawn take 1.7 of a bare spawn in C and 1.85 in Python.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench import fleet_store
from bench.drain import TWO_OF_TWO, xargs
from bench.fleet_home import FleetHome, counting_proxy, postgres, use_of
from bench.fleet_peers import AHEAD, PEERS, Peers, PeersMissing, drains
from bench.home import QUEUECTL, shell_job
from bench.measure import Row, interleave, median, number, quantile, ratio, run, seconds
from queuectl.clock import now_ms
from queuectl.worker import doorbell
from queuectl.worker.doorbell import Bells

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.fleet_peers import Peer
    from postgres_server import PostgresServer
    from queuectl.store.base import Store

_JOBS = 5_000
_PEERS_JOBS = 500
_ROUNDS = 7
_PEERS_ROUNDS = 3
_FIRST_JOBS = 200
_PICK_UPS = 100
_WAYS = (TWO_OF_TWO, *(("--count", str(n)) for n in (1, 2, 4, 8)))


def run_all() -> list[Row]:
    """The rows."""
    with postgres() as server:
        return [
            *_drains(server),
            *_pick_up(server),
            *_enqueue(server),
            *fleet_store.alone(server),
            *_asked(server),
            *fleet_store.history(server),
        ]


# -- drains ----------------------------------------------------------------------------------


def _drains(server: PostgresServer) -> list[Row]:
    ways: dict[object, Callable[[], float]] = {
        way: lambda way=way: _drain(server, way) for way in _WAYS
    }
    taken: dict[object, list[float]] = {}
    bases: dict[object, list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="queuectl-bench-redis-") as folder:
        redis = None
        try:
            peers = Peers()
            redis, url = peers.redis(folder)
            others: dict[Peer, Callable[[], float]] = drains(peers, server, url, _PEERS_JOBS)
            about = peers.versions()
        except (PeersMissing, OSError) as error:
            others, about = {}, f"skipped, {error}"
        try:
            for number_of in range(_ROUNDS):
                base = xargs(["true"] * _JOBS).whole / _JOBS
                once = {**ways, **others} if number_of < _PEERS_ROUNDS else ways
                for way, drain in once.items():
                    taken.setdefault(way, []).append(drain())
                    bases.setdefault(way, []).append(base)
        finally:
            if redis is not None:
                redis.terminate()
                redis.wait()
    return _drain_rows(bases, taken) + _peer_rows(bases, taken, about)


def _drain(server: PostgresServer, options: tuple[str, ...]) -> float:
    """Seconds a job, steady."""
    with FleetHome(server) as home:
        home.enqueue(["true"] * _JOBS)
        home.queuectl("worker", "start", "--drain", *options)
        if home.ended() != _JOBS:
            raise RuntimeError("jobs were lost")
        return home.steady() / _JOBS


def _drain_rows(
    bases: dict[object, list[float]], taken: dict[object, list[float]]
) -> list[Row]:
    rows = []
    for way in _WAYS:
        each = f"xargs {seconds(bases[way])}, queuectl {seconds(taken[way])} a job"
        what = "two workers of two slots"
        if way != TWO_OF_TWO:
            what = f"  {way[1]} worker{'s' if way[1] != '1' else ''} of one slot"
        least = 0.9 if way == TWO_OF_TWO else None
        rows.append(ratio(what, bases[way], taken[way], least=least, beside=each))
    return rows


def _peer_rows(
    bases: dict[object, list[float]], taken: dict[object, list[float]], about: str
) -> list[Row]:
    if not all(peer in taken for peer in PEERS):
        return [Row(f"  peers: {about}", "-", "", "", None, "")]
    rows = [
        ratio(
            f"  {peer.name}", bases[peer], taken[peer], beside=f"{seconds(taken[peer])} a job"
        )
        for peer in (*PEERS, AHEAD)
    ]
    best = min(PEERS, key=lambda peer: median(taken[peer]))
    ours = taken[TWO_OF_TWO][:_PEERS_ROUNDS]
    what = f"two of two by the best peer ({best.name.partition(',')[0]})"
    return [*rows, ratio(what, taken[best], ours, least=3.0, beside=about)]


# -- one job at a time -----------------------------------------------------------------------


def _pick_up(server: PostgresServer) -> list[Row]:
    """A worker that waits, and the first words of a job."""
    bare, near, far = [], [], []
    with FleetHome(server) as home, home.workers(1), _stores(home) as (here, elsewhere):
        path = os.path.join(home.path, "fifo")
        os.mkfifo(path)
        fifo = os.open(path, os.O_RDWR)
        command = f"echo >{path}"
        job = shell_job(command, home.path)

        def alone() -> float:
            time.sleep(0.06)
            began = time.perf_counter()
            pid = os.posix_spawn("/bin/sh", ["sh", "-c", command], home.env)
            os.read(fifo, 1)
            taken = time.perf_counter() - began
            os.waitpid(pid, 0)
            return taken

        def picked_up(store: Store, call: Callable[[Bells], None]) -> float:
            time.sleep(0.06)
            bells = Bells(store.uid)  # as the CLI does
            store.enqueue([job], now_ms())
            began = time.perf_counter()
            call(bells)
            os.read(fifo, 1)
            return time.perf_counter() - began

        bare, near, far = interleave(
            _PICK_UPS,
            alone,
            lambda: picked_up(here, lambda bells: doorbell.call(here, bells)),
            lambda: picked_up(elsewhere, lambda _bells: elsewhere.announce()),
        )
        os.close(fifo)
    rows = []
    for what, found, goal in (("on this host", near, 2.0), ("from another host", far, None)):
        for share, most in ((0.5, goal), (0.95, None)):
            theirs, mine = quantile(bare, share), quantile(found, share)
            beside = f"posix_spawn {theirs * 1000:.2f} ms, queuectl {mine * 1000:.2f} ms"
            name = f"pick-up, {what}, p{share * 100:.0f}"
            rows.append(number(name, mine / theirs, most=most, beside=beside))
    return rows


@contextmanager
def _stores(home: FleetHome) -> Iterator[tuple[Store, Store]]:
    """One on the workers' host, and one that is as far from them as one on another."""
    with home.store() as here, tempfile.TemporaryDirectory() as folder:
        os.environ["QUEUECTL_HOME"] = folder
        try:
            with home.store() as elsewhere:
                yield here, elsewhere
        finally:
            os.environ["QUEUECTL_HOME"] = home.path


def _enqueue(server: PostgresServer) -> list[Row]:
    """The whole process, beside what nobody can do without."""
    with FleetHome(server) as home:
        home.queuectl("init-db")
        program = (
            "import psycopg;"
            f"c = psycopg.connect({home.db!r}, autocommit=True);"
            "c.execute('SELECT 1').fetchall()"
        )
        cpu: list[list[float]] = [[], []]

        def timed(number_of: int, *words: str) -> float:
            cost = run(words, env=home.env)
            cpu[number_of].append(cost.cpu)
            return cost.wall

        bare, ours = interleave(
            20,
            lambda: timed(0, sys.executable, "-c", program),
            lambda: timed(1, QUEUECTL, "enqueue", "true"),
        )
    beside = f"psycopg {seconds(bare)}, this {seconds(ours)}"
    beside += f"; by CPU {median(cpu[1]) / median(cpu[0]):.2f}"
    return [
        ratio("`queuectl enqueue` by a whole process", ours, bare, most=1.15, beside=beside)
    ]


# -- what is asked of the database -----------------------------------------------------------


def _asked(server: PostgresServer) -> list[Row]:
    """Round trips, transactions, rows and log a job, ours and of the peers on PostgreSQL."""

    def ours(url: str, jobs: int) -> None:
        with FleetHome(server) as home:
            home.env["QUEUECTL_DB"] = url
            home.enqueue(["true"] * jobs)
            home.queuectl("worker", "start", "--drain", *TWO_OF_TWO)

    found = {"queuectl": _use_a_job(server, ours)}
    try:
        peers = Peers()
        for peer in PEERS:
            if peer.script != "rq":
                found[peer.name.partition(",")[0]] = _use_a_job(
                    server, lambda url, jobs, peer=peer: peers.drain(peer, url, jobs)
                )
    except PeersMissing:
        pass
    return [
        number(
            f"round trips a job, {name}",
            trips,
            beside=f"{transactions:.2f} transactions, {rows:.1f} rows written,"
            f" {log / 1024:.1f} KiB of log",
        )
        for name, (trips, transactions, rows, log) in found.items()
    ]


def _use_a_job(
    server: PostgresServer, drain: Callable[[str, int], object]
) -> tuple[float, float, float, float]:
    """Enqueue in bulk included."""
    found = []
    with counting_proxy(server) as proxy:
        for jobs in (_FIRST_JOBS, _FIRST_JOBS + _JOBS // 2):
            database = server.new_database()
            url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"
            before, trips = use_of(server, database), proxy.trips
            drain(url, jobs)
            found.append((proxy.trips - trips, *use_of(server, database).since(before)))
            server.drop_database(database)
    few, many = found
    less = zip(few, many, strict=True)
    trips, transactions, rows, log = ((b - a) / (_JOBS // 2) for a, b in less)
    return trips, transactions, rows, log
