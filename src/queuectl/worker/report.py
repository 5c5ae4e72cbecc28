"""What a worker tells whoever started it: a readable line at the start and end of each job."""

from __future__ import annotations

import os
import select
import time

from queuectl.durations import format_duration
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, RELEASED, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.model import Claim, Outcome, Verdict

_COMMAND_WIDTH = 60
_A_SCREEN = 40
_PIECE = 4096
"""Bytes that a descriptor takes without waiting once it polls as writable (pipe(7))."""
_MOST_UNSAID = 1 << 18


class Report:
    """Lines to standard error, worded and written by `flush`, many in one go."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._unsaid = b""
        self._events: list[tuple[float, Callable[..., str], tuple[Any, ...]]] = []
        self._second = 0
        self._clock = ""

    @property
    def is_long(self) -> bool:
        """Whether enough has gathered to be written even in a rush."""
        return len(self._events) >= _A_SCREEN

    def line(self, text: str) -> None:
        """One line, with the local time before it."""
        self._events.append((time.time(), str, (text,)))

    def started(self, claim: Claim) -> None:
        """A run began."""
        self._events.append((time.time(), _started, (claim,)))

    def ended(self, claim: Claim, outcome: Outcome, verdict: Verdict) -> None:
        """A run ended, and what follows."""
        self._events.append((time.time(), _ended, (claim, outcome, verdict)))

    def _clock_of(self, now: float) -> str:
        second = int(now)
        if second != self._second:
            self._second = second
            self._clock = time.strftime("%H:%M:%S", time.localtime(second))
        return self._clock

    def flush(self) -> None:
        """Write what there is. Nobody listening is no reason to stop working, nor to wait:
        a terminal may be held (Ctrl+S), a pipe be full."""
        events, self._events = self._events, []
        if events and len(self._unsaid) < _MOST_UNSAID:
            lines = [f"{self._clock_of(at)} {text(*of)}\n" for at, text, of in events]
            self._unsaid += "".join(lines).encode("utf-8", "replace")
        while self._unsaid and self._poll.poll(0):
            try:
                written = os.write(self._descriptor, self._unsaid[:_PIECE])
            except OSError:
                self._unsaid = b""
                return
            self._unsaid = self._unsaid[written:]


def _started(claim: Claim) -> str:
    run = f"run {claim.attempts + 1}/{claim.policy.limit}"
    return f"{claim.id} start   {run}  {_shown(claim)}"


def _ended(claim: Claim, outcome: Outcome, verdict: Verdict) -> str:
    took = format_duration(outcome.duration or 0)
    if verdict.state == COMPLETED:
        return f"{claim.id} done    {took}"
    text = f"{claim.id} {outcome.kind:<7}"
    error = _safe(outcome.error or outcome.kind)
    if outcome.kind in (CANCELLED, RELEASED):  # whose error says no more
        text += f" after {took}"
    elif outcome.kind == TIMEOUT:
        text += f" {error}"
    else:
        ending, colon, words = error.partition(": ")
        text += f" {ending} after {took}{colon}{words}"
    if verdict.state == FAILED and verdict.due_at is not None:
        wait = format_duration((verdict.due_at - outcome.finished_at) / 1000)
        text += f"; again in {wait}"
    elif verdict.state == DEAD:
        text += "; dead, see queuectl dlq list"
    return text


def _shown(claim: Claim) -> str:
    command = claim.command
    return _safe(command if isinstance(command, str) else " ".join(command))


def _safe(text: str) -> str:
    if len(text) > _COMMAND_WIDTH:
        text = text[: _COMMAND_WIDTH - 1] + "…"
    if text.isprintable():
        return text
    from queuectl.text import one_line

    return one_line(text, _COMMAND_WIDTH)
