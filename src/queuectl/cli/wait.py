"""`queuectl wait`: wait until jobs have ended."""

from __future__ import annotations

import time

from queuectl.cli.context import note, out, out_json, store_of
from queuectl.cli.filters import add_filters, filter_of, is_filtered
from queuectl.cli.parser import duration, json_option
from queuectl.cli.waiting import changes, exit_code, patiently, say_if_stuck
from queuectl.clock import now_ms
from queuectl.errors import WAIT_TIMED_OUT, BadInput, JobNotFound
from queuectl.model import COMPLETED, ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.model import Job
    from queuectl.store.base import Store

_JOBS_NAMED = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("ids", metavar="ID", nargs="*", help="the jobs")
    add_filters(parser)
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
        "Several jobs, or options that choose them: 0 if all completed, else 1."
    )


def run(args: argparse.Namespace) -> int:
    """Wait; the exit code is the job's."""
    until = None if args.timeout is None else time.monotonic() + args.timeout
    with store_of(args) as store:
        jobs = _jobs(args, store)
        if not (args.any and any(job.state in ENDED for job in jobs)):
            for job in {job.queue: job for job in reversed(jobs)}.values():
                say_if_stuck(store, job)
        enough = 1 if args.any else len(jobs)
        ended, left = _ended(store, jobs, enough, until, may_go=not args.ids)
        if len(ended) < enough and left:
            note(_time_is_up(left, len(jobs)))
            return WAIT_TIMED_OUT
        _answer(args, store, ended)
    if len(ended) == 1 and (args.ids or args.any):
        return exit_code(ended[0])
    return int(any(job.state != COMPLETED for job in ended))


def _jobs(args: argparse.Namespace, store: Store) -> list[Job]:
    """Those that are named, or are chosen by options at this moment, oldest first."""
    if not args.ids and not is_filtered(args):
        raise BadInput("which jobs to wait for?", "ids, or --state, --queue, --tag, --since")
    if not args.ids:
        return store.list_jobs(filter_of(args, now_ms()))[::-1]
    if is_filtered(args):
        raise BadInput("either ids or options that choose jobs, not both")
    return [store.get(job_id) for job_id in dict.fromkeys(args.ids)]


def _ended(
    store: Store, jobs: Sequence[Job], enough: int, until: float | None, *, may_go: bool
) -> tuple[list[Job], list[Job]]:
    """So many of the jobs, ended, in their order, and those that have not. Fewer if the time
    was up, or some were deleted, which they may be if nobody named them."""
    ended = {job.id: job for job in jobs if job.state in ENDED}
    left = {job.id: job for job in jobs if job.id not in ended}

    def look() -> None:
        # At all of them: one that has ended may be purged while another still runs.
        for job_id in list(left):
            try:
                job = store.get(job_id)
            except JobNotFound:
                if not may_go:
                    raise
                del left[job_id]
                continue
            if job.state in ENDED:
                ended[job_id] = job
                del left[job_id]
            else:
                left[job_id] = job

    for _ in changes(store, until):
        if len(ended) < enough:
            patiently(store, look, lambda: until and time.monotonic() >= until)
        if len(ended) >= enough or not left:
            break
    return [ended[job.id] for job in jobs if job.id in ended][:enough], list(left.values())


def _time_is_up(left: Sequence[Job], total: int) -> str:
    """What to say then of the jobs that have not ended."""
    if total == 1:
        return f"the time is up: {left[0].id} is {left[0].state}"
    listed = ", ".join([f"{job.id} ({job.state})" for job in left[:_JOBS_NAMED]])
    more = f" and {len(left) - _JOBS_NAMED:,} more" if len(left) > _JOBS_NAMED else ""
    have = "has" if len(left) == 1 else "have"
    return f"the time is up: {len(left):,} of {total:,} {have} not ended: {listed}{more}"


def _answer(args: argparse.Namespace, store: Store, ended: Sequence[Job]) -> None:
    if args.json:
        from queuectl.cli.jsonshapes import job_json

        shapes = [job_json(job) for job in ended]
        for shape in shapes if len(args.ids) == 1 or args.any else [shapes]:
            out_json(shape)
        return
    if not ended:
        note("no job fits")
    elif args.any:
        out(ended[0].id)
    for job in ended:
        if job.state != COMPLETED:
            from queuectl.cli.aftermath import limit_from_config
            from queuectl.cli.screens.words import why

            limit = limit_from_config(store, job)
            note(f"{job.id} is {job.state}: {why(job, limit)}")
