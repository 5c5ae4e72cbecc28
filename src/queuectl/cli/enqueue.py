"""`queuectl enqueue`: add a job, or a file of jobs."""

from __future__ import annotations

from queuectl.cli.context import (
    answer,
    intake_of,
    note,
    on_terminal,
    out,
    out_json,
    store_of,
    warn_if_held,
)
from queuectl.cli.newjobs import add_job_options, command_of, fields_of, spec_of, when_it_runs
from queuectl.cli.parser import ANYWHERE, json_option
from queuectl.clock import now_ms
from queuectl.errors import BadInput, StoreError
from queuectl.model import CANCELLED
from queuectl.worker.doorbell import Bells, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from queuectl.cli.parser import Parser
    from queuectl.model import Command, NewJob
    from queuectl.store.base import Intake, Store

_EPILOG = """\
3 runs at most, of 5 minutes at most, unless asked for; for all new jobs:
queuectl config set job-timeout none, queuectl config set max-retries 1

examples:
  queuectl enqueue 'python train.py > log'        a line for the shell
  queuectl enqueue -- python train.py --lr 0.1    a program with its arguments
  queuectl enqueue '{"command": "ls"}'            JSON, keys as in show --json
  queuectl enqueue --file jobs.txt --queue night  JSON or shell lines
"""


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.command_ends_options = ANYWHERE
    parser.usage_words = "COMMAND | -- PROGRAM ARG … | --file F"
    parser.epilog = _EPILOG
    json_option(parser)
    add = parser.add_argument_group("many jobs").add_argument
    add("--file", metavar="F", help="one job a line; - is standard input")
    add("--skip-bad", action="store_true", help="leave bad lines out and name them")
    add("--stream", action="store_true", help="accept lines as they arrive")
    add_job_options(parser)


def run(args: argparse.Namespace) -> int:
    """Enqueue; print the id, or how many."""
    now = now_ms()
    command = command_of(args, "enqueue")
    if args.file is not None:
        if command is not None:
            raise BadInput("--file and a command can't both be given")
        from queuectl.cli.manyjobs import enqueue_file

        return enqueue_file(args, now)
    for option in ("skip_bad", "stream"):
        if getattr(args, option):
            raise BadInput(f"--{option.replace('_', '-')} goes with --file")
    if command is None:
        raise BadInput(
            "there is nothing to enqueue",
            "queuectl enqueue 'python train.py'; --file - reads standard input",
        )
    if command == "-":
        raise BadInput(
            "- alone is no command", "queuectl enqueue --file - reads standard input"
        )
    fields = fields_of(args, now)
    if args.json:
        with store_of(args) as store:
            _job, job_id = _accept(store, command, fields, now)
            answer(f"{job_id} is enqueued", lambda: _out_json(store, job_id))
        return 0
    with intake_of(args) as intake:
        job, job_id = _accept(intake, command, fields, now)
    answer(f"{job_id} is enqueued", lambda: out(job_id))
    if job.run_at is not None or job.after or on_terminal():
        try:
            with store_of(args) as store:
                say_what_holds_it(store, job, job_id, now)
        except StoreError:
            return 0  # it is accepted, whatever fails now
    return 0


def _accept(
    intake: Intake, command: Command, fields: dict[str, Any], now: int
) -> tuple[NewJob, str]:
    spec = spec_of(intake, fields)
    if isinstance(command, str):
        job = spec.from_line(command, now)
    else:
        job = spec.from_command(command, now)
    bells = Bells(intake.uid)
    job_id = intake.enqueue([job], now)[0]
    call(intake, bells)
    return job, job_id


def _out_json(store: Store, job_id: str) -> None:
    from queuectl.cli.jsonshapes import job_json
    from queuectl.cli.waiting import patiently

    out_json(job_json(patiently(store, lambda: store.get(job_id))))


def say_what_holds_it(store: Store, job: NewJob, job_id: str, now: int) -> None:
    """Tell a person when the job runs, if that is not now, and if nobody would run it."""
    if job.run_at is not None:
        note(when_it_runs(job_id, job.run_at, now))
    if job.after and (accepted := store.get(job_id)).state == CANCELLED:
        note(f"{job_id} is cancelled: {accepted.error}")
    elif on_terminal():
        warn_if_held(store, [job.queue])
