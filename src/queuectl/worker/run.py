"""One run of a job, from its start to the value that says how it ended.

A run goes through phases: running; ending (it was told to: timeout, cancel, shutdown);
lingering (its process has exited, something it started has not). It is over when nothing
of it is left and its pipes are closed, or when KILL and a last wait did not help.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from selectors import EVENT_READ

from queuectl.clock import now_ms
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    RELEASED,
    STDERR,
    STDOUT,
    TIMEOUT,
    Outcome,
)
from queuectl.worker import process
from queuectl.worker.output import OutputBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from selectors import BaseSelector

    from queuectl.model import Claim
    from queuectl.worker.census import Census

NEVER = float("inf")
_FLUSH_EVERY = 1.0
_LOOK_AGAIN = 0.02
_SEARCH_AFTER = 0.1
_AFTER_KILL = 1.0
_CLEAR_LOOKS = 3
"""One look over /proc can miss what is being started, or is just at its exec."""
_BUSY_READS = 4
_PIPE = 1 << 16
_BIG_PIPE = 1 << 20

_inbox = bytearray(_BIG_PIPE)
_inbox_view = memoryview(_inbox)


class Run:
    """`deadline` is when (monotonic) `tick` wants to be called next."""

    # Of the class until they change: most runs are short, and need few of them.
    entry = -1
    pid = 0
    started_at = 0
    started = 0.0
    deadline = NEVER
    flush = False
    """Whether the store should be told of output now."""
    _timeout_at = NEVER
    _flush_at = NEVER
    _kill_at = NEVER
    _give_up_at = NEVER
    _search_at = NEVER
    _told: str | None = None
    _status: int | None = None
    _asked_session = False
    _asked_marked = False
    _clear_looks = 0
    _watched = False
    _reads = 0

    def __init__(
        self, claim: Claim, slot: int, limit: int, grace: float, selector: BaseSelector
    ) -> None:
        self._selector = selector
        self.claim = claim
        self.slot = slot
        self.output = OutputBuffer(claim.token, limit)
        self.pipes: dict[int, int] = {}
        """Open read ends -> stream."""
        self._grace = grace

    # -- start -------------------------------------------------------------------------

    def start(self, env: Mapping[bytes, bytes], null: int) -> None:
        """Start the process in the present directory.

        Raises process.CannotStartError, or OSError where the machine is short of something;
        then nothing is left open.
        """
        opened: list[int] = []
        try:
            out_read, out_write = os.pipe()
            opened += out_read, out_write
            err_read, err_write = os.pipe()
            opened += err_read, err_write
            # Only our ends are non-blocking: programs don't expect it of theirs.
            os.set_blocking(out_read, False)
            os.set_blocking(err_read, False)
            self.started = time.monotonic()
            self.started_at = now_ms()
            self.pid = process.spawn(self.claim.command, env, null, out_write, err_write)
        except BaseException:
            for descriptor in opened:
                os.close(descriptor)
            raise
        os.close(out_write)
        os.close(err_write)
        self.pipes = {out_read: STDOUT, err_read: STDERR}
        if self.claim.timeout_seconds:
            self._timeout_at = self.started + self.claim.timeout_seconds
            self.deadline = self._timeout_at

    # -- output ------------------------------------------------------------------------

    def watch(self) -> None:
        """Be told when output arrives; until then it waits in the pipes."""
        if self._watched:
            return
        self._watched = True
        for descriptor in self.pipes:
            self._selector.register(descriptor, EVENT_READ, self)

    def read(self, descriptor: int) -> int:
        """Take what a pipe holds; how much, 0 when nothing is there now (at its end it is
        closed)."""
        try:
            count = os.readv(descriptor, (_inbox,))
        except BlockingIOError:
            return 0
        if count == 0:
            self._close(descriptor)
            return 0
        self.output.take(self.pipes[descriptor], _inbox_view[:count])
        self._note_output()
        if count >= _PIPE:
            self._reads += 1
            if self._reads == _BUSY_READS:
                self._widen(descriptor)
        return count

    def _widen(self, descriptor: int) -> None:
        try:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _BIG_PIPE)
        except OSError:  # this user's share of pipe memory is used up
            return

    def _note_output(self) -> None:
        if self._flush_at == NEVER:
            self._flush_at = time.monotonic() + _FLUSH_EVERY
            self.deadline = min(self.deadline, self._flush_at)

    # -- end ---------------------------------------------------------------------------

    def exited(self, status: int, *, left: bool) -> bool:
        """The process was reaped, its group has been sent TERM. `left` tells whether others
        of its session live. True if the run is over."""
        self._status = status
        self._drain()
        if not left and not self.pipes and self._told is None:
            return True
        if not self._watched:
            self.watch()
        now = time.monotonic()
        if self._kill_at == NEVER:
            self._kill_at = now + self._grace
        self._search_at = now + _SEARCH_AFTER
        self._timeout_at = NEVER
        self.deadline = now + _LOOK_AGAIN / 10
        return False

    @property
    def is_ending(self) -> bool:
        """Whether it was told to end, or its process has exited: TERM is on its way."""
        return self._told is not None or self._status is not None

    def end(self, kind: str, census: Callable[[], Census], *, at_once: bool = False) -> None:
        """Tell the run to end, once: `kind` is TIMEOUT, CANCELLED or RELEASED."""
        if self.is_ending and not at_once:
            return
        self._timeout_at = NEVER
        if not self.is_ending:
            if process.has_exited(self.pid) and not at_once:
                return  # by itself, while this worker did not look (SIGSTOP, a busy host)
            self._told = kind
        now = time.monotonic()
        if at_once:
            self._kill(now, census)
        else:
            self._signal_all(signal.SIGTERM, census)
            self._kill_at = now + self._grace
        self.deadline = min(self._kill_at, now + _LOOK_AGAIN)

    def tick(self, now: float, census: Callable[[], Census]) -> bool:
        """Do what is due. True if the run is over."""
        if now >= self._timeout_at:
            self.end(TIMEOUT, census)
        if now >= self._kill_at:
            self._kill(now, census)
        if self._status is not None and self._is_over(now, census):
            return True
        if now >= self._flush_at:
            self._flush_at = NEVER
            self.flush = True
        self.deadline = min(
            self._timeout_at,
            self._kill_at,
            self._flush_at,
            # Until its process has gone (it may be stuck) there is nothing to look for.
            now + _LOOK_AGAIN if self._status is not None else NEVER,
        )
        return False

    def _kill(self, now: float, census: Callable[[], Census]) -> None:
        self._kill_at = NEVER
        self._give_up_at = now + _AFTER_KILL
        self._signal_all(signal.SIGKILL, census)

    def _is_over(self, now: float, census: Callable[[], Census]) -> bool:
        """Whether, the process being gone, all it started is gone too."""
        self._drain()
        try:
            alive = self._look(now, census)
        except OSError:  # too short of something to see who lives: nobody is given up
            return False
        self._clear_looks = 0 if alive or self.pipes else self._clear_looks + 1
        if self._clear_looks >= _CLEAR_LOOKS:
            return True
        if now >= self._give_up_at:  # what is left is not ours to end (P4's residue)
            self.close()
            return True
        return False

    def _look(self, now: float, census: Callable[[], Census]) -> bool:
        """Signal what is left, as far as its time has come; whether there is anybody."""
        alive = self._signal_session(self._next_signal(self._asked_session), census)
        self._asked_session = True
        if self._told is not None or (self.pipes and now >= self._search_at):
            alive |= self._signal_marked(self._next_signal(self._asked_marked), census)
            self._asked_marked = True
        return alive

    def _next_signal(self, asked: bool) -> int:
        """TERM once, nothing while that may work, KILL when its time is over."""
        if self._give_up_at != NEVER:
            return signal.SIGKILL
        return 0 if asked else signal.SIGTERM

    def _signal_session(self, number: int, census: Callable[[], Census]) -> bool:
        """Signal the run's session (0: nobody); whether there is anybody. Nobody is sent
        TERM twice, which many take for "now"."""
        if self._status is not None and os.path.exists(f"/proc/{self.pid}"):
            return False  # the pid is another's, which it can be only if nobody is left
        if number and self._status is None:  # not reaped: the group is surely ours
            process.signal_group(self.pid, number)
        picture = census()
        # The group has been sent TERM already: here, or when its leader was reaped.
        told = picture.group(self.pid) if number == signal.SIGTERM else ()
        return picture.signal_session(self.pid, number, told)

    def _signal_marked(self, number: int, census: Callable[[], Census]) -> bool:
        """Signal all that carry the run's mark (0: nobody); whether there is anybody."""
        picture = census()
        told = picture.session(self.pid) if number == signal.SIGTERM else ()
        return picture.signal_marked(self.claim.token, number, told)

    def _signal_all(self, number: int, census: Callable[[], Census]) -> None:
        try:
            self._signal_session(number, census)
            self._signal_marked(number, census)
        except OSError:  # too short of something to look: later, once the process is gone
            return
        self._asked_session = self._asked_marked = True

    def _drain(self) -> None:
        # No more than a pipe holds: what was left behind may print faster than we read.
        for descriptor in list(self.pipes):
            room = _BIG_PIPE
            while room > 0 and (count := self.read(descriptor)):
                room -= count

    def close(self) -> None:
        """Let go of the pipes."""
        for descriptor in list(self.pipes):
            self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        # In this order: epoll goes on watching a pipe that a child has inherited.
        if self._watched:
            self._selector.unregister(descriptor)
        del self.pipes[descriptor]
        os.close(descriptor)

    @property
    def was_loud(self) -> bool:
        """Whether it filled a pipe, so that it may have waited for us to read."""
        return self._reads > 0

    def outcome(self) -> Outcome:
        """How it ended, once it is over."""
        duration = time.monotonic() - self.started
        status = self._status or 0
        exit_code: int | None = None
        signal_name: str | None = None
        if os.WIFSIGNALED(status):
            signal_name = _signal_name(os.WTERMSIG(status))
        else:
            exit_code = os.WEXITSTATUS(status)
        kind = self._told or (COMPLETED if status == 0 else FAILED)
        error = self._error(kind, exit_code, signal_name)
        return Outcome.make(
            (kind, now_ms(), self.started_at, duration, exit_code, signal_name, error)
        )

    def _error(self, kind: str, exit_code: int | None, signal_name: str | None) -> str | None:
        if kind == COMPLETED:
            return None
        if kind == TIMEOUT:
            return f"timed out after {self.claim.timeout_seconds:g} s"
        if kind == CANCELLED:
            return "cancelled while it ran"
        if kind == RELEASED:
            return "cut off: its worker was stopped"
        what = f"killed by {signal_name}" if signal_name else f"exit {exit_code}"
        line = self.output.last_line()[:300].replace("\0", "")
        return f"{what}: {line}" if line else what


def failed_start(exit_code: int | None, message: str) -> Outcome:
    """The outcome of a run whose program could not be started."""
    now = now_ms()
    error = message if exit_code is None else f"exit {exit_code}: {message}"
    return Outcome(FAILED, now, now, 0.0, exit_code, None, error)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
