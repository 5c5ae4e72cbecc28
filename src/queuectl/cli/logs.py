"""`queuectl logs`: what a job printed."""

from __future__ import annotations

import sys

from queuectl.cli.aftermath import limit_from_config
from queuectl.cli.context import note, out_json, store_of
from queuectl.cli.follow import Follower
from queuectl.cli.jsonshapes import output_json
from queuectl.cli.outputs import STREAMS, Printer, Reader, last_lines
from queuectl.cli.parser import json_option, whole_number
from queuectl.cli.screens.words import runs_word, why
from queuectl.cli.waiting import changes, patiently, say_if_stuck
from queuectl.clock import now_ms
from queuectl.durations import format_duration
from queuectl.errors import BadInput, NotFound
from queuectl.model import COMPLETED, ENDED, FAILED, PENDING, PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.model import Attempt, Job
    from queuectl.store.base import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the job")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on until the job has ended"
    )
    parser.add_argument(
        "-n", "--lines", metavar="N", type=whole_number("-n", 0), help="only the last N lines"
    )
    parser.add_argument(
        "--attempt",
        metavar="N",
        type=whole_number("--attempt", 1),
        help="of run N, not the last",
    )
    parser.add_argument("--stream", choices=tuple(STREAMS.values()), help="only this one")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print a run's output, or follow the job to its end."""
    streams = [stream for stream, name in STREAMS.items() if args.stream in (None, name)]
    if args.follow:
        for option, given in (("--json", args.json), ("--attempt", args.attempt)):
            if given:
                raise BadInput(f"-f and {option} can't go together")
        with store_of(args) as store:
            _follow(store, args.id, streams, args.lines)
        return 0
    with store_of(args) as store:
        job, history = store.get(args.id), store.history(args.id)
        attempt = _chosen(job, history, args.attempt)
        pieces = [] if attempt is None else Reader(store, attempt.token, streams).read()
    if args.lines is not None:
        pieces = last_lines(pieces, args.lines)
    if args.json:
        out_json(output_json(job.id, None if attempt is None else attempt.attempt, pieces))
        return 0
    printer = Printer()
    printer.print(pieces)
    printer.end()
    if attempt is None:
        note(f"{job.id} is {job.state} and has not run yet")
    elif not pieces and sys.stderr.isatty():
        note(f"run {attempt.attempt} of {job.id} printed nothing{_so_far(attempt)}")
    return 0


def _follow(store: Store, job_id: str, streams: Sequence[int], lines: int | None) -> None:
    """Print what the job's runs say, from the present one on, until the job has ended."""
    job = store.get(job_id)
    # A job that waits for its first start has nothing to say of an earlier life.
    past = job.runs - (job.state != PENDING)
    tokens = [run.token for run in store.history(job_id) if run.attempt <= past]
    after = tokens[-1] if tokens else 0
    follower = Follower(store, job_id, after=after, streams=streams, lines=lines)
    said = ""
    for _ in changes(store):
        job = patiently(store, follower.look)
        if job.state in ENDED:
            break
        if job.state not in (said, PROCESSING):
            _say(_waits(job))
            say_if_stuck(store, [job])
        said = job.state
    if job.state != COMPLETED:
        _say(f"{job.id} is {job.state}: {why(job, limit_from_config(store, job))}")


def _waits(job: Job) -> str:
    if job.state == FAILED:
        seconds = max(0, (job.due_at or 0) - now_ms()) / 1000
        return (
            f"run {runs_word(job)} of {job.id}: {why(job)}; again in {format_duration(seconds)}"
        )
    return f"{job.id} is {job.state}: waiting for it to start"


def _say(text: str) -> None:
    """Something for a person who watches; scripts get the job's own words alone."""
    if sys.stderr.isatty():
        note(text)


def _chosen(job: Job, history: Sequence[Attempt], number: int | None) -> Attempt | None:
    """The run that was asked for, else the last; None if there is none yet."""
    if number is None:
        return history[-1] if history else None
    for attempt in history:
        if attempt.attempt == number:
            return attempt
    raise NotFound(f"{job.id} has no run {number}", f"queuectl show {job.id}")


def _so_far(attempt: Attempt) -> str:
    return " so far" if attempt.outcome == PROCESSING else ""
