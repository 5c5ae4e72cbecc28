"""`queuectl run`: add a job, show its output, end with its exit code."""

from __future__ import annotations

import signal

from queuectl.cli.context import note, on_terminal, store_of
from queuectl.cli.follow import Follower
from queuectl.cli.newjobs import add_job_options, command_of, fields_of, spec_of
from queuectl.cli.parser import FIRST_WORD
from queuectl.cli.waiting import changes, exit_code, patiently, say_if_stuck
from queuectl.clock import now_ms
from queuectl.errors import BadInput
from queuectl.jobspec import fields_of_line
from queuectl.model import CANCELLED, COMPLETED, ENDED
from queuectl.worker.doorbell import Bells, call, wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from queuectl.cli.parser import Parser
    from queuectl.store.base import Store

# A prefix before a command must not run it twice, nor end it, unless that is asked for.
_UNLESS_GIVEN = {"max_retries": 1, "timeout_seconds": 0}


def configure(parser: Parser) -> None:
    """Declare the options."""
    parser.command_ends_options = FIRST_WORD
    parser.usage_words = "[--] PROGRAM ARG …"
    parser.add_argument("--keep", action="store_true", help="Ctrl+C leaves the job running")
    add_job_options(parser)
    parser.epilog = (
        "One run and no time limit, unless asked for. Options end at the first word.\n"
        "Ctrl+C and SIGTERM cancel the job; SIGHUP leaves it running."
    )


def run(args: argparse.Namespace) -> int:
    """Enqueue, follow, wait."""
    now = now_ms()
    given = _given(args)
    options = fields_of(args, now)
    for name, value in _UNLESS_GIVEN.items():
        if name not in options and given.get(name) is None:
            given[name] = value
    with store_of(args) as store:
        job = spec_of(store, options).from_fields(given, now)
        with _Signals() as signals:
            bells = Bells(store.uid)
            job_id = store.enqueue([job], now)[0]
            call(store, bells)
            if on_terminal():
                note(f"{job_id} enqueued")
            patiently(
                store,
                lambda: say_if_stuck(store, [store.get(job_id)]),
                lambda: signals.caught,
            )
            return _follow(store, job_id, signals, keep=args.keep)


def _given(args: argparse.Namespace) -> dict[str, Any]:
    if args.tail is None and len(args.words) > 1:
        return {"command": args.words}
    command = command_of(args, "run")
    if command is None:
        raise BadInput("there is nothing to run", "queuectl run -- python train.py")
    return fields_of_line(command) if isinstance(command, str) else {"command": command}


def _follow(store: Store, job_id: str, signals: _Signals, *, keep: bool) -> int:
    follower = Follower(store, job_id)
    asked = False
    try:
        for _ in changes(store, wake=lambda: signals.caught):
            job = patiently(store, follower.look, lambda: signals.caught)
            if job.state in ENDED:
                break
            if signals.caught and not asked:
                if keep or signals.caught == signal.SIGHUP:
                    note(f"{job_id} goes on: queuectl logs {job_id} -f")
                    return 128 + signals.caught
                asked = True
                note(f"cancelling {job_id}; Ctrl+C again: don't wait for its end")
                _cancel(store, job_id)
    except BrokenPipeError:
        # As a pipe's writer would, the job ends when nobody reads on.
        if not keep:
            _cancel(store, job_id)
        raise
    if job.state == CANCELLED and asked:
        return 128 + signals.caught
    if job.state != COMPLETED and (job.exit_code is None or job.outcome != "failed"):
        from queuectl.cli.screens.words import why

        note(f"queuectl: {job_id} is {job.state}: {why(job)}")
    return exit_code(job)


def _cancel(store: Store, job_id: str) -> None:
    store.cancel([job_id], now_ms())
    wake(store)


class _Signals:
    """Remembers the first signal that asks to leave; a second Ctrl+C leaves at once."""

    def __init__(self) -> None:
        self.caught = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            before = signal.getsignal(number)
            if before is not signal.SIG_IGN:  # nohup, or a shell's background job
                self._before[number] = before
                signal.signal(number, self._catch)
        return self

    def __exit__(self, *_error: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _catch(self, number: int, _frame: object) -> None:
        if self.caught:
            raise KeyboardInterrupt
        self.caught = number
