"""What every verb needs: the store, and the two places to write to."""

from __future__ import annotations

import os
import sys

from queuectl.errors import QueuectlError, StoreError
from queuectl.model import DEFAULT_QUEUE
from queuectl.store import open_intake, open_store

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from queuectl.model import Worker
    from queuectl.store.base import Intake, Store


_QUEUES_NAMED = 5


def store_of(args: argparse.Namespace) -> Store:
    """Open the store that `--db`, `QUEUECTL_DB` or the home names."""
    return open_store(args.db)


def intake_of(args: argparse.Namespace) -> Intake:
    """The same, for those who do nothing but enqueue."""
    return open_intake(args.db)


def out(text: str) -> None:
    """A result: a line to stdout."""
    sys.stdout.write(text + "\n")


def answer(done: str, say: Callable[[], object]) -> None:
    """Say what was done. If that fails the error tells that it was: nobody is to repeat it."""
    try:
        say()
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except (StoreError, OSError) as error:
        told = system_error(error) if isinstance(error, OSError) else error
        told.message = f"{done}; {told.message}"
        raise told from None


def note(text: str) -> None:
    """Everything else: a line to stderr, made safe for a terminal."""
    sys.stdout.flush()
    sys.stderr.write(safe(text) + "\n")


def out_json(value: Any) -> None:
    """A result as JSON, on one line."""
    import json

    from queuectl.text import json_safe

    out(json_safe(json.dumps(value, ensure_ascii=False)))


def out_json_array(values: Iterable[Any]) -> None:
    """The same of a list, written as its values come: there may be very many."""
    import json

    from queuectl.text import json_safe

    before = "["
    for value in values:
        sys.stdout.write(before + json_safe(json.dumps(value, ensure_ascii=False)))
        before = ", "
    out("[]" if before == "[" else "]")


def safe(text: str) -> str:
    """The text without what could steer a terminal; lines stay lines."""
    if text.isascii() and text.isprintable():
        return text
    from queuectl.text import block

    return block(text)


def as_one_line(text: str) -> str:
    """The text as one line, whatever it quotes: line breaks are spelled out too."""
    if text.isprintable():
        return text
    from queuectl.text import visible

    return visible(text)


def report(error: QueuectlError, as_json: bool) -> None:
    """An error, on stderr."""
    if as_json:
        import json

        from queuectl.text import json_safe

        shape = {"code": error.code, "message": error.message, "hint": error.hint}
        print(json_safe(json.dumps({"error": shape}, ensure_ascii=False)), file=sys.stderr)
        return
    print(f"queuectl: {as_one_line(error.message)}", file=sys.stderr)
    if error.hint:
        lead = "" if error.hint.startswith("did you mean ") else "try: "
        print(f"  {lead}{safe(error.hint)}", file=sys.stderr)


def system_error(error: OSError) -> QueuectlError:
    """An error of the operating system that nobody foresaw, in one line."""
    from queuectl.host import is_shortage

    reason = error.strerror or type(error).__name__
    if is_shortage(error):  # whatever was just being opened
        return StoreError(f"this machine is short: {reason}")
    name = error.filename
    where = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes) else ""
    return StoreError(f"{where}{reason}")


def on_terminal() -> bool:
    """Whether a person watches stderr."""
    return sys.stderr.isatty()


def serving(workers: Iterable[Worker], queue: str) -> bool:
    """Whether any of the workers lives, takes new jobs and serves the queue."""
    return any(
        _takes_jobs(worker) and (not worker.queues or queue in worker.queues)
        for worker in workers
    )


def _takes_jobs(worker: Worker) -> bool:
    return worker.alive and worker.state == "running"


def warn_if_held(store: Store, queues: Iterable[str]) -> None:
    """Say at once if jobs would wait for ever, for their queue is paused or nobody serves it,
    and what to type."""
    names = dict.fromkeys(queues)
    for queue in store.stats().queues:
        if queue.paused and queue.name in names:
            note(f"the queue {queue.name} is paused\n  try: queuectl queue resume {queue.name}")
    workers = store.workers()
    lacking = [name for name in names if not serving(workers, name)]
    for line in unserved_lines(lacking, workers):
        note(line)


def unserved_lines(queues: Sequence[str], workers: Iterable[Worker]) -> list[str]:
    """What to say of queues that nobody serves, and what to type: one worker for all of them
    where there is none at all."""
    if len(queues) < 2 or any(map(_takes_jobs, workers)):
        each = "no worker serves the queue {}\n  try: {}"
        return [each.format(queue, start_line(queue)) for queue in queues]
    listed = ", ".join(queues[:_QUEUES_NAMED])
    more = len(queues) - _QUEUES_NAMED
    listed += f" and {more:,} more" if more > 0 else ""
    return [f"no worker serves the queues {listed}\n  try: {start_line()}"]


def start_line(queue: str = DEFAULT_QUEUE) -> str:
    """The command that starts a worker for a queue."""
    option = "" if queue == DEFAULT_QUEUE else f" --queue {queue}"
    return f"queuectl worker start --detach{option}"
