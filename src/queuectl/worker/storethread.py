"""The one thread of a worker that may wait for the store."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections import deque
from queue import Empty, SimpleQueue

from queuectl.errors import QueuectlError, StoreError
from queuectl.host import is_shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.store.base import Store

    Work = Callable[[Store], Any]
    Done = Callable[[Any, QueuectlError | None], None]


_SHARE = 3
_LONGEST = 5.0


class StoreThread:
    """Does calls on a store in order; their results are handed over in the loop's thread.

    `look` is done every `interval` seconds as well, busy or idle (less often where it takes
    long), and what it returns, if not None, goes to `on_news`; both may be set anew.
    `fileno()` is readable when `deliver` has something to do.
    """

    def __init__(self, open_it: Callable[[], Store], look: Work, interval: float) -> None:
        self._open = open_it
        self._look = look
        self.interval = interval
        self.on_news: Done = _ignore
        self._calls: SimpleQueue[tuple[Work, Done] | None] = SimpleQueue()
        self._results: deque[tuple[Done, Any, QueuectlError | None]] = deque()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)

    def start(self) -> None:
        """Open the store and begin; calls may be made before."""
        self._thread.start()

    def fileno(self) -> int:
        """For the selector."""
        return self._wake_read

    def call(self, work: Work, done: Done) -> None:
        """Do `work(store)` there, then `done(result, error)` here."""
        self._calls.put((work, done))

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
        self._calls.put(None)
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
        while True:
            now = time.monotonic()
            if store is not None and now >= look_at:
                self._do(store, self._look, self.on_news, quiet=True)
                # Of a store far away, most of the time is for calls.
                ended = time.monotonic()
                look_at = ended + max(self.interval, min(_SHARE * (ended - now), _LONGEST))
            pause = None if store is None else max(0.0, look_at - time.monotonic())
            try:
                call = self._calls.get(timeout=pause)
            except Empty:
                continue
            if call is None:
                break
            try:
                store = store or self._open()
            except QueuectlError as error:
                self._post(call[1], None, error)
                continue
            self._do(store, *call)
        if store is not None:
            store.close()

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
        try:
            os.write(self._wake_write, b"!")
        except BlockingIOError:  # full: the loop will look anyway
            return


def _ignore(_result: Any, _error: QueuectlError | None) -> None:
    """Until somebody wants to know."""
