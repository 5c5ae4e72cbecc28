"""A worker: one event loop and one store thread.

The loop serves child exits, output pipes, timers and signals, and never waits for the
store (see `turns`). The doorbell is heard by the store's thread.
"""

from __future__ import annotations

import os
import time
from collections import deque
from random import random
from selectors import EVENT_READ, DefaultSelector

from queuectl.errors import QueuectlError
from queuectl.model import Claim, Finish, Want
from queuectl.records import Record
from queuectl.transitions import settle
from queuectl.worker import OUTDATED, START_ANOTHER
from queuectl.worker.faultpoints import reach
from queuectl.worker.jobenv import JobEnvironment
from queuectl.worker.pace import Pace
from queuectl.worker.rescue import Rescues
from queuectl.worker.run import NEVER, Run
from queuectl.worker.runs import Runs
from queuectl.worker.turns import Turns, is_final

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.config import Config
    from queuectl.model import Outcome, OutputPart, Turn
    from queuectl.worker.heart import Heart
    from queuectl.worker.lookout import News
    from queuectl.worker.report import Report
    from queuectl.worker.slots import SlotFile
    from queuectl.worker.storethread import StoreThread

_STARTS_A_TURN = 8
"""So that hundreds of free slots keep nobody waiting who has to be served."""
_RUSH = 0.03
"""Less patience than this (seconds) leaves no time to write lines one by one."""
_SIGN_OFF_FOR = 2.0
_FENCE_LOOK = 0.5
"""Timers don't count a sleep of the machine; the fence does, and is looked at so often."""
_SLOTS_LOOK = 0.02


class Settings(Record):
    """What a worker is told when it is started. `slots` counted from `first_slot`; its jobs
    are told of `store_url`, which holds no password; its supervisor wants to see the loop
    turn every `turn_every` seconds. `predecessors` are the dead workers that had its slots."""

    worker_id: str
    slots: int
    first_slot: int
    queues: tuple[str, ...]
    drain: bool
    turn_every: float
    store_url: str
    store_uid: str
    predecessors: tuple[str, ...] = ()


class Loop:
    """The worker's state, and what each event does to it. `run` until the worker is done."""

    def __init__(
        self,
        settings: Settings,
        config: Config,
        store: StoreThread,
        slot_file: SlotFile,
        heart: Heart | None,
        report: Report,
    ) -> None:
        self._settings = settings
        self._config = config
        self._store = store
        store.on_news = self._heard
        store.on_bell = self._rung
        self._slot_file = slot_file
        self._report = report
        self._selector = DefaultSelector()
        self._selector.register(store.fileno(), EVENT_READ, store.deliver)
        self._heart = heart
        self._look_within = settings.turn_every if heart is None else 0.0
        """Seconds until the loop turns anyway."""
        self._backlog: deque[Claim] = deque()
        """Claimed ahead, not started."""
        self._pace = Pace(settings.slots)
        self._turns = Turns(
            settings.worker_id,
            store,
            report,
            self._answered,
            self._lose_all,
            self._grow_old,
        )
        self._runs = Runs(
            range(settings.first_slot, settings.first_slot + settings.slots),
            slot_file,
            self._selector,
            JobEnvironment(settings.store_url, settings.store_uid),
            settings.store_uid,
            self._pace,
            report,
            self._ended,
            self._turns.add_output,
        )
        self._stopping = False
        self._outdated = False
        self.signed_off = False
        """Whether the store has forgotten this worker."""
        self._stop_at = NEVER
        self._leave_at = NEVER
        self._at_once = False
        """Whether nothing is waited for, not even the store."""
        self._exit_code: int | None = None
        self._rescues = Rescues(store, settings.store_uid, report)
        folder = os.path.dirname(slot_file.path)
        self._awaited = [os.path.join(folder, name) for name in settings.predecessors]
        """Slot files of those whose runs may live on in our slots: we claim nothing yet."""

    # -- the loop ----------------------------------------------------------------------

    def watch(self, descriptor: int, handler: object) -> None:
        """Call `handler()` whenever the descriptor is readable."""
        self._selector.register(descriptor, EVENT_READ, handler)

    def unwatch(self, descriptor: int) -> None:
        """No more of that."""
        self._selector.unregister(descriptor)

    def reap(self) -> None:
        """Children have exited."""
        self._runs.reap()

    def run(self) -> int:
        """Serve events until the worker has left; its exit code."""
        while self._exit_code is None:
            self._advance()
            patience = self._patience()
            if patience > _RUSH or self._report.is_long:
                self._report.flush()
            self._slot_file.turned()
            for key, _mask in self._selector.select(patience):
                if isinstance(key.data, Run):
                    self._runs.read(key.data, key.fd)
                else:
                    key.data()
            self._keep_time()
        self._report.flush()
        return self._exit_code

    def _advance(self) -> None:
        """Whatever can go on now, goes on."""
        if time.monotonic() >= self._turns.paused_until:
            if self._stopping:
                self._leave()
            for _ in range(_STARTS_A_TURN):
                if not self._can_start() or not self._start():
                    break
        hungry = bool(self._runs.free) and not self._backlog
        if self._turns.is_due(
            hungry=hungry,
            low=self._pace.runs_low(len(self._backlog)),
            stopping=self._stopping,
        ):
            self._turns.take(self._want(), self._known_tokens)
        elif hungry and not self._stopping:
            self._turns.stand_by(self._want())

    def _can_start(self) -> bool:
        return bool(self._backlog) and self._runs.can_start

    def _patience(self) -> float:
        """Seconds until something is due by time alone."""
        now = time.monotonic()
        if self._can_start() and now >= self._turns.paused_until:
            return 0.0
        until = min(
            self._runs.due_at,
            self._stop_at,
            self._rescues.due_at,
            self._turns.due_at(now, stopping=self._stopping),
            self._pace.give_back_at if self._backlog else NEVER,
            now + (_SLOTS_LOOK if self._awaited else self._look_within),
        )
        return max(0.0, until - now)

    def _keep_time(self) -> None:
        now = time.monotonic()
        self._runs.keep_time(now)
        if self._heart is not None:
            left = self._heart.seconds_left
            self._look_within = min(_FENCE_LOOK, left)
            if left <= 0:
                self._lose_all(self._heart.end)
        if now >= self._stop_at:
            self._stop_at = NEVER
            self._runs.cut_off(at_once=False)
        if now >= self._rescues.due_at and self._rescues.go_on(self._config.kill_grace):
            self._turns.look_soon()
        if self._awaited and not any(map(os.path.exists, self._awaited)):
            self._awaited = []
            self._turns.look_soon()
        if self._backlog and now >= self._pace.give_back_at:
            self._give_back_backlog()

    # -- runs --------------------------------------------------------------------------

    def _start(self) -> bool:
        """False if the machine is short of something."""
        claim = self._backlog.popleft()
        try:
            self._runs.start(claim, self._config)
        except OSError as error:
            self._backlog.appendleft(claim)
            self._turns.pause(1.0)
            self._report.line(f"can't start {claim.id} now: {error.strerror}; trying again")
            return False
        return True

    def _ended(self, claim: Claim, outcome: Outcome, output: OutputPart | None) -> None:
        verdict = settle(claim.attempts, claim.policy, outcome, random())
        self._turns.add(
            Finish.make((claim.token, claim.seq, claim.attempt, outcome, verdict, output))
        )
        self._report.ended(claim, outcome, verdict)

    # -- turns -------------------------------------------------------------------------

    def _want(self) -> Want:
        if self._stopping or self._awaited:
            return Want(0)
        slots, room, waiting = self._runs.free, self._slot_file.room, len(self._backlog)
        free = max(0, min(slots - waiting, room))
        line, room = max(0, waiting - slots), room - free
        ahead = max(0, min(self._pace.ahead - line, room))
        most = max(0, min(self._pace.ahead + self._pace.plenty - line, room))
        return Want.make((free, ahead, most - ahead, not self._settings.drain))

    def _known_tokens(self) -> set[int]:
        """Every claim that we hold and have not ended."""
        return {claim.token for claim in (*self._runs.claims, *self._backlog)}

    def _answered(self, answer: Turn, finishes: list[Finish], _want: Want) -> None:
        """What a turn brought."""
        for finish in finishes:
            self._runs.recorded(finish.token)
        for token in answer.refused:
            self._report.line(f"a result was refused as stale (token {token})")
        if answer.claims:
            if not self._backlog:
                self._pace.backlog_began()
            self._backlog.extend(answer.claims)
            self._pace.filled(len(self._backlog))
        for token in answer.cancels:
            self._cancel(token)
        if answer.stop is not None:
            self.stop(answer.stop)
        if self._stopping:
            if self._backlog:
                self._give_back_backlog()
        elif self._settings.drain and answer.drained and self._is_idle():
            self.stop(NEVER)

    def _is_idle(self) -> bool:
        return not self._runs and not self._backlog and self._turns.settled

    def _give_back_backlog(self) -> None:
        """What was claimed ahead would wait behind busy slots: let others have it."""
        tokens = [claim.token for claim in self._backlog]
        self._backlog.clear()
        self._pace.held_up()
        self._turns.release(tokens)

    def _cancel(self, token: int) -> None:
        if self._runs.cancel(token):
            return
        waiting = [claim for claim in self._backlog if claim.token == token]
        if waiting:
            self._backlog.remove(waiting[0])
            self._turns.release([token])

    # -- what others want --------------------------------------------------------------

    def _rung(self, _none: None, _error: QueuectlError | None) -> None:
        self._turns.look_soon()

    def _heard(self, news: News | None, error: QueuectlError | None) -> None:
        """What the store thread saw on its round."""
        if error is not None or news is None:
            if error is not None and is_final(error):
                self._lose_all(error)
            return
        if news.config is not None:
            self._config = news.config
            self._store.interval = news.config.worker_poll_interval
        if news.changed:
            self._turns.look_soon()
        self._rescues.begin(news.folder, news.gone)

    # -- stopping ----------------------------------------------------------------------

    def stop(self, seconds: float) -> None:
        """Claim no more; let what runs have this long (NEVER: as long as it takes)."""
        at = time.monotonic() + seconds
        if not self._stopping:
            self._stopping = True
            self._turns.stand_down()
            if self._runs:
                names = ", ".join(claim.id for claim in self._runs.claims[:5])
                if seconds == NEVER:
                    self._report.line(f"stopping: waiting for {names}")
                else:
                    they = "it goes" if len(self._runs) == 1 else "they go"
                    again = "; Ctrl+C again: now" if os.isatty(2) else ""
                    self._report.line(
                        f"stopping: {seconds:g} s for {names}, then {they} back{again}"
                    )
                self._turns.tell_stopping(seconds)
            if self._backlog:
                self._give_back_backlog()
        if self._stop_at == NEVER or at < self._stop_at:
            self._stop_at = at

    def stop_gracefully(self) -> None:
        """A signal asked to stop."""
        self.stop(self._config.shutdown_timeout)

    def stop_now(self) -> None:
        """A signal asked to stop without waiting."""
        self._at_once = True
        self.stop(0)

    def _leave(self) -> None:
        """When nothing runs and all is recorded, sign off; for a while only, if the store
        does not answer and nothing is to be told it, or nobody wants to wait: others will
        see that this worker is gone."""
        if self._runs or self._backlog:
            return
        now = time.monotonic()
        self._leave_at = min(self._leave_at, now + _SIGN_OFF_FOR)
        untold = self._turns.untold
        if self._turns.failing and now >= self._leave_at and (self._at_once or not untold):
            how = f" how {untold} jobs ended: they may run again" if untold else ""
            self._report.line(f"leaving; the store could not be told{how}")
            self._exit_code = 0
        elif self._turns.settled and not self._rescues:
            reach("worker.leaving")
            self._turns.sign_off(self._left)

    def _left(self) -> None:
        self.signed_off = True
        self._exit_code = OUTDATED if self._outdated else 0

    def _grow_old(self, error: QueuectlError) -> None:
        """A newer queuectl has changed the store: claim no more, end what runs in peace."""
        if not self._outdated:
            self._outdated = True
            self._report.line(f"{error}: this worker claims no more; {error.hint}")
        elif self._is_idle():  # it could not even sign off: others will see that it is gone
            self._exit_code = OUTDATED
        self.stop(NEVER)

    def _lose_all(self, error: QueuectlError) -> None:
        """Others may run our jobs now: end them, record nothing."""
        self._turns.stand_down()
        self._report.line(f"giving up: {error}")
        self._runs.cut_off(at_once=True)
        self._exit_code = START_ANOTHER
