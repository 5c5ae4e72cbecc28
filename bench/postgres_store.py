"""What the PostgreSQL store does alone: turns, bulk enqueue, round trips.

`python bench/postgres_store.py [URL]`; without a URL it starts a server of its own, with
`fsync` and `synchronous_commit` on. Beside each figure stands what the machine's disk
allows: commits a second of a row of one column.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "tests"))

import psycopg

from postgres_server import PostgresServer
from queuectl.clock import now_ms
from queuectl.model import COMPLETED, Finish, NewJob, Outcome, Turn, Want, Worker
from queuectl.retry import RetryPolicy
from queuectl.store import open_store
from queuectl.transitions import settle
from tcp_proxy import tcp_proxy

POLICY = RetryPolicy(3, 2, 3600, 0)
ENV = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}


def a_job() -> NewJob:
    return NewJob(
        command="echo hello world",
        policy=POLICY,
        timeout_seconds=300,
        cwd="/home/ann/project",
        created_by="ann@here",
        captured=ENV,
    )


def a_worker(name: str) -> Worker:
    return Worker(name, "bench", os.getpid(), "boot", "pid:[1]", 1, 1, 16, (), 1, 1)


def ends(turn: Turn) -> list[Finish]:
    now = now_ms()
    found = []
    for claim in turn.claims:
        outcome = Outcome(COMPLETED, now, now, 0.01, 0)
        verdict = settle(claim.attempts, claim.policy, outcome)
        found.append(Finish(claim.token, claim.seq, claim.attempt, outcome, verdict))
    return found


def turns(url: str, batch: int, jobs: int) -> tuple[float, float]:
    """Claims and finishes a second with this many of each a turn, and seconds a turn."""
    with open_store(url) as store:
        store.enqueue([a_job() for _ in range(jobs)], now_ms())
        name = f"w{os.urandom(4).hex()}"
        store.register(a_worker(name))
        finishes: list[Finish] = []
        done = count = 0
        began = time.perf_counter()
        while True:
            turn = store.turn(name, finishes, [], Want(batch), now_ms())
            count += 1
            done += len(finishes) + len(turn.claims)
            finishes = ends(turn)
            if not finishes:
                break
        took = time.perf_counter() - began
        store.unregister(name)
        return done / took, took / count


def several(url: str, processes: int, batch: int, jobs: int) -> float:
    """Claims and finishes a second of several processes together."""
    with open_store(url) as store:
        store.enqueue([a_job() for _ in range(processes * jobs)], now_ms())
    children = []
    began = time.perf_counter()
    for _ in range(processes):
        child = os.fork()
        if child == 0:
            with open_store(url) as store:
                name = f"w{os.urandom(4).hex()}"
                store.register(a_worker(name))
                finishes: list[Finish] = []
                while True:
                    turn = store.turn(name, finishes, [], Want(batch), now_ms())
                    finishes = ends(turn)
                    if not finishes:
                        break
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return 2 * processes * jobs / (time.perf_counter() - began)


def bulk(url: str, jobs: int) -> float:
    """Jobs a second into the store, in one batch."""
    batch = [a_job() for _ in range(jobs)]
    with open_store(url) as store:
        began = time.perf_counter()
        store.enqueue(batch, now_ms())
        return jobs / (time.perf_counter() - began)


def one_by_one(url: str, jobs: int) -> float:
    with open_store(url) as store:
        began = time.perf_counter()
        for _ in range(jobs):
            store.enqueue([a_job()], now_ms())
        return jobs / (time.perf_counter() - began)


def commits(url: str) -> float:
    """Commits of one row a second: what the disk allows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bench_commits (n int)")
        began = time.perf_counter()
        for n in range(500):
            connection.execute("INSERT INTO bench_commits VALUES (%s)", (n,))
        took = time.perf_counter() - began
        connection.execute("DROP TABLE bench_commits")
        return 500 / took


def round_trips(port: int, database: str) -> dict[str, float]:
    """Round trips of single operations: what they take over a slow line, by its delay."""
    with (
        tcp_proxy(port) as proxy,
        open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}") as store,
    ):
        store.register(a_worker("counted"))
        store.enqueue([a_job() for _ in range(100)], now_ms())
        turn = store.turn("counted", [], [], Want(16), now_ms())

        def count(operation: Callable[[], object]) -> float:
            proxy.delay = 0.1
            began = time.perf_counter()
            operation()
            took = time.perf_counter() - began
            proxy.delay = 0.0
            return took / 0.2

        return {
            "turn, 16 finishes and 16 claims": count(
                lambda: store.turn("counted", ends(turn), [], Want(16), now_ms())
            ),
            "turn, 16 claims": count(lambda: store.turn("counted", [], [], Want(16), now_ms())),
            "turn with nothing to do": count(
                lambda: store.turn("counted", [], [], Want(0), now_ms())
            ),
            "enqueue": count(lambda: store.enqueue([a_job()], now_ms())),
            "heartbeat": count(lambda: store.heartbeat("counted", now_ms())),
            "change_mark": count(store.change_mark),
        }


def main() -> None:
    os.environ["QUEUECTL_HOME"] = tempfile.mkdtemp(prefix="qbench")
    server = None
    if len(sys.argv) > 1:
        url = sys.argv[1]
    else:
        server = PostgresServer(
            fsync="on",
            full_page_writes="on",
            autovacuum_naptime="10s",
            shared_buffers="512MB",
            max_wal_size="4GB",
        )
        url = server.url(server.new_database())
    try:
        disk = commits(url)
        print(f"{'commits of one row':36}{disk:10,.0f} /s")
        if server is not None:
            for operation, n in round_trips(server.port, url.rpartition("/")[2]).items():
                print(f"{operation:36}{n:10.2f} round trips")
        for batch in (1, 16, 64):
            rate, each = turns(url, batch, 300 * batch)
            print(
                f"claims + finishes, turns of {batch:<9}{rate:10,.0f} /s"
                f"   {each * 1000:.2f} ms a turn = {each * disk:.2f} commits"
            )
        for processes in (2, 4):
            rate = several(url, processes, 16, 4000)
            print(f"the same, turns of 16, {processes} processes  {rate:10,.0f} /s")
        for _ in range(3):
            print(f"{'bulk enqueue of 100,000':36}{bulk(url, 100_000):10,.0f} jobs/s")
        rate = one_by_one(url, 500)
        print(f"{'enqueue one by one':36}{rate:10,.0f} jobs/s = {rate / disk:.2f} of the disk")
    finally:
        if server is not None:
            server.remove()


if __name__ == "__main__":
    main()
