"""A worker: one event loop and one store thread.

The loop serves child exits, output pipes, timers, signals and the doorbell, and never
waits for the store. A turn (`Store.turn`) carries what ended and brings what is next;
while one is under way the next gathers, so that under load many jobs share one commit.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from heapq import heappop, heappush
from random import random
from selectors import EVENT_READ, DefaultSelector

from queuectl import host
from queuectl.clock import now_ms
from queuectl.errors import QueuectlError, StoreError
from queuectl.model import CANCELLED, RELEASED, STDERR, Claim, Finish, OutputPart, Want
from queuectl.records import Record
from queuectl.transitions import settle
from queuectl.worker import jobenv, process
from queuectl.worker.census import Census
from queuectl.worker.faultpoints import reach
from queuectl.worker.pace import WATCH_AFTER, Pace
from queuectl.worker.rescue import Rescue
from queuectl.worker.run import NEVER, Run, failed_start, is_shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.config import Config
    from queuectl.model import Outcome, Turn
    from queuectl.store.base import Store
    from queuectl.worker.doorbell import Doorbell
    from queuectl.worker.lookout import News
    from queuectl.worker.report import Report
    from queuectl.worker.slots import SlotFile
    from queuectl.worker.storethread import StoreThread

_GATHER = 0.02
"""A finish waits at most so long for others to share its commit (seconds)."""
_RETRY_FIRST = 0.1
_RETRY_MOST = 2.0


class Settings(Record):
    """What a worker is told when it is started. `slots` counted from `first_slot`."""

    worker_id: str
    slots: int
    first_slot: int
    queues: tuple[str, ...]
    drain: bool
    store_url: str
    store_uid: str


class Loop:
    """The worker's state, and what each event does to it. `run` until the worker is done."""

    def __init__(
        self,
        settings: Settings,
        config: Config,
        store: StoreThread,
        slot_file: SlotFile,
        bell: Doorbell,
        report: Report,
    ) -> None:
        self._settings = settings
        self._config = config
        self._store = store
        store.on_news = self._heard
        self._slot_file = slot_file
        self._report = report
        self._environment = jobenv.JobEnvironment(settings.store_url, settings.store_uid)
        self._selector = DefaultSelector()
        self._selector.register(store.fileno(), EVENT_READ, store.deliver)
        self._selector.register(bell.fileno(), EVENT_READ, self._rung)
        self._bell = bell
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._free = list(range(settings.first_slot, settings.first_slot + settings.slots))
        self._running: dict[int, Run] = {}
        """By pid: what holds a slot."""
        self._young: deque[Run] = deque()
        """Running so briefly that nobody watches their pipes yet, oldest first."""
        self._backlog: deque[Claim] = deque()
        """Claimed ahead, not started."""
        self._finished: list[Finish] = []
        self._entries: dict[int, int] = {}
        """Token -> entry of the slot file."""
        self._parts: list[OutputPart] = []
        self._pace = Pace(settings.slots)
        self._turning = False
        self._more = True
        """Whether the store may have something for us."""
        self._gather_until = NEVER
        self._next_due = NEVER
        self._paused_until = 0.0
        self._unsure = False
        self._retry_after = _RETRY_FIRST
        self._soonest = NEVER
        self._stopping = False
        self._stop_at = NEVER
        self._leaving = False
        self._exit_code: int | None = None
        self._rescues: dict[str, Rescue] = {}
        self._rescue_at = NEVER
        self._census: Census | None = None
        self._children = process.Children()

    # -- the loop ----------------------------------------------------------------------

    def watch(self, descriptor: int, handler: object) -> None:
        """Call `handler()` whenever the descriptor is readable."""
        self._selector.register(descriptor, EVENT_READ, handler)

    def unwatch(self, descriptor: int) -> None:
        """No more of that."""
        self._selector.unregister(descriptor)

    def run(self) -> int:
        """Serve events until the worker has left; its exit code."""
        while self._exit_code is None:
            self._advance()
            self._report.flush()
            self._slot_file.turned()
            for key, _mask in self._selector.select(self._patience()):
                if isinstance(key.data, Run):
                    self._read(key.data, key.fd)
                else:
                    key.data()
            self._keep_time()
        self._report.flush()
        return self._exit_code

    def _advance(self) -> None:
        """Whatever can go on now, goes on."""
        if self._stopping:
            if time.monotonic() >= self._paused_until:
                self._leave()
        elif time.monotonic() >= self._paused_until:
            while self._backlog and self._free and self._slot_file.room:
                self._start(self._backlog.popleft())
        if not self._turning and self._wants_turn():
            self._take_turn()

    def _patience(self) -> float:
        """Seconds until something is due by time alone."""
        now = time.monotonic()
        until = min(
            self._soonest,
            self._stop_at,
            self._rescue_at,
            self._pace.give_back_at if self._backlog else NEVER,
            self._paused_until if self._paused_until > now else NEVER,
            now + self._config.lease_seconds / 6,
            self._young[0].started + WATCH_AFTER if self._young else NEVER,
        )
        if not self._turning:
            turn_at = self._gather_until
            if self._next_due != NEVER and not self._stopping:
                turn_at = min(turn_at, now + self._next_due / 1000 - time.time())
            until = min(until, max(turn_at, self._paused_until))
        return max(0.0, until - now)

    def _keep_time(self) -> None:
        now = time.monotonic()
        self._census = None
        while self._young and (
            not self._young[0].pipes or now >= self._young[0].started + WATCH_AFTER
        ):
            self._young.popleft().watch()
        if now >= self._soonest:
            for run in list(self._running.values()):
                if now >= run.deadline and run.tick(now, self._take_census):
                    self._over(run)
                elif run.flush:
                    self._flush_output(run)
            self._soonest = min((run.deadline for run in self._running.values()), default=NEVER)
        if now >= self._stop_at:
            self._cut_off(at_once=False)
        if now >= self._rescue_at:
            self._go_on_rescuing()
        if self._backlog and now >= self._pace.give_back_at:
            self._give_back_backlog()

    def _take_census(self) -> Census:
        """One look over /proc serves all runs that end in the same turn of the loop."""
        if self._census is None:
            self._census = Census(self._settings.store_uid)
        return self._census

    # -- runs --------------------------------------------------------------------------

    def _start(self, claim: Claim) -> None:
        slot = heappop(self._free)
        run = Run(
            claim, slot, self._config.output_limit, self._config.kill_grace, self._selector
        )
        earliest = host.ticks_now()
        run.entry = self._slot_file.begin(claim.token, earliest)
        self._entries[claim.token] = run.entry
        reach("start.noted")
        try:
            warning = jobenv.enter(claim)
            if warning:
                run.output.take(STDERR, warning.encode())
            run.start(self._environment.of(claim, slot), self._null)
        except process.CannotStartError as error:
            run.output.take(STDERR, f"{error.message}\n".encode("utf-8", "replace"))
            self._not_started(run, failed_start(error.exit_code, error.message))
            return
        except OSError as error:
            if is_shortage(error):
                self._try_later(run, error)
            else:
                self._not_started(run, failed_start(None, str(error.strerror)))
            return
        reach("start.spawned")
        self._slot_file.started(run.entry, claim.token, run.pid, earliest, host.ticks_now() + 1)
        self._running[run.pid] = run
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
        self._record(run, outcome)

    def _try_later(self, run: Run, error: OSError) -> None:
        """The machine is short of processes or descriptors: nothing of this is the job's."""
        heappush(self._free, run.slot)
        self._slot_file.clear(self._entries.pop(run.claim.token))
        self._backlog.appendleft(run.claim)
        self._paused_until = time.monotonic() + 1.0
        self._report.line(f"can't start {run.claim.id} now: {error.strerror}; trying again")

    def _read(self, run: Run, descriptor: int) -> None:
        if descriptor in run.pipes:
            run.read(descriptor)
            self._soonest = min(self._soonest, run.deadline)

    def reap(self) -> None:
        """Children have exited."""
        exited: list[tuple[Run, int]] = []
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            pid = found.si_pid
            run = self._running.get(pid)
            if run is not None:
                # While it is a zombie its group can't be anybody else's.
                process.signal_group(pid, signal.SIGTERM)
            _pid, status = os.waitpid(pid, 0)
            if run is not None:
                exited.append((run, status))
        sessions = self._orphaned_sessions() if exited else ()
        for run, status in exited:
            if run.exited(status, left=run.pid in sessions):
                self._over(run)
            else:
                self._soonest = min(self._soonest, run.deadline)

    def _orphaned_sessions(self) -> set[int]:
        """The sessions of processes that outlived who started them."""
        orphans = self._children.pids() - self._running.keys()
        facts = [host.stat(pid) for pid in orphans]
        return {found[1] for found in facts if found is not None}

    def _over(self, run: Run) -> None:
        reach("run.over")
        del self._running[run.pid]
        heappush(self._free, run.slot)
        outcome = run.outcome()
        self._pace.ended(outcome.duration or 0.0, was_loud=run.was_loud)
        self._record(run, outcome)

    def _record(self, run: Run, outcome: Outcome) -> None:
        claim = run.claim
        verdict = settle(claim.attempts, claim.policy, outcome, random())
        self._finished.append(
            Finish.make(
                (claim.token, claim.seq, claim.attempt, outcome, verdict, run.output.changes())
            )
        )
        if self._gather_until == NEVER:
            self._gather_until = time.monotonic() + _GATHER
        self._report.ended(claim, outcome, verdict)

    def _flush_output(self, run: Run) -> None:
        run.flush = False
        part = run.output.changes()
        if part is not None:
            self._parts.append(part)

    # -- turns -------------------------------------------------------------------------

    def _wants_turn(self) -> bool:
        now = time.monotonic()
        if now < self._paused_until:
            return False
        if self._unsure or self._parts or now >= self._gather_until:
            return True
        if self._stopping:
            return bool(self._finished)
        if self._next_due != NEVER and now_ms() >= self._next_due:
            return True
        if self._free and not self._backlog:
            return self._more or bool(self._finished)
        return self._more and self._pace.runs_low(len(self._backlog))

    def _take_turn(self) -> None:
        if self._unsure:
            self._ask_what_is_held()
            return
        finishes, self._finished = self._finished, []
        parts, self._parts = self._parts, []
        self._gather_until = NEVER
        self._next_due = NEVER
        self._more = False
        want = self._want()
        self._turning = True

        def turn(store: Store) -> Turn:
            reach("turn.asked")
            answer = store.turn(self._settings.worker_id, finishes, parts, want, now_ms())
            reach("turn.done")
            return answer

        def turned(answer: Turn | None, error: QueuectlError | None) -> None:
            self._turning = False
            if answer is None:
                self._finished = finishes + self._finished
                self._parts = parts + self._parts
                self._trouble(error)
            else:
                self._turned(answer, finishes, want)

        self._store.call(turn, turned)

    def _want(self) -> Want:
        if self._stopping:
            return Want(0)
        free = max(0, min(len(self._free) - len(self._backlog), self._slot_file.room))
        ahead = self._pace.ahead - max(0, len(self._backlog) - len(self._free))
        return Want.make((free, max(0, min(ahead, self._slot_file.room - free))))

    def _turned(self, answer: Turn, finishes: list[Finish], want: Want) -> None:
        self._retry_after = _RETRY_FIRST
        reach("turn.known")
        for finish in finishes:
            self._slot_file.clear(self._entries.pop(finish.token))
        for token in answer.refused:
            self._report.line(f"a result was refused as stale (token {token})")
        if answer.claims:
            if not self._backlog:
                self._pace.backlog_began()
            self._backlog.extend(answer.claims)
            self._more = len(answer.claims) >= want.free + want.ahead
        self._next_due = NEVER if answer.next_due is None else answer.next_due
        for token in answer.cancels:
            self._cancel(token)
        if answer.stop is not None:
            self.stop(answer.stop)
        elif self._stopping and self._backlog:
            self._give_back_backlog()
        if self._settings.drain and answer.drained and self._is_idle():
            self.stop(NEVER)

    def _is_idle(self) -> bool:
        return not (self._running or self._backlog or self._finished)

    def _trouble(self, error: QueuectlError | None) -> None:
        """A call failed, and nobody knows what of it was done."""
        if error is not None and not isinstance(error, StoreError):
            self._lose_all(error)
            return
        self._unsure = self._more = True
        self._paused_until = time.monotonic() + self._retry_after
        self._retry_after = min(self._retry_after * 2, _RETRY_MOST)
        self._report.line(f"store: {error}; trying again")

    def _ask_what_is_held(self) -> None:
        """Give back claims that came of a call whose answer was lost."""
        known = {run.claim.token for run in self._running.values()}
        known.update(claim.token for claim in self._backlog)
        known.update(finish.token for finish in self._finished)
        worker_id = self._settings.worker_id
        self._turning = True

        def ask(store: Store) -> None:
            unknown = store.held(worker_id).keys() - known
            if unknown:
                store.release(worker_id, unknown, now_ms())

        def asked(_none: None, error: QueuectlError | None) -> None:
            self._turning = False
            if error is not None:
                self._trouble(error)
            else:
                self._unsure = False

        self._store.call(ask, asked)

    def _give_back_backlog(self) -> None:
        """What was claimed ahead would wait behind busy slots: let others have it."""
        tokens = [claim.token for claim in self._backlog]
        self._backlog.clear()
        self._pace.held_up()
        self._release(tokens)

    def _release(self, tokens: list[int]) -> None:
        worker_id = self._settings.worker_id

        def released(_none: None, error: QueuectlError | None) -> None:
            if error is not None:
                self._trouble(error)

        self._store.call(lambda store: store.release(worker_id, tokens, now_ms()), released)

    def _cancel(self, token: int) -> None:
        for run in self._running.values():
            if run.claim.token == token:
                run.end(CANCELLED, self._take_census)
                self._soonest = min(self._soonest, run.deadline)
                return
        waiting = [claim for claim in self._backlog if claim.token == token]
        if waiting:
            self._backlog.remove(waiting[0])
            self._release([token])

    # -- what others want --------------------------------------------------------------

    def _rung(self) -> None:
        self._bell.hush()
        self._look_soon()

    def _look_soon(self) -> None:
        """Something may be new: work for a free slot, or orders for a busy one."""
        self._more = True
        self._gather_until = min(self._gather_until, time.monotonic() + _GATHER)

    def _heard(self, news: News | None, error: QueuectlError | None) -> None:
        """What the store thread saw on its round."""
        if error is not None or news is None:
            if error is not None and not isinstance(error, StoreError):
                self._lose_all(error)
            return
        if news.config is not None:
            self._config = news.config
        if news.changed:
            self._look_soon()
        if not self._slot_file.in_place():
            self._lose_all(StoreError("the slot file is gone: nobody could tell that we live"))
        for worker_id, folder in news.dead:
            if worker_id not in self._rescues:
                rescue = Rescue.begin(folder, worker_id, self._settings.store_uid)
                if rescue is not None:
                    self._report.line(f"worker {worker_id} died; taking back its jobs")
                    self._rescues[worker_id] = rescue
                    self._rescue_at = 0.0

    def _go_on_rescuing(self) -> None:
        self._rescue_at = NEVER
        for worker_id, rescue in list(self._rescues.items()):
            pause = rescue.step(self._config.kill_grace)
            if pause is not None:
                self._rescue_at = min(self._rescue_at, time.monotonic() + pause)
            else:
                self._settle_rescue(worker_id, rescue)

    def _settle_rescue(self, worker_id: str, rescue: Rescue) -> None:
        def settled(ids: list[str] | None, _error: QueuectlError | None) -> None:
            del self._rescues[worker_id]
            rescue.close(done=ids is not None)
            self._more = True
            if ids:
                self._report.line(f"worker {worker_id} had been running {', '.join(ids)}")

        self._store.call(rescue.settle, settled)

    # -- stopping ----------------------------------------------------------------------

    def stop(self, seconds: float) -> None:
        """Claim no more; let what runs have this long (NEVER: as long as it takes)."""
        at = time.monotonic() + seconds
        if not self._stopping:
            self._stopping = True
            if self._running:
                names = ", ".join(run.claim.id for run in list(self._running.values())[:5])
                how = "waiting for" if seconds == NEVER else f"{seconds:g} s for"
                self._report.line(f"stopping: {how} {names}, then it goes back")
            if self._backlog:
                self._give_back_backlog()
        if self._stop_at == NEVER or at < self._stop_at:
            self._stop_at = at

    def stop_gracefully(self) -> None:
        """A signal asked to stop."""
        self.stop(self._config.shutdown_timeout)

    def stop_now(self) -> None:
        """A signal asked to stop without waiting."""
        self.stop(0)

    def _cut_off(self, *, at_once: bool) -> None:
        self._stop_at = NEVER
        for run in self._running.values():
            run.end(RELEASED, self._take_census, at_once=at_once)
            self._soonest = min(self._soonest, run.deadline)

    def _leave(self) -> None:
        """When nothing runs and all is recorded, sign off."""
        if self._running or self._turning or self._backlog or self._leaving:
            return
        if self._finished or self._parts or self._rescues or self._unsure:
            return
        self._leaving = True
        reach("worker.leaving")
        worker_id = self._settings.worker_id

        def left(_none: None, error: QueuectlError | None) -> None:
            self._leaving = False
            if error is None:
                self._exit_code = 0
            else:
                self._trouble(error)

        self._store.call(lambda store: store.unregister(worker_id), left)

    def _lose_all(self, error: QueuectlError) -> None:
        """Others may run our jobs now: end them, record nothing."""
        self._report.line(f"giving up: {error}")
        for run in self._running.values():
            run.end(RELEASED, self._take_census, at_once=True)
        self._exit_code = 75  # EX_TEMPFAIL: the supervisor starts a new incarnation
