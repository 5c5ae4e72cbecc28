"""`python -m faults.chaos --minutes N --seed S`: faults at random while jobs flow.

Rounds of a minute or so, each in an arena of its own: jobs are enqueued, faults strike,
alone and together; then they stop, everything drains, and the checker has its say. The
seed decides what is done; when it strikes home is up to the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, ClassVar

import apsw

from .arena import Arena, can_mount
from .checker import check, check_nothing_left, check_now
from .jobs import Spec, some_jobs

POINTS = (
    "start.noted",
    "start.spawned",
    "run.over",
    "turn.asked",
    "turn.done",
    "turn.known",
    "rescue.ended",
    "rescue.settled",
    "worker.registered",
    "worker.leaving",
)
"""The named points of a worker's life (`reach` in queuectl.worker)."""

_MOST_WAITING = 120


class Round:
    """One arena and what is done to it."""

    table: ClassVar[dict[str, tuple[int, Callable[[Any], bool]]]]
    """The faults: how often each is tried, relative to the others, and what it does."""

    troubles: tuple[type[Exception], ...] = (apsw.Error,)
    """What the arena's own looks at the store may meet: a full disk is one for us too."""

    def __init__(self, seed: int, seconds: float, *, longest_lock: float = 4.0) -> None:
        self.luck = random.Random(seed)
        self.faults: Counter[str] = Counter()
        self.violations: list[str] = []
        self.accepted: list[Spec] = []
        self.jobs = self.runs = 0
        self._small = can_mount() and self.luck.random() < 0.5
        self._seconds = seconds
        self._longest_lock = longest_lock
        self._windows: dict[str, tuple[float, Callable[[], None]]] = {}
        self._disk: dict[str, int] = {}
        self._clock = 0.0
        self._batches = 0
        self._unsure: list[list[Spec]] = []
        self._stopped: set[int] = set()

    def run(self) -> None:
        """Fight, drain, check."""
        with self._new_arena() as arena:
            self.arena = arena
            self._fight()
            for _until, end in self._windows.values():
                end()
            if not arena.drain(90):
                self.violations.append("not everything ended in time")
            self.violations += check_now(arena, self.frozen)
            if not arena.stop_all():
                self.violations.append("the workers did not go")
                self.violations += [f"  {process}" for process in arena.processes()]
            self.violations += check(arena, self.accepted, frozen=self.frozen)
            self.violations += check_nothing_left(arena)
            self._check_all_or_nothing()
            self.jobs = len(arena.ids())
            self.runs = sum(line[0] == "start" for line in arena.lines())
            if self.violations:
                self._keep_evidence()

    def _new_arena(self) -> Arena:
        return Arena(small_disk=24 if self._small else 0)

    def frozen(self, _pid: int, _at: float) -> bool:
        """Whether the process stood still then, and nobody is to blame for it."""
        return False

    def _fight(self) -> None:
        ends = time.monotonic() + self._seconds
        strike_at = 0.0
        while (now := time.monotonic()) < ends:
            self.arena.reap()
            self._end_windows(now)
            self._keep_trees()
            with contextlib.suppress(*self.troubles):
                self._feed()
                self.violations += check_now(self.arena, self.frozen)
            if now >= strike_at:
                for _ in range(self.luck.choice((1, 1, 2, 3))):
                    with contextlib.suppress(*self.troubles):
                        self._strike()
                strike_at = now + self.luck.uniform(0.1, 1.5)
            time.sleep(self.luck.uniform(0.02, 0.2))

    def _note(self, text: str) -> None:
        with open(os.path.join(self.arena.folder, "events"), "a", encoding="utf-8") as file:
            file.write(f"{time.clock_gettime(time.CLOCK_BOOTTIME):.2f} {text}\n")

    def _check_all_or_nothing(self) -> None:
        there = set(self.arena.ids())
        for batch in self._unsure:
            found = sum(spec.id in there for spec in batch)
            if found not in (0, len(batch)):
                self.violations.append(f"{found} of {len(batch)} jobs of one enqueue")

    def _keep_evidence(self) -> None:
        folder = tempfile.mkdtemp(prefix="chaos-evidence-")
        self.arena.keep(folder)
        self.violations.append(f"evidence: {folder}")

    # -- what goes on all the time -------------------------------------------------------

    def _feed(self) -> None:
        if self.arena.waiting() > _MOST_WAITING or self.luck.random() < 0.5:
            return
        batch = self._batch()
        if self._in_trouble():
            self._enqueue_aside(batch)
        elif self.arena.enqueue(batch) == 0:
            self.accepted += batch
        else:
            self._unsure.append(batch)
        self._note("enqueued")

    def _in_trouble(self) -> bool:
        return "lock" in self._windows or bool(self._disk)

    def _batch(self) -> list[Spec]:
        self._batches += 1
        return some_jobs(self.luck, f"b{self._batches}", self.luck.choice((1, 5, 20)))

    def _enqueue_aside(self, batch: list[Spec]) -> None:
        """One that may have to wait long: given up after a second."""
        if self.arena.enqueue(batch, timeout=1) == 0:
            self.accepted += batch
        else:
            self._unsure.append(batch)

    def _keep_trees(self) -> None:
        if not self.arena.pids("supervisor"):
            fault = ""
            if self.luck.random() < 0.4:
                fault = f"{self.luck.choice(POINTS)}:{self.luck.randint(1, 30)}"
                self.faults["kill at a point"] += 1
            self.arena.start_tree(
                self.luck.choice((1, 2, 3)), self.luck.choice((1, 2, 4)), fault=fault
            )

    def _end_windows(self, now: float) -> None:
        for name, (until, end) in list(self._windows.items()):
            if now >= until:
                del self._windows[name]
                end()
                self._note(f"end of {name}")

    def _window(self, name: str, seconds: float, end: Callable[[], None]) -> None:
        self._windows[name] = (time.monotonic() + seconds, end)
        self._note(f"{name} for {seconds:.1f} s")

    # -- faults --------------------------------------------------------------------------

    def _strike(self) -> None:
        names = list(self.table)
        (name,) = self.luck.choices(names, [self.table[n][0] for n in names])
        if name not in self._windows and self.table[name][1](self):
            self.faults[name] += 1
            self._note(name)

    def _one(self, kind: str) -> list[int]:
        pids = self.arena.pids(kind)
        return [self.luck.choice(pids)] if pids else []

    def kill_worker(self) -> bool:
        pids = self._one("worker")
        self.arena.signal(signal.SIGKILL, pids)
        return bool(pids)

    def kill_supervisor(self) -> bool:
        pids = self._one("supervisor")
        self.arena.signal(signal.SIGKILL, pids)
        return bool(pids)

    def kill_both(self) -> bool:
        pids = self.arena.pids("supervisor", "worker")
        self.luck.shuffle(pids)
        self.arena.signal(signal.SIGKILL, pids)
        return bool(pids)

    def kill_enqueue(self) -> bool:
        batch = self._batch()
        die = self.luck.randint(1, 12)
        if self.arena.enqueue(batch, die=die) == 0:
            self.accepted += batch
        else:
            self._unsure.append(batch)
        return True

    def reboot(self) -> bool:
        self._thaw()
        self.arena.reboot()
        return True

    def term(self) -> bool:
        pids = self._one(self.luck.choice(("supervisor", "supervisor", "worker")))
        number = self.luck.choice((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
        self.arena.signal(number, pids)
        return bool(pids)

    def stop_command(self) -> bool:
        words = self.luck.choice(([], ["--now"], ["--timeout", "0.5"]))
        child = self.arena.start("worker", "stop", *words)
        assert child.stdin is not None
        child.stdin.close()
        return True

    def cancel(self) -> bool:
        ids = self.arena.living()
        if ids:
            chosen = self.luck.sample(ids, min(3, len(ids)))
            child = self.arena.start("cancel", *chosen)
            assert child.stdin is not None
            child.stdin.close()
        return bool(ids)

    def freeze_worker(self) -> bool:
        pids = self._one("worker")
        self.arena.signal(signal.SIGSTOP, pids)
        self._window("freeze worker", self.luck.uniform(0.5, 6), lambda: self._thaw(pids))
        return bool(pids)

    def freeze_tree(self) -> bool:
        kinds = ["supervisor", "worker"] + (["job"] if self.luck.random() < 0.5 else [])
        pids = self.arena.pids(*kinds)
        self.luck.shuffle(pids)
        self.arena.signal(signal.SIGSTOP, pids)
        self._window("freeze tree", self.luck.uniform(1, 5), lambda: self._thaw(pids))
        return bool(pids)

    def freeze_job(self) -> bool:
        pids = self._one("job")
        self.arena.signal(signal.SIGSTOP, pids)
        self._window("freeze job", self.luck.uniform(0.5, 5), lambda: self._thaw(pids))
        return bool(pids)

    def _thaw(self, pids: list[int] | None = None) -> None:
        here = [process.pid for process in self.arena.processes()]
        chosen = [pid for pid in here if pids is None or pid in pids]
        self.luck.shuffle(chosen)
        self.arena.signal(signal.SIGCONT, chosen)

    def disk_full(self) -> bool:
        if not self._small:
            return self._disk_fault("disk full", "full", 10_000)
        ballast = os.path.join(self.arena.disk, "ballast")
        with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass
        self._window("disk full", self.luck.uniform(0.5, 4), lambda: os.unlink(ballast))
        return True

    def io_errors(self) -> bool:
        return self._disk_fault("I/O errors", "error", self.luck.choice((30, 300, 3000)))

    def lost_replies(self) -> bool:
        return self._disk_fault("lost replies", "lost", self.luck.choice((1000, 5000)))

    def _disk_fault(self, name: str, kind: str, odds: int) -> bool:
        self._disk[kind] = odds
        self._apply()

        def end() -> None:
            del self._disk[kind]
            self._apply()

        self._window(name, self.luck.uniform(0.5, 3), end)
        return True

    def clock(self) -> bool:
        self._clock = self.luck.choice((3600.0, -3600.0))
        self._apply()

        def end() -> None:
            self._clock = 0.0
            self._apply()

        self._window("clock", self.luck.uniform(0.5, 4), end)
        return True

    def _apply(self) -> None:
        self.arena.set_faults(clock=self._clock, **self._disk)

    def lock(self) -> bool:
        connection = apsw.Connection(self.arena.url)
        connection.set_busy_timeout(2000)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except apsw.Error:  # held already, or the disk is full
            connection.close()
            return False
        self._window("lock", self.luck.uniform(0.5, self._longest_lock), connection.close)
        return True


Round.table = {
    "kill worker": (6, Round.kill_worker),
    "kill supervisor": (2, Round.kill_supervisor),
    "kill both": (2, Round.kill_both),
    "kill enqueue": (2, Round.kill_enqueue),
    "reboot": (1, Round.reboot),
    "TERM": (2, Round.term),
    "worker stop": (2, Round.stop_command),
    "cancel": (3, Round.cancel),
    "freeze worker": (3, Round.freeze_worker),
    "freeze tree": (2, Round.freeze_tree),
    "freeze job": (2, Round.freeze_job),
    "disk full": (2, Round.disk_full),
    "I/O errors": (2, Round.io_errors),
    "lost replies": (2, Round.lost_replies),
    "clock": (2, Round.clock),
    "lock": (2, Round.lock),
}


def main(argv: list[str]) -> int:
    """Rounds until the time is over; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="tests.faults.chaos")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--round", type=float, default=45, help="seconds of faults a round")
    args = parser.parse_args(argv)
    if args.backend == "sqlite":
        return fight_on(args, Round)
    from .chaos_postgres import FleetRound, chaos_server

    with chaos_server() as server:
        return fight_on(args, functools.partial(FleetRound, server))


def fight_on(args: argparse.Namespace, new_round: Callable[..., Round]) -> int:
    """Round after round; the exit code."""
    faults: Counter[str] = Counter()
    violations: list[str] = []
    jobs = runs = rounds = 0
    began = time.monotonic()
    while time.monotonic() < began + args.minutes * 60:
        seed = args.seed * 1000 + rounds
        fight = new_round(seed, args.round, longest_lock=60 if rounds % 8 == 7 else 5)
        fight.run()
        rounds += 1
        jobs += fight.jobs
        runs += fight.runs
        faults += fight.faults
        violations += [f"round seed {seed}: {text}" for text in fight.violations]
        for text in fight.violations:
            print(f"VIOLATION (round seed {seed}): {text}", flush=True)
        print(
            f"round {rounds}: {fight.jobs} jobs, {fight.runs} runs,"
            f" {fight.faults.total()} faults, {len(fight.violations)} violations",
            flush=True,
        )
    minutes = (time.monotonic() - began) / 60
    print(f"\n{args.backend}, {minutes:.1f} minutes, seed {args.seed}, {rounds} rounds")
    print(f"{jobs} jobs, {runs} runs, {faults.total()} faults, {len(violations)} violations")
    for name, count in sorted(faults.items()):
        print(f"  {count:5} {name}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
