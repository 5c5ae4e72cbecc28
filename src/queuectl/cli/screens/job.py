"""`show`: everything about one job."""

from __future__ import annotations

from queuectl.cli.jsonshapes import MASK
from queuectl.cli.screens.layout import (
    BOLD,
    GREEN,
    RED,
    STATE_STYLE,
    YELLOW,
    Look,
    Styled,
    fold,
    moment,
    span,
    table,
)
from queuectl.cli.screens.words import (
    command_line,
    ending,
    longer_limit,
    typed_duration,
    waits_for_time,
    why,
)
from queuectl.durations import format_duration
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    RELEASED,
    TIMEOUT,
)
from queuectl.retry import RetryPolicy
from queuectl.text import cut, one_line, visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.model import Attempt, Job

TAIL_LINES = 6
_RUN_ROWS = 20
_COMMAND_LINES = 20
_WAITS_SHOWN = 4
_LABEL = 7
_RESULT_STYLE = {COMPLETED: GREEN, FAILED: RED, TIMEOUT: RED, LOST: RED, RELEASED: YELLOW}


def render_job(
    job: Job,
    history: Sequence[Attempt],
    tail: tuple[str, Sequence[str]] | None,
    look: Look,
    now: int,
    *,
    reveal: bool = False,
    default_limit: float | None = None,
    first: Sequence[str] = (),
) -> list[str]:
    """The page. `tail` is the name of a stream and its last lines; `default_limit` the
    time limit of the config, so that a job that met it learns how to lift it; `first` are
    the jobs that have to be retried with it."""
    lines = _head(job, look)
    lines += _facts(job, look, now, default_limit, reveal)
    if history:
        lines += ["", *_runs(job, history, look, now)]
    if tail is not None and tail[1]:
        lines += ["", f"{tail[0]}, last lines:"]
        lines += [look.fit("  " + one_line(line, look.width)) for line in tail[1]]
    return [*lines, "", *_next(job, look, first, longer_limit(job, default_limit))]


def _head(job: Job, look: Look) -> list[str]:
    lead = f"{one_line(job.id)}  {job.state}  "
    command = command_line(job.command)
    first = one_line(command)
    state = look.paint(job.state, STATE_STYLE.get(job.state, ""))
    head = f"{look.paint(one_line(job.id), BOLD)}  {state}  {look.fit(first, len(lead))}"
    whole = "\n" not in command.strip() and first == look.fit(first, len(lead))
    return [head] if whole else [head, "", *_whole_command(command, look), ""]


def _whole_command(command: str, look: Look) -> list[str]:
    """The command with its own lines, long ones folded, for what one line can't hold."""
    width = look.width and look.width - 2
    lines: list[str] = []
    for line in command.strip("\n").expandtabs(4).split("\n"):
        # what lies beyond the lines that are shown need not be folded
        part = line if width is None else line[: width * (_COMMAND_LINES + 1)]
        lines += ["  " + piece for piece in fold(visible(part), width)]
        if width is not None and len(lines) > _COMMAND_LINES:
            return [*lines[:_COMMAND_LINES], "  … (queuectl show --json has all of it)"]
    return lines


def _facts(
    job: Job, look: Look, now: int, default_limit: float | None, reveal: bool
) -> list[str]:
    facts = [
        ("why", _why(job, look, now, default_limit)),
        ("queue", _queue(job)),
        ("retry", _retry(job)),
        ("where", f"{visible(job.cwd)}   by {visible(job.created_by)}"),
        ("times", _times(job, look, now)),
        ("after", " ".join(job.after)),
        ("env", _env(job, reveal)),
    ]
    width = look.width and look.width - _LABEL
    lines = []
    for label, text in facts:
        if text:
            first, *more = fold(text if width is None else cut(text, width * 3), width)
            lines.append(look.paint(f"{label:<{_LABEL}}", BOLD) + first)
            lines += [" " * _LABEL + line for line in more]
    return lines


def _why(job: Job, look: Look, now: int, default_limit: float | None) -> str:
    """What people ask first: why it is in this state."""
    if job.state == PROCESSING:
        text = f"running for {span((now - (job.started_at or now)) / 1000)}"
        text += f" on worker {job.worker_id}" if job.worker_id else ""
        return text + (f", {job.progress:.0%} done" if job.progress is not None else "")
    if job.state == COMPLETED:
        return (
            f"done in {format_duration(job.duration)}" if job.duration is not None else "done"
        )
    limit = max(1, job.max_retries)
    text = one_line(job.error or "")
    if job.outcome not in (None, COMPLETED):
        text = why(job, default_limit)
    if job.state in (FAILED, DEAD):
        text += f" ({job.attempts} of {limit} run{'s' * (limit > 1)} used)"
    if waits_for_time(job, now):
        due = job.due_at or now
        again = "again" if job.attempts else "due"
        at = moment(look, due, now, seconds=True)
        text += f"{'; ' if text else ''}{again} in {span((due - now) / 1000 + 0.999)}, at {at}"
    elif job.state in (PENDING, FAILED):
        text += f"{'; ' if text else ''}{'waits for other jobs' if job.after else 'due'}"
    return text


def _queue(job: Job) -> str:
    parts = [visible(job.queue), f"priority {job.priority}"]
    if job.tags:
        parts.append(f"tag{'s' * (len(job.tags) > 1)} {' '.join(map(visible, job.tags))}")
    limit = typed_duration(job.timeout_seconds) if job.timeout_seconds else "none"
    return "   ".join([*parts, f"limit {limit}"])


def _retry(job: Job) -> str:
    """`3 runs at most, after waits of 2s, 4s`."""
    policy = RetryPolicy(job.max_retries, job.backoff_base, job.backoff_max, job.backoff_jitter)
    if policy.limit == 1:
        return "1 run at most"
    waits = [
        typed_duration(policy.delay(n, 0))
        for n in range(1, min(policy.limit, _WAITS_SHOWN + 1))
    ]
    more = " …" if policy.limit - 1 > _WAITS_SHOWN else ""
    jitter = f", and up to {policy.backoff_jitter:.0%} more" if policy.backoff_jitter else ""
    return f"{policy.limit} runs at most, waiting {', '.join(waits)}{more} between{jitter}"


def _times(job: Job, look: Look, now: int) -> str:
    parts = [f"enqueued {moment(look, job.created_at, now, seconds=True)}"]
    if job.run_at is not None:
        parts.append(f"for {moment(look, job.run_at, now, seconds=True)}")
    if job.state in (COMPLETED, DEAD, CANCELLED) and job.finished_at is not None:
        parts.append(f"ended {moment(look, job.finished_at, now, seconds=True)}")
    return "   ".join(parts)


def _env(job: Job, reveal: bool) -> str:
    hint = "   (--reveal shows them)" if job.env and not reveal else ""
    pairs = [f"{name}={value if reveal else MASK}" for name, value in job.env.items()]
    return one_line("  ".join(pairs)) + hint


def _runs(job: Job, history: Sequence[Attempt], look: Look, now: int) -> list[str]:
    shown = history if look.width is None else history[-_RUN_ROWS:]
    asked_on = job.created_by.rpartition("@")[2]
    with_host = any(run.host not in ("", asked_on) for run in shown)
    rows = [
        [
            str(run.attempt),
            moment(look, run.started_at, now, seconds=True),
            _took(run, now),
            one_line(run.worker_id, look.width and 12),
            *[one_line(run.host, look.width and 20)][:with_host],
            Styled(_result(run), _RESULT_STYLE.get(run.outcome, "")),
        ]
        for run in shown
    ]
    names = ["RUN", "STARTED", "TOOK", "WORKER", *["HOST"][:with_host], "RESULT"]
    lines = table(look, names, rows)
    hidden = len(history) - len(shown)
    return [*([f"({hidden} earlier runs: --json)"] if hidden else []), *lines]


def _took(run: Attempt, now: int) -> str:
    if run.duration is not None:
        return format_duration(run.duration)
    if run.outcome == PROCESSING and run.started_at is not None:
        return span((now - run.started_at) / 1000)
    return "-"


def _result(run: Attempt) -> str:
    text = ending(run)
    free = run.outcome in (LOST, RELEASED) and not run.charged
    return text + " (not charged)" if free else text


def _next(job: Job, look: Look, first: Sequence[str], limit: str | None) -> list[str]:
    """What one would type next. A `limit` would be given to all that are named."""
    name = one_line(job.id)
    longer = ["--timeout", limit] if limit and not first else []
    again = one_line(" ".join(["retry", *first, job.id, *longer]))
    steps = {
        PENDING: ("Why not yet", f"explain {name}"),
        PROCESSING: ("Follow", f"logs {name} -f"),
        FAILED: ("Again now", again),
        DEAD: ("Again", again),
        CANCELLED: ("Again", again),
    }
    words = [steps[job.state]] if job.state in steps else []
    if job.state not in (PENDING, PROCESSING):
        words.append(("All output", f"logs {name}"))
    texts = [f"{label}: queuectl {command}" for label, command in words]
    line = "     ".join(texts)
    return [line] if look.width is None or len(line) <= look.width else texts
