"""What a worker tells whoever started it: a readable line at the start and end of each job."""

from __future__ import annotations

import os
import select
import time

from queuectl.durations import format_duration
from queuectl.model import COMPLETED, DEAD, FAILED, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Claim, Outcome, Verdict

_COMMAND_WIDTH = 60
_A_SCREEN = 40
_PIECE = 4096
"""Bytes that a descriptor takes without waiting once it polls as writable (pipe(7))."""
_MOST_UNSAID = 1 << 18


class Report:
    """Lines to standard error, written in one go by `flush`."""

    def __init__(self, descriptor: int = 2) -> None:
        self._descriptor = descriptor
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._unsaid = b""
        self._lines: list[str] = []
        self._second = 0
        self._clock = ""

    @property
    def is_long(self) -> bool:
        """Whether enough has gathered to be written even in a rush."""
        return len(self._lines) >= _A_SCREEN

    def line(self, text: str) -> None:
        """One line, with the local time before it."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._clock = time.strftime("%H:%M:%S", time.localtime(second))
        self._lines.append(f"{self._clock} {text}\n")

    def started(self, claim: Claim) -> None:
        """A run began."""
        self.line(
            f"{claim.id} start   run {claim.attempts + 1}/{claim.policy.limit}  {_shown(claim)}"
        )

    def ended(self, claim: Claim, outcome: Outcome, verdict: Verdict) -> None:
        """A run ended, and what follows."""
        took = format_duration(outcome.duration or 0)
        if verdict.state == COMPLETED:
            self.line(f"{claim.id} done    {took}")
            return
        error = _safe(outcome.error or outcome.kind)
        text = f"{claim.id} {outcome.kind:<7} {error}"
        if outcome.kind != TIMEOUT:
            text += f" after {took}"
        if verdict.state == FAILED and verdict.due_at is not None:
            wait = format_duration((verdict.due_at - outcome.finished_at) / 1000)
            text += f"; again in {wait}"
        elif verdict.state == DEAD:
            text += "; dead, see queuectl dlq list"
        self.line(text)

    def flush(self) -> None:
        """Write what there is. Nobody listening is no reason to stop working, nor to wait:
        a terminal may be held (Ctrl+S), a pipe be full."""
        if self._lines and len(self._unsaid) < _MOST_UNSAID:
            self._unsaid += "".join(self._lines).encode("utf-8", "replace")
        self._lines = []
        while self._unsaid and self._poll.poll(0):
            try:
                written = os.write(self._descriptor, self._unsaid[:_PIECE])
            except OSError:
                self._unsaid = b""
                return
            self._unsaid = self._unsaid[written:]


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
