"""The heartbeat of a worker whose claims are leases, and the fence that ends its jobs in time.

A thread with a connection of its own renews the lease, whatever the store thread waits
for. The fence runs on CLOCK_BOOTTIME, which counts a sleep of the machine, from before
the call that renewed was sent, less a margin: so it falls before the server lets others
have the jobs.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import suppress

from queuectl.clock import now_ms
from queuectl.errors import QueuectlError, StoreError
from queuectl.store import open_store
from queuectl.worker import shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.base import Store
    from queuectl.worker.slots import SlotFile

_BEATS_A_LEASE = 6
_TRIES_A_LEASE = 30
_LEAST_MARGIN = 1.5
_LEAST_WAIT = 2.0


def boot_ns() -> int:
    """Nanoseconds since boot, sleep included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Heart:
    """`began` is `boot_ns()` from before the worker was registered; a lease in seconds."""

    def __init__(
        self,
        store_url: str,
        worker_id: str,
        lease: float,
        began: int,
        slot_file: SlotFile,
    ) -> None:
        self._store_url = store_url
        self._worker_id = worker_id
        self._lease = lease
        self._margin = min(lease / 2, max(_LEAST_MARGIN, lease / 10))
        self._slot_file = slot_file
        self._trouble = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heart", daemon=True)
        self._renewed(began)

    def start(self) -> None:
        """Begin to beat."""
        shortage.start(self._thread)

    def stop(self) -> None:
        """The worker has left."""
        self._stop.set()

    @property
    def seconds_left(self) -> float:
        """Until the fence falls: then the worker's jobs must end at once."""
        return (self._fence - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) / 1e9

    @property
    def end(self) -> StoreError:
        """Why it has fallen."""
        return StoreError(f"the lease could not be renewed{self._trouble or ' in time'}")

    def _renewed(self, began: int) -> None:
        self._set_fence(began + round((self._lease - self._margin) * 1e9))

    def _set_fence(self, boot_ns: int) -> None:
        self._fence = boot_ns
        self._slot_file.set_fence(boot_ns)

    def _run(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        store: Store | None = None
        pause = self._lease / _BEATS_A_LEASE
        # A connection may be dead and not know it: there must be time for another.
        wait = max(_LEAST_WAIT, pause)
        # Now: it may be that later we would be too old to be let in.
        with suppress(StoreError), shortage.as_store_error():
            store = open_store(self._store_url, wait)
        while not self._stop.wait(pause):
            began = boot_ns()
            try:
                with shortage.as_store_error():
                    store = store or open_store(self._store_url, wait)
                    store.heartbeat(self._worker_id, now_ms())
            except StoreError as error:
                self._trouble = f" in time: {error}"
                pause = self._lease / _TRIES_A_LEASE
            except QueuectlError as error:  # rescued: others have our jobs, or may any moment
                self._trouble = f": {error}"
                self._set_fence(1)
                return
            else:
                self._renewed(began)
                self._trouble = ""
                pause = self._lease / _BEATS_A_LEASE
        if store is not None:
            store.close()
