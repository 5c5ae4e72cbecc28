"""Hears the calls of other hosts, and rings for each, for this worker only."""

from __future__ import annotations

import signal
import threading
from random import random
from select import POLLIN, poll

from queuectl.errors import StoreError
from queuectl.worker import shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from queuectl.store.base import Listener, Store

_TEST_EVERY = 30.0
_TRY_AGAIN = 5.0


class Ear:
    """A thread, because opening a connection waits."""

    def __init__(self, open_it: Callable[[], Store], ring: Callable[[], None]) -> None:
        self._open = open_it
        self._ring = ring
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)

    def start(self) -> None:
        """Begin to listen."""
        shortage.start(self._thread)

    def stop(self) -> None:
        """The worker has left; the thread ends with the process."""
        self._stop.set()

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._stop.is_set():
            try:
                with shortage.as_store_error():
                    with self._open() as store:
                        listener = store.listen()
                    if listener is None:  # nothing comes through a pooler: the poll must do
                        return
                    self._listen(listener)
            except StoreError:
                self._stop.wait(_TRY_AGAIN)
                continue
            self._stop.wait(random())  # a server that restarts lost all of its workers

    def _listen(self, listener: Listener) -> None:
        try:
            self._ring()  # for what was called while nobody listened
            waiting = poll()
            waiting.register(listener.fileno(), POLLIN)
            while listener.alive and not self._stop.is_set():
                if waiting.poll(_TEST_EVERY * 1000):
                    if listener.drain():
                        self._ring()
                elif not listener.test():
                    break
        finally:
            listener.close()
