"""How values stand in rows: what is more than a number or a word in text columns, and what
the columns that both databases answer with make up."""

from __future__ import annotations

import json

from queuectl.model import STATES, Event, Job, Metrics, QueueInfo, Stats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from queuectl.model import Command

MEASURED_RUNS = 1000
"""Of how many runs `Metrics` has the durations."""

_NUMBERS_END = 10**18

compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def made_up_number(job_id: str) -> int | None:
    """17 for `j17`, None for an id that can't have been made up."""
    digits = job_id[1:]
    if job_id[:1] != "j" or not (digits.isascii() and digits.isdigit()) or digits[0] == "0":
        return None
    return int(digits) if len(digits) < 19 else None


def made_up_ranges(beginning: str) -> list[tuple[int, int]]:
    """(12, 12), (120, 129), (1200, 1299) … for `j12`: the numbers of the made-up ids that
    begin so."""
    number = made_up_number(beginning)
    if number is None and beginning != "j":
        return []
    low, high = (1, 9) if number is None else (number, number)
    ranges = []
    while high < _NUMBERS_END:
        ranges.append((low, high))
        low, high = low * 10, high * 10 + 9
    return ranges


def stored_command(command: Command) -> tuple[str, bool]:
    """(text, whether it is an argument list in JSON)."""
    return (command, False) if isinstance(command, str) else (compact(command), True)


def read_command(text: str, is_argv: int) -> Command:
    """The reverse of `stored_command`."""
    return tuple(json.loads(text)) if is_argv else text


def store_map(values: Mapping[str, str]) -> str | None:
    """A JSON object, or nothing if there is nothing in it."""
    return compact(values) if values else None


def read_map(text: str | None) -> Mapping[str, str]:
    """The reverse of `store_map`."""
    return json.loads(text) if text else {}


def store_list(values: Iterable[Any]) -> str | None:
    """A JSON array, or nothing if there is nothing in it."""
    listed = list(values)
    return compact(listed) if listed else None


def read_list(text: str | None) -> tuple[str, ...]:
    """The reverse of `store_list`."""
    return tuple(json.loads(text)) if text else ()


def read_job(row: Sequence[Any]) -> Job:
    """A row of `whole_jobs`, to which a newer queuectl may have added columns."""
    job_id, command, is_argv, *before, after, cwd, env, tags = row[:16]
    behind = row[16 : 1 + len(Job._fields)]
    return Job.make(
        (
            job_id,
            read_command(command, is_argv),
            *before,
            read_list(after),
            cwd,
            read_map(env),
            read_list(tags),
            *behind,
        )
    )


def grouped(rows: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Pairs of ids, by the first of each."""
    groups: dict[str, list[str]] = {}
    for first, second in rows:
        groups.setdefault(first, []).append(second)
    return groups


def read_stats(rows: Iterable[Sequence[Any]], due: Mapping[str, int | None]) -> Stats:
    """Rows of `queue_counts`, and what `oldest_due` says of each queue."""
    queues: dict[str, QueueInfo] = {}
    counts: dict[str, dict[str, int]] = {}
    for name, paused, limit, state, n in rows:
        if name not in queues:
            counts[name] = dict.fromkeys(STATES, 0)
            queues[name] = QueueInfo(name, bool(paused), limit, counts[name], due.get(name))
        if state is not None:
            counts[name][state] = n
    return Stats(
        {state: sum([queue[state] for queue in counts.values()]) for state in STATES},
        list(queues.values()),
        min([at for at in due.values() if at is not None], default=None),
    )


def read_metrics(
    totals: Iterable[tuple[str, int]], runs: Sequence[tuple[Any, ...]], recent: int
) -> Metrics:
    """Rows of `totals`, and of `recent_runs`, of which there are MEASURED_RUNS or more."""
    events = dict.fromkeys(("enqueued", "started", "completed", "failed", "dlq"), 0)
    events.update(totals)
    measured = runs[:MEASURED_RUNS]
    ends = [run[0] for run in measured]
    return Metrics(
        events,
        [run[3] for run in measured if run[3] is not None],
        (min(ends), max(ends)) if ends else None,
        [Event.make(run) for run in runs[:recent]],
    )
