"""Enqueueing a file, a line a job: all or nothing, or as the lines arrive."""

from __future__ import annotations

import io
import os
from contextlib import suppress

from queuectl.cli.context import (
    answer,
    as_one_line,
    note,
    on_terminal,
    out,
    out_json,
    store_of,
    warn_if_held,
)
from queuectl.cli.newjobs import fields_of, spec_of, when_it_runs
from queuectl.clock import now_ms
from queuectl.errors import BadInput, JobExists, JobNotFound, StoreError
from queuectl.worker.doorbell import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from queuectl.errors import QueuectlError
    from queuectl.jobspec import JobSpec
    from queuectl.model import NewJob
    from queuectl.store.base import Store

_BLOCK = 256 * 1024
_WORTH_A_BAR = 20_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def enqueue_file(args: argparse.Namespace, now: int) -> int:
    """`enqueue --file`: print how many jobs there are now, and how many lines were left out."""
    if args.id is not None:
        raise BadInput("--id names one job, --file brings many", '"id" in each JSON line')
    fields = fields_of(args, now)
    source = _open(args.file)
    try:
        with store_of(args) as store:
            lines = _Lines(store, spec_of(store, fields), skip_bad=args.skip_bad)
            blocks = _blocks(source, args.file)
            try:
                if args.stream:
                    _as_they_arrive(lines, blocks)
                else:
                    _all_or_nothing(lines, blocks)
            except (BadInput, JobExists, JobNotFound) as error:
                error.message += f"; {_accepted(lines.enqueued)} enqueued"
                raise
            except StoreError as error:
                if lines.enqueued:
                    error.message += f"; {_count(lines.enqueued, 'job')} enqueued before"
                raise
            done = f"{_count(lines.enqueued, 'job')} enqueued"
            answer(done, lambda: _answer(args, lines, done))
            if on_terminal() and not args.json:
                with suppress(StoreError):  # they are accepted, whatever fails now
                    warn_if_held(store, sorted(lines.queues))
            if not args.json and ("run_at" in fields or "delay" in fields):
                run_at = fields.get("run_at", now + round(fields.get("delay", 0) * 1000))
                note(when_it_runs("the first", run_at, now))
    finally:
        os.close(source)
    return 0


class _Lines:
    """Lines on their way to jobs: counts them, and names the bad ones."""

    def __init__(self, store: Store, spec: JobSpec, *, skip_bad: bool) -> None:
        self.store = store
        self.spec = spec
        self.skip_bad = skip_bad
        self.read = 0
        self.bad = 0
        """The line that ended it."""
        self.skipped = 0
        self.enqueued = 0
        self.first = self.last = ""
        self.queues: set[str] = set()
        self._line_of: dict[str, int] = {}

    def jobs(self, lines: Iterable[bytes], now: int, jobs: list[tuple[int, NewJob]]) -> None:
        """Add the jobs of more lines, with their line numbers. Empty lines and comments
        are none. Raises BadInput; what stood before the bad line has been added."""
        from_line, line_of = self.spec.from_line, self._line_of
        number = self.read
        if number == 0:
            lines = _without_mark(lines)
        for raw in lines:
            number += 1
            self.read = number
            line = raw.strip()
            if not line or line.startswith(b"#"):
                continue
            try:
                job = from_line(line.decode(), now)
                if job.id is not None:
                    if job.id in line_of:
                        raise BadInput(f"id {job.id} stands in line {line_of[job.id]} too")
                    line_of[job.id] = number
            except UnicodeDecodeError:
                self._bad(number, BadInput("this is not valid UTF-8"))
            except BadInput as error:
                self._bad(number, error)
            else:
                jobs.append((number, job))

    def enqueue(self, jobs: Sequence[tuple[int, NewJob]], now: int) -> None:
        """Hand the jobs to the store, all or none. Raises JobExists or JobNotFound."""
        while jobs:
            try:
                ids = self.store.enqueue([job for _number, job in jobs], now)
            except (JobExists, JobNotFound) as error:
                jobs = self._without_refused(jobs, error)
                continue
            wake(self.store)
            self.enqueued += len(ids)
            self.first, self.last = self.first or ids[0], ids[-1]
            self.queues.update({job.queue for _number, job in jobs})
            break
        self._line_of.clear()

    def _without_refused(
        self, jobs: Sequence[tuple[int, NewJob]], error: JobExists | JobNotFound
    ) -> list[tuple[int, NewJob]]:
        """The jobs less those that the store refuses for the error's reason, or because they
        wait for one of these."""
        kept = []
        missing = {error.job_id} if isinstance(error, JobNotFound) else set()
        there = self.store.states([job.id for _number, job in jobs if job.id is not None])
        for number, job in jobs:
            refusal = self._refusal(job, error, missing, there)
            if refusal is None:
                kept.append((number, job))
                missing.discard(job.id)
                continue
            self._bad(number, refusal)
            if job.id is not None and job.id not in there:
                missing.add(job.id)
        if len(kept) == len(jobs):
            raise error
        return kept

    def _refusal(
        self,
        job: NewJob,
        error: JobExists | JobNotFound,
        missing: Collection[str],
        there: Mapping[str, str],
    ) -> QueuectlError | None:
        for name in job.after:
            if name in missing:
                return JobNotFound(name)
        if job.id is None or isinstance(error, JobNotFound):
            return None
        if job.id == error.job_id:
            return error
        # All that are there at once, not one a turn.
        return JobExists(job.id, there[job.id]) if self.skip_bad and job.id in there else None

    def _bad(self, number: int, error: QueuectlError) -> None:
        message = f"line {number}: {error.message}"
        if not self.skip_bad:
            self.bad = number
            error.message = message
            error.hint = _hint(error)
            raise error
        self.skipped += 1
        note(as_one_line(message))


def _hint(error: QueuectlError) -> str:
    """How to mend a line, unless that is told of a command line, and how to do without it."""
    mend = error.hint if error.hint and "queuectl " not in error.hint else ""
    if mend:
        mend += " " if mend.endswith("?") else "; "
    return f"{mend}--skip-bad leaves bad lines out"


def _all_or_nothing(lines: _Lines, blocks: Iterable[bytes]) -> None:
    now = now_ms()
    jobs: list[tuple[int, NewJob]] = []
    raw = io.BytesIO(b"".join(blocks))
    count = raw.getvalue().count(b"\n")
    if count < _WORTH_A_BAR or not on_terminal():
        lines.jobs(raw, now, jobs)
        raw.close()  # the store may need the room
        lines.enqueue(jobs, now)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        lines.jobs(progress.track(raw, total=count, description="reading"), now, jobs)
        raw.close()
        progress.add_task(f"writing {len(jobs):,} jobs", total=None)
        lines.enqueue(jobs, now)


def _as_they_arrive(lines: _Lines, blocks: Iterable[bytes]) -> None:
    rest = b""
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        _at_once(lines, whole)
    _at_once(lines, [rest])


def _at_once(lines: _Lines, raw: Sequence[bytes]) -> None:
    """Accept a block, or of one with bad lines what stands before the first."""
    now = now_ms()
    jobs: list[tuple[int, NewJob]] = []
    refusal: QueuectlError | None = None
    try:
        lines.jobs(raw, now, jobs)
    except BadInput as error:
        refusal = error
    while jobs:
        try:
            lines.enqueue(jobs, now)
            break
        except (JobExists, JobNotFound) as error:
            refusal = error
            before = [(number, job) for number, job in jobs if number < lines.bad]
            jobs = before if len(before) < len(jobs) else []
    if refusal is not None:
        raise refusal


def _answer(args: argparse.Namespace, lines: _Lines, done: str) -> None:
    if args.json:
        out_json({"enqueued": lines.enqueued, "skipped": lines.skipped})
        return
    ids = f": {lines.first} … {lines.last}" if lines.enqueued > 1 else f": {lines.first}"
    out(f"{done}{ids if lines.enqueued else ''}")
    if lines.skipped:
        note(f"{_count(lines.skipped, 'bad line')} left out")


def _accepted(before: int) -> str:
    if not before:
        return "nothing was"
    return "the job before it is" if before == 1 else f"the {before:,} before it are"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _open(name: str) -> int:
    if name == "-":
        return os.dup(0)
    try:
        return os.open(name, os.O_RDONLY)
    except OSError as error:
        raise BadInput(f"{name}: {error.strerror}; nothing was enqueued") from None


def _blocks(source: int, name: str) -> Iterator[bytes]:
    try:
        while block := os.read(source, _BLOCK):
            yield block
    except OSError as error:
        raise BadInput(f"{name} can't be read: {error.strerror}") from None


def _without_mark(lines: Iterable[bytes]) -> Iterator[bytes]:
    for number, line in enumerate(lines):
        yield line.removeprefix(_BYTE_ORDER_MARK) if number == 0 else line
