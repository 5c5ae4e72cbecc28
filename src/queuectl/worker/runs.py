"""The runs of a worker: its slots, and the processes in them."""

from __future__ import annotations

import os
import signal
from collections import deque
from heapq import heappop, heappush

from queuectl import host
from queuectl.model import CANCELLED, RELEASED, STDERR
from queuectl.worker import jobenv, process
from queuectl.worker.census import Census
from queuectl.worker.faultpoints import reach
from queuectl.worker.pace import WATCH_AFTER, Pace
from queuectl.worker.run import NEVER, Run, failed_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from selectors import BaseSelector

    from queuectl.config import Config
    from queuectl.model import Claim, Outcome, OutputPart
    from queuectl.worker.report import Report
    from queuectl.worker.slots import SlotFile


class Runs:
    """Starts what was claimed, sees it end, and notes both in the slot file.

    `on_end(claim, outcome, output)` hears how each run ended, `on_output(part)` what a long
    one has printed. `len` is the number of runs. Times are monotonic seconds.
    """

    def __init__(
        self,
        slots: Iterable[int],
        slot_file: SlotFile,
        selector: BaseSelector,
        environment: jobenv.JobEnvironment,
        store_uid: str,
        pace: Pace,
        report: Report,
        on_end: Callable[[Claim, Outcome, OutputPart | None], None],
        on_output: Callable[[OutputPart], None],
    ) -> None:
        self._slot_file = slot_file
        self._selector = selector
        self._environment = environment
        self._store_uid = store_uid
        self._pace = pace
        self._report = report
        self._on_end = on_end
        self._on_output = on_output
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._free = list(slots)
        self._running: dict[int, Run] = {}
        """By token: what holds a slot."""
        self._by_pid: dict[int, Run] = {}
        """Those whose process was not reaped: then its pid may be given to another."""
        self._young: deque[Run] = deque()
        """Running so briefly that nobody watches their pipes yet, oldest first."""
        self._entries: dict[int, int] = {}
        """Token -> entry of the slot file."""
        self._soonest = NEVER
        self._census: Census | None = None
        self._children = process.Children()

    def __len__(self) -> int:
        return len(self._running)

    @property
    def free(self) -> int:
        """Slots that hold nothing."""
        return len(self._free)

    @property
    def can_start(self) -> bool:
        """Whether there is a slot, and an entry of the slot file for it."""
        return bool(self._free and self._slot_file.room)

    @property
    def claims(self) -> list[Claim]:
        """What runs."""
        return [run.claim for run in self._running.values()]

    @property
    def due_at(self) -> float:
        """When `keep_time` has something to do."""
        if self._young:
            return min(self._soonest, self._young[0].started + WATCH_AFTER)
        return self._soonest

    # -- start -------------------------------------------------------------------------

    def start(self, claim: Claim, config: Config) -> None:
        """Start a run; one that can't be started has ended.

        Raises OSError where the machine is short of something: nothing of that is the job's,
        and the claim is as it was.
        """
        slot = heappop(self._free)
        run = Run(claim, slot, config.output_limit, config.kill_grace, self._selector)
        earliest = host.ticks_now()
        run.entry = self._slot_file.begin(claim.token, earliest)
        self._entries[claim.token] = run.entry
        reach("start.noted")
        try:
            folder, warning = jobenv.enter(claim)
            if warning:
                run.output.take(STDERR, warning.encode())
            run.start(self._environment.of(claim, slot, folder), self._null)
        except process.CannotStartError as error:
            run.output.take(STDERR, f"{error.message}\n".encode("utf-8", "replace"))
            self._not_started(run, failed_start(error.exit_code, error.message))
            return
        except OSError as error:
            if host.is_shortage(error):
                heappush(self._free, slot)
                self.recorded(claim.token)
                raise
            self._not_started(run, failed_start(None, str(error.strerror)))
            return
        finally:
            os.chdir("/")  # who stays in a directory keeps its file system from being unmounted
        reach("start.spawned")
        self._slot_file.started(run.entry, claim.token, run.pid, earliest, host.ticks_now() + 1)
        self._running[claim.token] = self._by_pid[run.pid] = run
        if self._pace.loud:
            run.watch()
        else:
            self._young.append(run)
        self._soonest = min(self._soonest, run.deadline)
        self._pace.started()
        self._report.started(claim)

    def _not_started(self, run: Run, outcome: Outcome) -> None:
        heappush(self._free, run.slot)
        self._report.started(run.claim)
        self._on_end(run.claim, outcome, run.output.changes())

    def recorded(self, token: int) -> None:
        """The store knows how this run ended, or it was never started."""
        self._slot_file.clear(self._entries.pop(token))

    # -- what happens to them ----------------------------------------------------------

    def read(self, run: Run, descriptor: int) -> None:
        """A pipe of this run can be read."""
        if descriptor in run.pipes:
            run.read(descriptor)
            self._soonest = min(self._soonest, run.deadline)

    def reap(self) -> None:
        """Children have exited."""
        while pid := process.any_exited():
            run = self._by_pid.get(pid)
            if run is None:
                os.waitpid(pid, 0)
            else:
                self._exited(run)

    def _exited(self, run: Run) -> None:
        """Reap it. What it has left behind was handed to us before it could be reaped: with
        no orphan of any run, there is nothing of this one to be ended."""
        orphans = self._children.others(self._by_pid)
        if orphans and not run.is_ending:
            # While it is a zombie its group can't be anybody else's.
            process.signal_group(run.pid, signal.SIGTERM)
        _pid, status = os.waitpid(run.pid, 0)
        del self._by_pid[run.pid]
        left = bool(orphans) and (
            self._began_session_of(run, orphans) or process.has_group(run.pid)
        )
        if run.exited(status, left=left):
            self._over(run)
        else:
            self._soonest = min(self._soonest, run.deadline)

    def _began_session_of(self, run: Run, orphans: list[int]) -> bool:
        try:
            facts = [host.stat(pid) for pid in orphans]
        except OSError:  # too short of something to look now: as if it were so
            return True
        return any(found is not None and found[1] == run.pid for found in facts)

    def keep_time(self, now: float) -> None:
        """Do what is due."""
        while self._young and (
            not self._young[0].pipes or now >= self._young[0].started + WATCH_AFTER
        ):
            self._young.popleft().watch()
        if now >= self._soonest:
            for run in list(self._running.values()):
                if now >= run.deadline and run.tick(now, self._take_census):
                    self._over(run)
                elif run.flush:
                    run.flush = False
                    part = run.output.changes()
                    if part is not None:
                        self._on_output(part)
            self._soonest = min((run.deadline for run in self._running.values()), default=NEVER)
        self._census = None

    def cancel(self, token: int) -> bool:
        """End the run of this claim; False if there is none."""
        run = self._running.get(token)
        if run is not None:
            self._end(run, CANCELLED)
        return run is not None

    def cut_off(self, *, at_once: bool) -> None:
        """End all, for the worker's sake and not for theirs."""
        for run in self._running.values():
            self._end(run, RELEASED, at_once=at_once)
        self._census = None

    def _end(self, run: Run, kind: str, *, at_once: bool = False) -> None:
        run.end(kind, self._take_census, at_once=at_once)
        self._soonest = min(self._soonest, run.deadline)

    def _take_census(self) -> Census:
        """One look over /proc serves all runs that end in the same turn of the loop."""
        if self._census is None:
            self._census = Census(self._store_uid)
        return self._census

    def _over(self, run: Run) -> None:
        reach("run.over")
        del self._running[run.claim.token]
        heappush(self._free, run.slot)
        outcome = run.outcome()
        self._pace.ended(outcome.duration or 0.0, was_loud=run.was_loud)
        self._on_end(run.claim, outcome, run.output.changes())
