"""The one thread of a worker that may wait for the store.

It hears the worker's doorbell too: a job that comes while a slot is free is claimed without
the loop having to wake up first.
"""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import deque
from select import POLLIN, poll

from queuectl.errors import QueuectlError, StoreError
from queuectl.host import is_shortage
from queuectl.worker import shortage
from queuectl.worker.run import NEVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.store.base import Store
    from queuectl.worker.doorbell import Doorbell

    Work = Callable[[Store], Any]
    Done = Callable[[Any, QueuectlError | None], None]


_SHARE = 3
_LONGEST = 5.0


class StoreThread:
    """Does calls on a store in order; their results are handed over in the loop's thread.

    `look` is done every `interval` seconds as well, busy or idle (less often where it takes
    long), and what it returns, if not None, goes to `on_news`; both may be set anew. So may
    `on_bell`, which hears of a bell for which nothing stood by. `fileno()` is readable when
    `deliver` has something to do.
    """

    def __init__(
        self, open_it: Callable[[], Store], look: Work, interval: float, bell: Doorbell
    ) -> None:
        self._open = open_it
        self._look = look
        self.interval = interval
        self._bell = bell
        self.on_news: Done = _ignore
        self.on_bell: Done = _ignore
        self._calls: deque[tuple[Work, Done]] = deque()
        self._finishing = False
        self._rung = False
        self._standing_by: list[tuple[Work, Done]] = []
        """One at most. Whoever pops it has it: the loop, or this thread."""
        self._results: deque[tuple[Done, Any, QueuectlError | None]] = deque()
        self._called, self._call = _pipe()
        self._wake_read, self._wake_write = _pipe()
        self._ready = poll()
        self._ready.register(self._called, POLLIN)
        self._ready.register(bell.fileno(), POLLIN)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        """Open the store and begin; calls may be made before."""
        shortage.start(self._thread)

    def fileno(self) -> int:
        """For the selector."""
        return self._wake_read

    def call(self, work: Work, done: Done) -> None:
        """Do `work(store)` there, then `done(result, error)` here."""
        self._calls.append((work, done))
        _wake(self._call)

    def stand_by(self, work: Work, done: Done) -> None:
        """The same, but once, when the bell rings."""
        self._standing_by.append((work, done))

    def stand_down(self) -> bool:
        """Whether what stood by had not begun; then it never will."""
        return _take_from(self._standing_by) is not None

    def ring(self) -> None:
        """As if the bell had rung."""
        self._rung = True
        _wake(self._call)

    def deliver(self) -> None:
        """Hand over the results that are there."""
        try:
            os.read(self._wake_read, 512)
        except BlockingIOError:
            return
        while self._results:
            done, result, error = self._results.popleft()
            done(result, error)

    def finish(self, seconds: float) -> None:
        """Let the calls that were made end, and the store with them."""
        self._finishing = True
        _wake(self._call)
        self._thread.join(seconds)

    def _run(self) -> None:
        # They are the loop's; here they would cost interrupted calls and switches.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._serve()
        except BaseException:
            # The loop would go on turning, and nobody see that it waits for ever.
            traceback.print_exc()
            os._exit(70)  # EX_SOFTWARE

    def _serve(self) -> None:
        store: Store | None = None
        look_at = 0.0
        while self._calls or not self._finishing:
            now = time.monotonic()
            if store is not None and now >= look_at:
                self._do(store, self._look, self.on_news, quiet=True)
                # Of a store far away, most of the time is for calls.
                ended = time.monotonic()
                look_at = ended + max(self.interval, min(_SHARE * (ended - now), _LONGEST))
            call = self._next_call(NEVER if store is None else look_at)
            if call is None:
                continue
            try:
                store = store or self._open()
            except QueuectlError as error:
                self._post(call[1], None, error)
                continue
            self._do(store, *call)
        self._bell.close()
        if store is not None:
            store.close()

    def _next_call(self, until: float) -> tuple[Work, Done] | None:
        """What is to be done now, if there is anything before `until` (monotonic)."""
        if not self._calls and not self._rung:
            self._wait(until)
        if self._calls:
            return self._calls.popleft()
        if not self._rung:
            return None
        self._rung = False
        self._bell.hush()
        call = _take_from(self._standing_by)
        if call is None:
            self._post(self.on_bell, None, None)
        return call

    def _wait(self, until: float) -> None:
        """For a call or the bell."""
        pause = None if until == NEVER else max(0.0, until - time.monotonic()) * 1000
        for descriptor, _events in self._ready.poll(pause):
            if descriptor == self._called:
                os.read(descriptor, 512)
            else:
                self._rung = True

    def _do(self, store: Store, work: Work, done: Done, *, quiet: bool = False) -> None:
        try:
            result = work(store)
        except QueuectlError as error:
            self._post(done, None, error)
            return
        except OSError as error:
            if not is_shortage(error):
                raise
            self._post(done, None, StoreError(f"this machine is short: {error.strerror}"))
            return
        if not (quiet and result is None):
            self._post(done, result, None)

    def _post(self, done: Done, result: Any, error: QueuectlError | None) -> None:
        self._results.append((done, result, error))
        _wake(self._wake_write)


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write


def _wake(write: int) -> None:
    try:
        os.write(write, b"!")
    except BlockingIOError:  # full: whoever reads it will look anyway
        return


def _take_from(standing_by: list[tuple[Work, Done]]) -> tuple[Work, Done] | None:
    try:
        return standing_by.pop()
    except IndexError:
        return None


def _ignore(_result: Any, _error: QueuectlError | None) -> None:
    """Until somebody wants to know."""
