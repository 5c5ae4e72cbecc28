"""Waiting for jobs: cheap looks at the store, seldom when nothing happens."""

from __future__ import annotations

import time

from queuectl.errors import OWN_FAILURE
from queuectl.model import CANCELLED, COMPLETED, FAILED, PENDING, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from queuectl.model import Job
    from queuectl.store.base import Store

_SHORTEST = 0.005
_LONGEST = 0.05
_LOOK_ANYWAY = 1.0


def changes(
    store: Store, until: float | None = None, wake: Callable[[], object] = int
) -> Iterator[None]:
    """Now, then whenever something may have changed or `wake` says so, and once a second; to
    the moment `until` of the monotonic clock, or without end."""
    pause = _SHORTEST
    while True:
        mark, looked = store.change_mark(), time.monotonic()
        yield
        while True:
            now = time.monotonic()
            if until is not None and now >= until:
                return
            time.sleep(pause if until is None else min(pause, until - now))
            pause = min(pause * 1.5, _LONGEST)
            if wake() or store.change_mark() != mark or now - looked > _LOOK_ANYWAY:
                break


def say_if_stuck(store: Store, job: Job) -> None:
    """Say at once what a waiter would wonder about for ever: a queue that is paused, or that
    nobody serves."""
    if job.state not in (PENDING, FAILED):
        return
    from queuectl.cli.context import note, warn_if_unserved

    if any(queue.paused for queue in store.stats().queues if queue.name == job.queue):
        note(f"the queue {job.queue} is paused\n  try: queuectl queue resume {job.queue}")
    warn_if_unserved(store, [job.queue])


def exit_code(job: Job) -> int:
    """The exit code that stands for an ended job: its own, 128+n after a signal or its time
    limit, 125 if it was cancelled or never came to have one."""
    if job.state == COMPLETED:
        return 0
    if job.state == CANCELLED:
        return OWN_FAILURE
    if job.signal or job.outcome == TIMEOUT:
        return 128 + _signal_number(job.signal or "SIGTERM")
    return job.exit_code or OWN_FAILURE


def _signal_number(name: str) -> int:
    import signal

    try:
        return int(signal.Signals[name])
    except KeyError:
        # a real-time signal has no name of its own
        digits = "".join(c for c in name if c.isdigit())
        return int(digits or signal.SIGTERM)
