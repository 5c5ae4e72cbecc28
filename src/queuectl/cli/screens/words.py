"""How jobs and runs are put into words."""

from __future__ import annotations

from queuectl.durations import LONGEST, format_duration
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    RELEASED,
    TIMEOUT,
)
from queuectl.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Attempt, Command, Job

_PLAIN_OUTCOMES = {
    COMPLETED: "done",
    LOST: "worker died",
    CANCELLED: "cancelled",
    RELEASED: "given back",
    PROCESSING: "running",
    TIMEOUT: "timed out",
    FAILED: "failed",
}


def command_line(command: Command) -> str:
    """The command as one would type it, not yet made safe."""
    if isinstance(command, str):
        return command
    from shlex import join

    return join(command)


def ending(run: Job | Attempt) -> str:
    """How a run ended in two words: `exit 1`, `SIGKILL`, `timed out`, `done`."""
    if run.outcome in (FAILED, None):
        if run.signal:
            return one_line(run.signal)
        if run.exit_code is not None:
            return f"exit {run.exit_code}"
    return _PLAIN_OUTCOMES.get(run.outcome or "", run.outcome or "-")


def exit_word(job: Job) -> str:
    """The same as one word, for tables: `0`, `1`, `SIGKILL`, `timeout`; `-` while the job is
    on its way, whatever an earlier run came to."""
    if job.state in (PENDING, PROCESSING):
        return "-"
    if job.outcome in (TIMEOUT, LOST):
        return job.outcome
    if job.signal:
        return one_line(job.signal)
    return "-" if job.exit_code is None else str(job.exit_code)


def why(job: Job, default_limit: float | None = None) -> str:
    """Why a job did not complete, on one safe line: `exit 1: CUDA out of memory`.

    A job that met the `default_limit` of the config, which nobody asked for, learns how to
    lift it.
    """
    text = one_line(job.error or "") or ending(job)
    return f"{text} (--timeout none lifts it)" if _met(job, default_limit) else text


def longer_limit(job: Job, default_limit: float | None) -> str | None:
    """What to type after `--timeout` so that a job which timed out gets further: twice as
    much, or `none` if nobody asked for a limit. None for a job that did not."""
    if job.outcome != TIMEOUT or not job.timeout_seconds:
        return None
    if _met(job, default_limit):
        return "none"
    return typed_duration(min(max(1, 2 * job.timeout_seconds), LONGEST))


def _met(job: Job, default_limit: float | None) -> bool:
    return job.outcome == TIMEOUT and job.timeout_seconds == default_limit


def typed_duration(seconds: float) -> str:
    """A length as one would type it: `5m`, not `5m00s`."""
    text = format_duration(seconds) if seconds >= 1 else f"{seconds:g}s"
    for nothing in ("m00s", "h00m", "d0h"):
        if text.endswith(nothing):
            return text[: 1 - len(nothing)]
    return text


def runs_word(job: Job) -> str:
    """`2/3`: charged runs, with one that goes on or went well, of those it may have."""
    limit = max(1, job.max_retries)
    used = job.attempts + (job.state in (PROCESSING, COMPLETED))
    return f"{used}/{limit}"


def waits_for_time(job: Job, now: int) -> bool:
    """Whether the job waits, and its time has not come."""
    return job.state in (PENDING, FAILED) and job.due_at is not None and job.due_at > now
