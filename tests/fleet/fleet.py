"""An arena on PostgreSQL: several hosts on one machine, each with a home of its own and its
own way to the server, which can be cut, stalled or slow."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

from faults.arena import Arena, until
from faults.processes import HERE, Host
from postgres_server import PostgresServer, shared_server
from queuectl.model import Filter, Job, Worker
from queuectl.store import open_store
from queuectl.store.base import Store
from tcp_proxy import TcpProxy

LEASE = 3.0
"""The least that the configuration takes."""


class Fleet(Arena):
    """Closed, it leaves no process, file, proxy or database."""

    def __init__(self, server: PostgresServer | None = None, **settings: str) -> None:
        self.server = server or shared_server()
        self.database = self.server.clean_database()
        self.proxies: dict[str, TcpProxy] = {}
        self.hosts: dict[str, Host] = {}
        self._opened: Store | None = None
        super().__init__(**settings)

    def _new_url(self) -> str:
        return self.server.url(self.database) + "?application_name=arena"

    def host(self, name: str, delay: float = 0.0) -> Host:
        """A host that reaches the server through a proxy."""
        proxy = TcpProxy(self.server.port, delay)
        self.proxies[name] = proxy
        return self.host_at(
            name, f"postgresql://postgres@127.0.0.1:{proxy.port}/{self.database}"
        )

    def host_at(self, name: str, url: str, way: tuple[str, ...] = ()) -> Host:
        """A host that knows the server by this URL."""
        bells = os.path.join(self.folder, f"bells-{name}")
        os.mkdir(bells, 0o700)
        env = {
            "ARENA_HOST": name,
            "QUEUECTL_DB": url,
            "QUEUECTL_HOME": os.path.join(self.folder, f"home-{name}"),
            "QUEUECTL_RUNTIME_DIR": bells,
        }
        self.hosts[name] = Host(name, env, way)
        return self.hosts[name]

    @contextlib.contextmanager
    def store(self) -> Iterator[Store]:
        """One connection for all that the test asks, past every proxy."""
        if self._opened is None:
            self._opened = open_store(self.url)
        self._opened.change_mark()  # so that one that was lost is known to be
        yield self._opened

    # -- what there is to see ----------------------------------------------------------

    def job(self, job_id: str) -> Job:
        with self.store() as store:
            return store.get(job_id)

    def outcomes(self, job_id: str) -> list[str]:
        with self.store() as store:
            return [attempt.outcome for attempt in store.history(job_id)]

    def workers(self, host: str) -> list[Worker]:
        """The registered workers whose processes run, or ran last, on this host."""
        pids = self.pids("worker", host=host)
        with self.store() as store:
            return [worker for worker in store.workers() if worker.pid in pids]

    def runs_on(self, job_id: str) -> list[tuple[str, str]]:
        """The (token, host) of each start of the job."""
        return [(line[2], line[6]) for line in self.lines() if line[:2] == ["start", job_id]]

    def ask(
        self, *words: str, host: Host = HERE, typed: str = "", timeout: float = 60
    ) -> tuple[int, str, str]:
        """Run `queuectl …`: its exit code and what it said."""
        done = subprocess.run(
            self.command(*words, host=host), env=self.env | host.env, capture_output=True,
            timeout=timeout, check=False, input=typed, text=True,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def ask_json(self, *words: str, host: Host = HERE) -> Any:
        code, out, err = self.ask(*words, "--json", host=host)
        assert code == 0, err
        return json.loads(out)

    def said(self) -> str:
        """What all processes said."""
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def lease_left(self, worker_id: str) -> float:
        """Seconds until the worker's lease ends; less than 0 when it has ended or is given
        up."""
        rows = self.query(
            "SELECT id, extract(epoch FROM lease_until - clock_timestamp())"
            " FROM queuectl.workers"
        )
        return float(str(dict(rows).get(worker_id, -1)))

    def serves(self, name: str) -> bool:
        """Whether this host has a worker that lives and is heard of."""
        return any(worker.alive for worker in self.workers(name))

    def heal(self, name: str) -> None:
        """All that was done to the host's way to the server is over."""
        proxy = self.proxies[name]
        proxy.refuse = proxy.muted = proxy.stalled = False
        proxy.delay = 0.0

    def end_connections(self, some: str = "true") -> int:
        """End those of hosts that a condition holds for, as the server's people may; how
        many there were."""
        return len(
            self.query(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"  # noqa: S608
                " WHERE backend_type = 'client backend' AND application_name = 'queuectl'"
                f" AND datname = current_database() AND {some}"
            )
        )

    # -- the store, through the server's own eyes ----------------------------------------

    def query(self, statement: str) -> list[tuple[object, ...]]:
        return self.server.run_sql(statement, self.database)

    def waiting(self) -> int:
        with self.store() as store:
            counts = store.stats().counts
        return counts["pending"] + counts["processing"] + counts["failed"]

    def ids(self) -> list[str]:
        return [str(row[0]) for row in self.query("SELECT id FROM queuectl.jobs")]

    def living(self) -> list[str]:
        with self.store() as store:
            jobs = store.list_jobs(Filter(states=("pending", "processing", "failed")))
        return [job.id for job in jobs]

    def registered(self) -> list[str]:
        return [str(row[0]) for row in self.query("SELECT id FROM queuectl.workers")]

    def damage(self) -> list[str]:
        return []

    def ended(self) -> Callable[[int], bool]:
        # The runs of the history; a number may be given to a claim long before its commit.
        over = {row[0] for row in self.query("SELECT token FROM queuectl.attempts")}
        return lambda token: token in over

    # -- the end -----------------------------------------------------------------------

    def all_ended(self) -> bool:
        return not self.waiting()

    def drain(self, seconds: float = 60) -> bool:
        self.set_faults(clock=7200)
        for name in self.proxies:
            self.heal(name)
        self.signal(signal.SIGCONT, [process.pid for process in self.processes()])
        # Supervisors whose workers died often wait long before the next.
        fresh = self.host("fresh")
        self.start_tree(host=fresh)

        def over() -> bool:
            self.reap()
            for name, host in self.hosts.items():
                if not self.pids("supervisor", host=name):
                    self.start_tree(host=host)
            return self.all_ended()

        return until(over, seconds, 0.1)

    def places(self) -> list[str]:
        return [
            place
            for host in self.hosts.values()
            for place in (
                os.path.join(host.env["QUEUECTL_HOME"], "workers"),
                host.env["QUEUECTL_RUNTIME_DIR"],
            )
        ]

    def keep(self, folder: str) -> None:
        super().keep(folder)
        for table in ("jobs", "attempts", "workers"):
            with open(os.path.join(folder, table), "w", encoding="utf-8") as file:
                file.writelines(f"{row}\n" for row in self.query(f"TABLE queuectl.{table}"))

    def stop_all(self, seconds: float = 30) -> bool:
        def gone() -> bool:
            for host in self.hosts.values():
                self.run("worker", "stop", host=host)
            return until(lambda: not self.processes(), 2)

        return until(gone, seconds)

    def close(self) -> None:
        super().close()
        if self._opened is not None:
            self._opened.close()
        for proxy in self.proxies.values():
            proxy.close()
        self.server.give_back(self.database)


def figures(**measured: object) -> None:
    """For whoever runs this by hand (pytest -s)."""
    for what, value in measured.items():
        shown = f"{value:.2f} s" if isinstance(value, float) else value
        print(f"\n  {what.replace('_', ' ')}: {shown}", end="")
