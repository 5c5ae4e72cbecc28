"""Waiting for jobs: cheap looks at the store, seldom when nothing happens."""

from __future__ import annotations

import time

from queuectl.errors import OWN_FAILURE, StoreError, StoreTooNew
from queuectl.model import CANCELLED, COMPLETED, FAILED, PENDING, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TypeVar

    from queuectl.model import Job
    from queuectl.store.base import Store

    T = TypeVar("T")

_SHORTEST = 0.005
_LONGEST = 0.05
_LOOK_ANYWAY = 1.0
_SHARE = 3
"""Looks that take long are followed by a rest of so many times that."""
_PATIENCE = 60.0
_ASK_AGAIN = 0.25


def changes(
    store: Store, until: float | None = None, wake: Callable[[], object] = int
) -> Iterator[None]:
    """Now, then whenever something may have changed or `wake` says so, and once a second; to
    the moment `until` of the monotonic clock, or without end."""
    pause = _SHORTEST
    while True:
        mark, looked = store.change_mark(), time.monotonic()
        yield
        rest = min(_SHARE * (time.monotonic() - looked), _LOOK_ANYWAY)
        while True:
            now = time.monotonic()
            if until is not None and now >= until:
                return
            nap = max(pause, rest)
            time.sleep(nap if until is None else min(nap, until - now))
            pause, rest = min(pause * 1.5, _LONGEST), 0.0
            if wake() or store.change_mark() != mark or now - looked > _LOOK_ANYWAY:
                break


def patiently(store: Store, look: Callable[[], T], give_up: Callable[[], object] = int) -> T:
    """What `look` finds. A server that was there a moment ago may be gone for a while; jobs go
    on without it, so whoever waits for one goes on waiting."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return look()
        except StoreError as error:
            over = give_up() or time.monotonic() >= until
            if over or not store.leases or isinstance(error, StoreTooNew):
                raise
        time.sleep(_ASK_AGAIN)


def say_if_stuck(store: Store, jobs: Sequence[Job]) -> None:
    """Say at once what a waiter would wonder about for ever: queues that are paused, or that
    nobody serves."""
    queues = dict.fromkeys(job.queue for job in jobs if job.state in (PENDING, FAILED))
    if not queues:
        return
    from queuectl.cli.context import warn_if_held

    warn_if_held(store, queues)


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
