"""`queuectl wait`: wait until jobs have ended."""

from __future__ import annotations

import time

from queuectl.cli.context import note, out, out_json, out_json_array, store_of
from queuectl.cli.filters import add_filters, filter_of, is_filtered
from queuectl.cli.parser import duration, json_option
from queuectl.cli.waiting import changes, exit_code, patiently, say_if_stuck
from queuectl.clock import now_ms
from queuectl.errors import WAIT_TIMED_OUT, BadInput, JobNotFound
from queuectl.model import COMPLETED, ENDED, FAILED, PENDING, PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from queuectl.model import Job
    from queuectl.store.base import Store

_GOING_ON = (PENDING, PROCESSING, FAILED)
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
        waited = _Waited(_jobs(args, store), whole=args.json)
        if not (args.any and waited.ended):
            say_if_stuck(store, list(waited.first_of_queue.values())[::-1])
        enough = 1 if args.any else len(waited.ids)
        ended = _ended(store, waited, enough, until, may_go=not args.ids)
        if ended is None:
            note(_time_is_up(waited.left, len(waited.ids)))
            return WAIT_TIMED_OUT
        _answer(args, store, ended)
    if len(ended) == 1 and (args.ids or args.any):
        (job,) = ended.values()
        return exit_code(job) if job else 0
    return int(any(job and job.state != COMPLETED for job in ended.values()))


class _Waited:
    """The jobs that are waited for, and those of them that have ended. There may be very many:
    of those that completed only the ids are kept, unless they are wanted whole."""

    def __init__(self, jobs: Iterable[Job], *, whole: bool) -> None:
        self._whole = whole
        self.ids: list[str] = []
        self.ended: dict[str, Job | None] = {}
        self.left: dict[str, str] = {}
        """With their states."""
        self.first_of_queue: dict[str, Job] = {}
        for job in jobs:
            self.ids.append(job.id)
            self.first_of_queue[job.queue] = job
            if job.state in ENDED:
                self.end(job)
            else:
                self.left[job.id] = job.state
        self.ids.reverse()
        self.left = {job_id: self.left[job_id] for job_id in reversed(self.left)}

    def end(self, job: Job) -> None:
        """This one has ended."""
        self.ended[job.id] = job if self._whole or job.state != COMPLETED else None
        self.left.pop(job.id, None)


def _jobs(args: argparse.Namespace, store: Store) -> Iterable[Job]:
    """Those that are named, or are chosen by options at this moment, the last ones first."""
    if not args.ids and not is_filtered(args):
        raise BadInput("which jobs to wait for?", "ids, or --state, --queue, --tag, --since")
    if not args.ids:
        return store.each_job(filter_of(args, now_ms()))
    if is_filtered(args):
        raise BadInput("either ids or options that choose jobs, not both")
    return [store.get(job_id) for job_id in dict.fromkeys(args.ids)][::-1]


def _ended(
    store: Store, waited: _Waited, enough: int, until: float | None, *, may_go: bool
) -> dict[str, Job | None] | None:
    """So many of the jobs, ended, in their order; None if the time was up before. Fewer if
    some were deleted, which they may be if nobody named them."""
    ended, left = waited.ended, waited.left

    def look() -> None:
        # At all of them: one that has ended may be purged while another still runs.
        states = store.states(list(left))
        left.update(states)
        for job_id in [job_id for job_id in left if states.get(job_id) not in _GOING_ON]:
            try:
                job = store.get(job_id)
            except JobNotFound:
                if not may_go:
                    raise
                del left[job_id]
                continue
            if job.state in ENDED:
                waited.end(job)

    for _ in changes(store, until):
        if len(ended) < enough:
            patiently(store, look, lambda: until and time.monotonic() >= until)
        if len(ended) >= enough or not left:
            ids = [job_id for job_id in waited.ids if job_id in ended][:enough]
            return {job_id: ended[job_id] for job_id in ids}
    return None


def _time_is_up(left: Mapping[str, str], total: int) -> str:
    """What to say then of the jobs that have not ended."""
    if total == 1:
        ((job_id, state),) = left.items()
        return f"the time is up: {job_id} is {state}"
    named = [f"{job_id} ({state})" for job_id, state in list(left.items())[:_JOBS_NAMED]]
    more = f" and {len(left) - _JOBS_NAMED:,} more" if len(left) > _JOBS_NAMED else ""
    have = "has" if len(left) == 1 else "have"
    open_ = f"{len(left):,} of {total:,} {have} not ended"
    return f"the time is up: {open_}: {', '.join(named)}{more}"


def _answer(args: argparse.Namespace, store: Store, ended: Mapping[str, Job | None]) -> None:
    if args.json:
        from queuectl.cli.jsonshapes import job_json

        shapes = (job_json(job) for job in ended.values() if job)
        if len(args.ids) == 1 or args.any:
            for shape in shapes:
                out_json(shape)
        else:
            out_json_array(shapes)
        return
    if not ended:
        note("no job fits")
    elif args.any:
        out(next(iter(ended)))
    for job in ended.values():
        if job and job.state != COMPLETED:
            from queuectl.cli.aftermath import limit_from_config
            from queuectl.cli.screens.words import why

            limit = limit_from_config(store, job)
            note(f"{job.id} is {job.state}: {why(job, limit)}")
