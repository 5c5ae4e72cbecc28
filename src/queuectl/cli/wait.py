"""`queuectl wait`: wait until jobs have ended."""

from __future__ import annotations

import time

from queuectl.cli.context import note, out, out_json, store_of
from queuectl.cli.parser import duration, json_option
from queuectl.cli.waiting import changes, exit_code, patiently, say_if_stuck
from queuectl.errors import WAIT_TIMED_OUT
from queuectl.model import COMPLETED, ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.model import Job
    from queuectl.store.base import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("ids", metavar="ID", nargs="+", help="the jobs")
    parser.add_argument("--any", action="store_true", help="until the first of them has ended")
    parser.add_argument(
        "--timeout",
        metavar="D",
        type=duration("--timeout"),
        help="wait so long at most (then exit code 124); 0 looks once",
    )
    json_option(parser)
    parser.epilog = (
        "exit code: the job's own; 128+n after signal n or its time limit; 124 if waiting\n"
        "timed out; 125 if it was cancelled, or on a failure of queuectl's own.\n"
        "Several jobs: 0 if all completed, else 1."
    )


def run(args: argparse.Namespace) -> int:
    """Wait; the exit code is the job's."""
    ids = list(dict.fromkeys(args.ids))
    until = None if args.timeout is None else time.monotonic() + args.timeout
    with store_of(args) as store:
        jobs = [store.get(job_id) for job_id in ids]
        if not (args.any and any(job.state in ENDED for job in jobs)):
            for job in {job.queue: job for job in reversed(jobs)}.values():
                say_if_stuck(store, job)
        ended = _first(store, ids, until) if args.any else _all(store, ids, until)
        if ended is None:
            note("the time is up")
            return WAIT_TIMED_OUT
        _answer(args, store, ended)
    if len(ended) == 1:
        return exit_code(ended[0])
    return int(any(job.state != COMPLETED for job in ended))


def _all(store: Store, ids: Sequence[str], until: float | None) -> list[Job] | None:
    """All of the jobs, ended; None if the time was up before."""
    ended: list[Job] = []
    for job_id in ids:
        job = _first(store, [job_id], until)
        if job is None:
            return None
        ended += job
    return ended


def _first(store: Store, ids: Sequence[str], until: float | None) -> list[Job] | None:
    """The first of the jobs to end."""

    def look() -> list[Job]:
        for job_id in ids:
            job = store.get(job_id)
            if job.state in ENDED:
                return [job]
        return []

    for _ in changes(store, until):
        if ended := patiently(store, look, lambda: until and time.monotonic() >= until):
            return ended
    return None


def _answer(args: argparse.Namespace, store: Store, ended: Sequence[Job]) -> None:
    if args.json:
        from queuectl.cli.jsonshapes import job_json

        shapes = [job_json(job) for job in ended]
        out_json(shapes[0] if len(args.ids) == 1 or args.any else shapes)
        return
    if args.any:
        out(ended[0].id)
    for job in ended:
        if job.state != COMPLETED:
            from queuectl.cli.aftermath import limit_from_config
            from queuectl.cli.screens.words import why

            limit = limit_from_config(store, job)
            note(f"{job.id} is {job.state}: {why(job, limit)}")
