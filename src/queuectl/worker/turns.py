"""A worker's dealings with its store: one turn at a time, and what to do when one fails.

While a turn is under way the next gathers, so that under load many jobs share one commit.
"""

from __future__ import annotations

import time

from queuectl.clock import now_ms
from queuectl.errors import Refused, StoreError, StoreGone, StoreTooNew
from queuectl.model import one_a_run
from queuectl.worker.doorbell import wake
from queuectl.worker.faultpoints import reach
from queuectl.worker.run import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from queuectl.errors import QueuectlError
    from queuectl.model import Finish, OutputPart, Turn, Want
    from queuectl.store.base import Store
    from queuectl.worker.report import Report
    from queuectl.worker.storethread import StoreThread

_GATHER = 0.12
"""A finish waits at most so long for others to share its commit (seconds)."""
_RETRY_FIRST = 0.1
_RETRY_MOST = 2.0


def is_final(error: QueuectlError) -> bool:
    """Whether this is no trouble that passes: what we hold may be others' now, or nobody's."""
    return not isinstance(error, StoreError) or isinstance(error, StoreGone)


class Turns:
    """What waits to be recorded, and when to take a turn.

    `on_answer(turn, finishes, want)` hears what came of one; `on_gone(error)` that the
    store takes this worker for dead, `on_outdated(error)` that this queuectl may claim no
    more. Times are monotonic seconds.
    """

    def __init__(
        self,
        worker_id: str,
        store: StoreThread,
        report: Report,
        on_answer: Callable[[Turn, list[Finish], Want], None],
        on_gone: Callable[[QueuectlError], None],
        on_outdated: Callable[[QueuectlError], None],
    ) -> None:
        self._worker_id = worker_id
        self._store = store
        self._report = report
        self._on_answer = on_answer
        self._on_gone = on_gone
        self._on_outdated = on_outdated
        self._finished: list[Finish] = []
        self._parts: dict[int, OutputPart] = {}
        """By token: while the store is away they grow no larger than what is kept of a run."""
        self._gather_until = NEVER
        self._next_due = NEVER
        self._unsure = False
        self._retry_after = _RETRY_FIRST
        self._failing = False
        self._under_way = False
        """Whether a call is, beside which no other may begin: what it changes of what we hold
        is not known yet."""
        self._standing_by: Want | None = None
        """What the next bell gets us, without the loop: a turn that is not under way yet."""
        self._more = True
        """Whether the store may have something for us."""
        self.paused_until = 0.0
        """No turn before: the store, or this machine, is in trouble."""

    @property
    def settled(self) -> bool:
        """Whether the store knows all that we know, and we what it knows."""
        return not (self._untold or self._unsure or self._under_way or self._standing_by)

    @property
    def failing(self) -> bool:
        """Whether the store does not answer."""
        return self._failing

    @property
    def untold(self) -> int:
        """How many runs have ended that the store does not know of."""
        return len(self._finished)

    @property
    def _untold(self) -> bool:
        return bool(self._finished or self._parts)

    def add(self, finish: Finish) -> None:
        """A run has ended."""
        self._finished.append(finish)
        self._gather_until = min(self._gather_until, time.monotonic() + _GATHER)

    def add_output(self, part: OutputPart) -> None:
        """A long run has printed something."""
        older = self._parts.get(part.token)
        self._parts[part.token] = part if older is None else older.then(part)

    def look_soon(self) -> None:
        """Something may be new: work for a free slot, or orders for a busy one."""
        self._more = True
        self._gather_until = min(self._gather_until, time.monotonic() + _GATHER)

    def pause(self, seconds: float) -> None:
        """Leave the store alone for a while."""
        self.stand_down()
        self.paused_until = time.monotonic() + seconds

    def due_at(self, now: float, *, stopping: bool) -> float:
        """When the next turn is due by time alone."""
        if self._under_way:
            return NEVER
        at = self._gather_until
        if self._next_due != NEVER and not stopping:
            at = min(at, now + self._next_due / 1000 - time.time())
        return max(at, self.paused_until)

    def is_due(self, *, hungry: bool, low: bool, stopping: bool) -> bool:
        """Whether to take a turn now. `hungry`: a slot is free and nothing is at hand for
        it; `low`: what was claimed ahead runs out."""
        now = time.monotonic()
        if self._under_way or now < self.paused_until:
            return False
        if self._unsure or self._parts or now >= self._gather_until:
            return True
        if stopping:
            return bool(self._finished)
        if self._next_due != NEVER and now_ms() >= self._next_due:
            return True
        if hungry:
            return self._more or bool(self._finished)
        return low and self._more

    def take(self, want: Want, known: Callable[[], set[int]]) -> None:
        """Take a turn, unless the one that stood by has begun; after trouble, first give back
        what is not among the `known` tokens."""
        if not self.stand_down():
            return
        if self._unsure:
            self._ask_what_is_held(known() | {finish.token for finish in self._finished})
            return
        finishes, self._finished = self._finished, []
        parts, self._parts = list(self._parts.values()), {}
        self._gather_until = NEVER
        self._next_due = NEVER
        self._more = False
        self._under_way = True
        self._store.call(*self._turn(finishes, parts, want))

    def stand_by(self, want: Want) -> None:
        """Have a turn taken when the bell rings, if nothing else is to be done."""
        if self._under_way or self._unsure or self._failing or want == self._standing_by:
            return
        if time.monotonic() < self.paused_until:
            return
        if self.stand_down() and want.free:
            self._standing_by = want
            self._store.stand_by(*self._turn([], [], want))

    def stand_down(self) -> bool:
        """False if the turn that stood by has begun: it is under way."""
        if self._standing_by is not None:
            self._standing_by = None
            self._under_way = not self._store.stand_down()
        return not self._under_way

    def _turn(
        self, finishes: list[Finish], parts: list[OutputPart], want: Want
    ) -> tuple[Callable[[Store], Turn], Callable[[Turn | None, QueuectlError | None], None]]:
        def turn(store: Store) -> Turn:
            reach("turn.asked")
            answer = store.turn(self._worker_id, finishes, parts, want, now_ms())
            reach("turn.done")
            if answer.freed and (answer.more or answer.freed > len(answer.claims)):
                wake(store)  # there may be more than we have taken, and others idle
            return answer

        def turned(answer: Turn | None, error: QueuectlError | None) -> None:
            self._standing_by = None
            self._under_way = False
            if error is not None or answer is None:
                self._finished = finishes + self._finished
                self._parts = one_a_run([*parts, *self._parts.values()])
                self._trouble(error)
                return
            reach("turn.known")
            self._retry_after = _RETRY_FIRST
            self._failing = False
            self._next_due = NEVER if answer.next_due is None else answer.next_due
            self._more |= answer.more
            self._on_answer(answer, finishes, want)

        return turn, turned

    def release(self, tokens: Iterable[int]) -> None:
        """Give back claims that were not started."""
        given = list(tokens)

        def give_back(store: Store) -> None:
            store.release(self._worker_id, given, now_ms())
            wake(store)

        def given_back(_none: None, error: QueuectlError | None) -> None:
            if error is not None:
                self._trouble(error)

        self._store.call(give_back, given_back)

    def tell_stopping(self, seconds: float) -> None:
        """Let others see that we claim no more, and give what runs so long."""

        def ask(store: Store) -> None:
            store.ask_stop([self._worker_id], seconds)

        self._store.call(ask, lambda _none, _error: None)

    def sign_off(self, left: Callable[[], None]) -> None:
        """Leave the store; `left()` once that is done. Those that drain it with us may have
        waited for what we ran."""

        def leave(store: Store) -> None:
            try:
                store.unregister(self._worker_id)
            except Refused:  # an enqueue has claimed for us meanwhile
                store.release(self._worker_id, store.held(self._worker_id), now_ms())
                store.unregister(self._worker_id)
            wake(store)

        self._ask_alone(leave, left)

    def _ask_what_is_held(self, known: set[int]) -> None:
        """Give back claims that came of a call whose answer was lost."""

        def ask(store: Store) -> None:
            unknown = store.held(self._worker_id).keys() - known
            if unknown:
                store.release(self._worker_id, unknown, now_ms())

        def sure() -> None:
            self._unsure = False

        self._ask_alone(ask, sure)

    def _ask_alone(self, work: Callable[[Store], None], done: Callable[[], None]) -> None:
        self._under_way = True

        def answered(_none: None, error: QueuectlError | None) -> None:
            self._under_way = False
            if error is None:
                self._failing = False
                done()
            else:
                self._trouble(error)

        self._store.call(work, answered)

    def _trouble(self, error: QueuectlError | None) -> None:
        """A call failed, and nobody knows what of it was done."""
        if error is not None and is_final(error):
            self._on_gone(error)
            return
        if isinstance(error, StoreTooNew):  # nothing was done
            self._on_outdated(error)
            return
        self._report.line(f"store: {error}; trying again")
        if error is not None and error.hint and not self._failing:
            self._report.line(f"  try: {error.hint}")
        self._unsure = self._more = self._failing = True
        self.pause(self._retry_after)
        self._retry_after = min(self._retry_after * 2, _RETRY_MOST)
