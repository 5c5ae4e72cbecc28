"""Tables of jobs: `list` and `dlq list`."""

from __future__ import annotations

from itertools import islice

from queuectl.cli.screens.layout import (
    GAP,
    STATE_STYLE,
    Look,
    Styled,
    Table,
    moment,
    span,
    table,
)
from queuectl.cli.screens.words import (
    command_line,
    exit_word,
    runs_word,
    waits_for_time,
    why,
)
from queuectl.model import DEFAULT_QUEUE, ENDED, PROCESSING
from queuectl.text import display_width, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from queuectl.model import Job

TABLE_ROWS = 50
_PIPED_AT_ONCE = 1_000
_COMMAND_ROOM = 26


def render_jobs(jobs: Iterable[Job], look: Look, now: int) -> Iterator[str]:
    """`list`: a line a job; the header alone if there is none."""

    def columns(part: Sequence[Job]) -> dict[str, list[str]]:
        columns: dict[str, list[str]] = {
            "ID": [_id(job, look) for job in part],
            "STATE": [Styled(job.state, STATE_STYLE.get(job.state, "")) for job in part],
            "EXIT": [exit_word(job) for job in part],
            "RUNS": [runs_word(job) for job in part],
            "WHEN": [_when(job, look, now) for job in part],
            "QUEUE": [one_line(job.queue, look.width and 12) for job in part],
            "COMMAND": [_command(job, look) for job in part],
        }
        if look.width is not None:
            _make_room(columns, look.width, one_queue={*columns["QUEUE"]} <= {DEFAULT_QUEUE})
        return columns

    lines = _lines(jobs, look, columns)
    yield next(lines, *table(look, list(columns(())), []))
    yield from lines


def _lines(
    jobs: Iterable[Job], look: Look, columns: Callable[[Sequence[Job]], dict[str, list[str]]]
) -> Iterator[str]:
    """A header, and a line a job; nothing if there is none. On a terminal all that is shown
    decides which columns there are; piped, they may be very many, and show as they come."""
    rest = iter(jobs)
    shown: Table | None = None
    while part := list(rest if look.width is not None else islice(rest, _PIPED_AT_ONCE)):
        cells = columns(part)
        rows: list[Sequence[str]] = list(zip(*cells.values(), strict=True))
        if shown is None:
            shown = Table(look, list(cells))
            rows.insert(0, shown.header)
        yield from shown.lines(rows)


def _make_room(columns: dict[str, list[str]], width: int, *, one_queue: bool) -> None:
    """Leave out what matters least until the command has room enough to be known by."""
    if one_queue:
        del columns["QUEUE"]
    for name in ("RUNS", "EXIT", "QUEUE"):
        used = sum(
            [
                max(map(display_width, [title, *cells])) + len(GAP)
                for title, cells in columns.items()
                if title != "COMMAND"
            ]
        )
        if width - used >= _COMMAND_ROOM:
            break
        columns.pop(name, None)


def render_dead(jobs: Iterable[Job], look: Look, now: int) -> Iterator[str]:
    """`dlq list`: what gave up, when and why; nothing if there is none."""
    first = ""

    def columns(part: Sequence[Job]) -> dict[str, list[str]]:
        nonlocal first
        first = first or part[0].id
        return {
            "ID": [_id(job, look) for job in part],
            "DIED": [moment(look, job.finished_at, now) for job in part],
            "RUNS": [runs_word(job) for job in part],
            "WHY": [_why(job, look) for job in part],
            "COMMAND": [_command(job, look) for job in part],
        }

    yield from _lines(jobs, look, columns)
    if first and look.width is not None:
        yield ""
        yield look.fit(f"Why: queuectl show {first}    Again: queuectl dlq retry ID")


def _id(job: Job, look: Look) -> str:
    return one_line(job.id, look.width and max(12, look.width // 3))


def _why(job: Job, look: Look) -> str:
    return one_line(why(job), look.width and _room_for_why(look.width))


def _room_for_why(width: int) -> int:
    return max(8, min(20, width - 18), width // 2 - 8)


def _command(job: Job, look: Look) -> str:
    return one_line(command_line(job.command), look.width)


def _when(job: Job, look: Look, now: int) -> str:
    """When it is due, since when it runs, or when it ended."""
    if look.width is None:
        at = job.due_at
        if job.state == PROCESSING:
            at = job.started_at
        elif job.state in ENDED:
            at = job.finished_at
        return moment(look, at, now)
    if job.state == PROCESSING:
        return "for " + span((now - (job.started_at or now)) / 1000)
    if job.state in ENDED:
        return span((now - (job.finished_at or job.updated_at)) / 1000) + " ago"
    if waits_for_time(job, now):
        return "in " + span(((job.due_at or 0) - now) / 1000)
    return one_line(f"after {job.after[0]}", 14) if job.after else "due"
