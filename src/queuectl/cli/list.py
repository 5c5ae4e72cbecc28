"""`queuectl list`: jobs, newest first."""

from __future__ import annotations

import sys

from queuectl.cli.context import note, out, out_json, out_json_array, store_of
from queuectl.cli.filters import UNSET, add_filters, filter_of
from queuectl.cli.jsonshapes import job_json
from queuectl.cli.parser import json_option
from queuectl.cli.screens.jobs import TABLE_ROWS, render_jobs
from queuectl.cli.screens.layout import Look, count
from queuectl.clock import now_ms
from queuectl.model import DEAD, FAILED, LAST_DIED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

    from queuectl.model import Filter, Job, Stats
    from queuectl.store.base import Store


def configure(parser: argparse.ArgumentParser, *, by_state: bool = True) -> None:
    """Declare the options."""
    add_filters(parser, by_state=by_state)
    json_option(parser)
    parser.add_argument("--jsonl", action="store_true", help="print JSON, a line a job")
    parser.add_argument("--reveal", action="store_true", help="in JSON, show values of env")
    parser.epilog = f"The table shows {TABLE_ROWS} unless --limit is given, JSON all."


def run(args: argparse.Namespace) -> int:
    """Print the jobs that fit."""
    now = now_ms()
    which = filter_of(args, now)
    with store_of(args) as store:
        if args.json or args.jsonl:
            print_json(args, store.each_job(which))
            return 0
        jobs, rest = fitting(args, store, which)
        shown = print_lines(render_jobs(jobs, Look.of(sys.stdout), now))
        if rest or not shown:
            note(rest or _why_empty(which, store.stats()))
    return 0


def print_json(args: argparse.Namespace, jobs: Iterable[Job]) -> None:
    """One array, or a line a job."""
    shapes = (job_json(job, reveal=args.reveal) for job in jobs)
    if args.jsonl:
        for shape in shapes:
            out_json(shape)
    else:
        out_json_array(shapes)


def print_lines(lines: Iterable[str]) -> int:
    """A table; how many lines stand under its header."""
    printed = 0
    for line in lines:
        out(line)
        printed += 1
    return max(0, printed - 1)


def fitting(args: argparse.Namespace, store: Store, which: Filter) -> tuple[Iterable[Job], str]:
    """The jobs for a table, and what to say of the rest."""
    if args.limit != UNSET:
        return store.each_job(which), ""
    # one more than is shown tells whether there are more
    jobs = store.list_jobs(which.replace(limit=TABLE_ROWS + 1))
    rest = _more(which, store.stats()) if len(jobs) > TABLE_ROWS else ""
    return jobs[:TABLE_ROWS], rest


def _more(which: Filter, stats: Stats) -> str:
    shown = f"the {'last' if which.order == LAST_DIED else 'newest'} {TABLE_ROWS}"
    if which.tag is None and which.since is None:
        rest = count(_counted(which, stats) - TABLE_ROWS, "more", "more")
        return f"{shown}; {rest}: --limit N or --limit all"
    return f"{shown}; there are more: --limit N or --limit all"


def _why_empty(which: Filter, stats: Stats) -> str:
    dead = _counted(which.replace(states=(DEAD,)), stats)
    if which.states == (FAILED,) and dead:
        return f"{count(dead, 'is', 'are')} dead: queuectl dlq list"
    if not sum(stats.counts.values()):
        return "no jobs yet: queuectl enqueue 'echo hello'"
    return "no job fits"


def _counted(which: Filter, stats: Stats) -> int:
    """How many jobs of these states are in the queue, or in all."""
    counts = stats.counts
    if which.queue is not None:
        queues = [queue for queue in stats.queues if queue.name == which.queue]
        counts = queues[0].counts if queues else {}
    return sum([n for state, n in counts.items() if not which.states or state in which.states])
