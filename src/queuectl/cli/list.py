"""`queuectl list`: jobs, newest first."""

from __future__ import annotations

import sys

from queuectl.cli.context import note, out, out_json, store_of
from queuectl.cli.filters import UNSET, add_filters, filter_of
from queuectl.cli.jsonshapes import job_json
from queuectl.cli.parser import json_option
from queuectl.cli.screens.jobs import TABLE_ROWS, render_jobs
from queuectl.cli.screens.layout import Look, count
from queuectl.clock import now_ms
from queuectl.model import DEAD, FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from queuectl.model import Filter, Stats
    from queuectl.store.base import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_filters(parser)
    json_option(parser)
    parser.add_argument("--jsonl", action="store_true", help="print JSON, a line a job")
    parser.add_argument("--reveal", action="store_true", help="in JSON, show values of env")


def run(args: argparse.Namespace) -> int:
    """Print the jobs that fit."""
    now = now_ms()
    with store_of(args) as store:
        if args.json or args.jsonl:
            jobs = [
                job_json(job, reveal=args.reveal)
                for job in store.list_jobs(filter_of(args, now))
            ]
            if args.jsonl:
                for job in jobs:
                    out_json(job)
            else:
                out_json(jobs)
            return 0
        _print_table(store, filter_of(args, now, limit=TABLE_ROWS), args.limit == UNSET, now)
    return 0


def _print_table(store: Store, which: Filter, may_be_more: bool, now: int) -> None:
    # one more than is shown tells whether there are more
    asked = which.replace(limit=TABLE_ROWS + 1) if may_be_more else which
    jobs = store.list_jobs(asked)
    shown = jobs[:TABLE_ROWS] if may_be_more else jobs
    out("\n".join(render_jobs(shown, Look.of(sys.stdout), now)))
    if len(jobs) > len(shown):
        note(_more(which, store.stats()))
    if not jobs:
        note(_why_empty(which, store.stats()))


def _more(which: Filter, stats: Stats) -> str:
    if which.tag is None and which.since is None:
        rest = count(_counted(which, stats) - TABLE_ROWS, "more", "more")
        return f"the newest {TABLE_ROWS}; {rest}: --limit N or --limit all"
    return f"the newest {TABLE_ROWS} of more: --limit N or --limit all"


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
