"""Chaos on PostgreSQL: two hosts, each with its own way to a server that comes and goes.

A host that stood still, jobs and guard and all, has a second after it thaws (see
docs/guarantees.md).
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import psycopg

from fleet.fleet import Fleet
from postgres_server import PostgresServer
from queuectl.errors import StoreError

from .arena import Arena, until
from .chaos import POINTS, Round
from .jobs import Spec

_HOSTS = ("a", "b")
_EVERYTHING = ("supervisor", "worker", "guard", "job")
_RESIDUE = 1.0


@contextlib.contextmanager
def chaos_server() -> Iterator[PostgresServer]:
    """One that nobody else uses, for it is stopped and started."""
    server = PostgresServer()
    try:
        yield server
    finally:
        server.remove()


class FleetRound(Round):
    """One fleet and what is done to it."""

    troubles = (StoreError, psycopg.Error, OSError)
    table: ClassVar[dict[str, tuple[int, Callable[[Any], bool]]]]

    def __init__(
        self, server: PostgresServer, seed: int, seconds: float, *, longest_lock: float = 4.0
    ) -> None:
        super().__init__(seed, seconds, longest_lock=min(longest_lock, 20))
        self._server = server
        self._down: set[str] = set()
        self._still: dict[int, tuple[float, float]] = {}
        """Processes of hosts that stood still: from when, until when."""

    def _new_arena(self) -> Arena:
        self.fleet = Fleet(self._server)
        for name in _HOSTS:
            self.fleet.host(name)
        return self.fleet

    def frozen(self, pid: int, at: float) -> bool:
        since, until = self._still.get(pid, (0.0, 0.0))
        return since <= at <= until + _RESIDUE

    # -- what goes on all the time -------------------------------------------------------

    def _in_trouble(self) -> bool:
        return bool(self._windows)

    def _batch(self) -> list[Spec]:
        """With some that outlast a lease, for which a fence makes a difference."""
        batch = super()._batch()
        long = Spec(f"b{self._batches}-long", "nap 5", self.luck.choice((1, 3)), 20)
        return [*batch, long]

    def _keep_trees(self) -> None:
        for name in _HOSTS:
            if name in self._down or self.fleet.pids("supervisor", host=name):
                continue
            fault = ""
            if self.luck.random() < 0.3:
                fault = f"{self.luck.choice(POINTS)}:{self.luck.randint(1, 30)}"
                self.faults["kill at a point"] += 1
            sizes = self.luck.choice((1, 2)), self.luck.choice((1, 2, 4))
            self.fleet.start_tree(*sizes, fault=fault, host=self.fleet.hosts[name])

    # -- hosts -----------------------------------------------------------------------------

    def crash_host(self) -> bool:
        """Everything on a host ends at once; now and then it stays away for long."""
        name = self.luck.choice(_HOSTS)
        pids = self.fleet.pids(*_EVERYTHING, host=name)

        def is_empty() -> bool:
            left = self.fleet.pids(*_EVERYTHING, host=name)
            self.fleet.signal(signal.SIGKILL, left)
            self.fleet.reap()
            return not left

        assert until(is_empty, step=0.005)
        if self.luck.random() < 0.5:
            self._down.add(name)
            self._window("crash host", self.luck.uniform(3, 7), self._down.clear)
        return bool(pids)

    def kill_enqueue(self) -> bool:
        batch = self._batch()
        if self.fleet.enqueue(batch, timeout=self.luck.uniform(0.1, 0.6)) == 0:
            self.accepted += batch
        else:
            self._unsure.append(batch)
        return True

    def freeze_host(self) -> bool:
        name = self.luck.choice(_HOSTS)
        began = _since_boot()
        pids: list[int] = []
        while True:  # what was started while we looked, too
            found = self.fleet.pids(*_EVERYTHING, host=name)
            if not (new := [pid for pid in found if pid not in pids]):
                break
            self.fleet.signal(signal.SIGSTOP, new)
            pids += new
        self._still |= {pid: (began, float("inf")) for pid in pids}

        def thaw() -> None:
            self._thaw(pids)
            for pid in pids:
                self._still[pid] = (began, _since_boot())

        if pids:
            self._window("freeze host", self.luck.uniform(1, 7), thaw)
        return bool(pids)

    # -- the network and the server --------------------------------------------------------

    def cut(self) -> bool:
        proxy, heal = self._way("cut", 5)
        proxy.refuse = True
        proxy.cut()
        return heal

    def reset(self) -> bool:
        self.luck.choice(list(self.fleet.proxies.values())).cut()
        return True

    def stall(self) -> bool:
        proxy, heal = self._way("stall", 6)
        proxy.stalled = True
        return heal

    def mute(self) -> bool:
        proxy, heal = self._way("mute", 5)
        proxy.muted = True
        return heal

    def slow(self) -> bool:
        proxy, heal = self._way("slow", 4)
        proxy.delay = self.luck.choice((0.02, 0.1, 0.2))
        return heal

    def _way(self, what: str, most: float) -> tuple[Any, bool]:
        name = self.luck.choice(_HOSTS)
        self._window(what, self.luck.uniform(0.3, most), lambda: self.fleet.heal(name))
        return self.fleet.proxies[name], True

    def terminate(self) -> bool:
        self.fleet.end_connections(self.luck.choice(("true", "random() < 0.3")))
        return True

    def restart(self) -> bool:
        if "server away" in self._windows:
            return False
        self._server.stop(self.luck.choice((signal.SIGINT, signal.SIGQUIT)))
        self._server.start()
        return True

    def away(self) -> bool:
        self._server.stop(signal.SIGQUIT)
        self._window("server away", self.luck.uniform(0.5, 3), self._server.start)
        return True

    def lock(self) -> bool:
        table = self.luck.choice(("jobs", "workers"))
        try:
            connection = psycopg.connect(self._server.url(self.fleet.database))
            connection.execute("SET lock_timeout = '2s'")
            connection.execute(f"LOCK TABLE queuectl.{table} IN EXCLUSIVE MODE")
        except psycopg.Error:
            return False
        self._window("lock", self.luck.uniform(0.5, self._longest_lock), connection.close)
        return True


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


FleetRound.table = {
    "kill worker": (5, FleetRound.kill_worker),
    "kill supervisor": (2, FleetRound.kill_supervisor),
    "kill both": (2, FleetRound.kill_both),
    "crash host": (2, FleetRound.crash_host),
    "kill enqueue": (2, FleetRound.kill_enqueue),
    "TERM": (2, FleetRound.term),
    "worker stop": (2, FleetRound.stop_command),
    "cancel": (3, FleetRound.cancel),
    "freeze worker": (3, FleetRound.freeze_worker),
    "freeze tree": (2, FleetRound.freeze_tree),
    "freeze host": (2, FleetRound.freeze_host),
    "freeze job": (2, FleetRound.freeze_job),
    "clock": (2, FleetRound.clock),
    "lock": (2, FleetRound.lock),
    "cut": (3, FleetRound.cut),
    "reset": (2, FleetRound.reset),
    "stall": (3, FleetRound.stall),
    "mute": (3, FleetRound.mute),
    "slow": (2, FleetRound.slow),
    "terminate": (3, FleetRound.terminate),
    "restart": (1, FleetRound.restart),
    "server away": (1, FleetRound.away),
}
