"""`queuectl show`: everything about one job."""

from __future__ import annotations

import sys

from queuectl.cli.aftermath import limit_from_config, needs_first
from queuectl.cli.context import out, out_json, store_of
from queuectl.cli.jsonshapes import show_json
from queuectl.cli.outputs import STREAMS
from queuectl.cli.parser import json_option
from queuectl.cli.screens.job import TAIL_LINES, render_job
from queuectl.cli.screens.layout import Look
from queuectl.clock import now_ms
from queuectl.model import COMPLETED, PROCESSING, STDERR, STDOUT
from queuectl.text import OutputCleaner

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.model import Attempt, Chunk
    from queuectl.store.base import Store

_TAIL_BYTES = 16_384


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("id", metavar="ID", help="the job")
    parser.add_argument("--reveal", action="store_true", help="show values of env")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the job with its runs and the end of its output."""
    with store_of(args) as store:
        job, history = store.get(args.id), store.history(args.id)
        if args.json:
            out_json(show_json(job, history, reveal=args.reveal))
            return 0
        lines = render_job(
            job,
            history,
            _tail(store, history),
            Look.of(sys.stdout),
            now_ms(),
            reveal=args.reveal,
            default_limit=limit_from_config(store, job),
            first=needs_first(store, [job]),
        )
    out("\n".join(lines))
    return 0


def _tail(store: Store, history: Sequence[Attempt]) -> tuple[str, list[str]] | None:
    """The last lines of what the last run said: errors first, if it did not complete."""
    if not history:
        return None
    chunks = store.read_output(history[-1].token)
    went_well = history[-1].outcome in (COMPLETED, PROCESSING)
    for stream in (STDOUT, STDERR) if went_well else (STDERR, STDOUT):
        lines = _last_lines(chunks, stream)
        if lines:
            return STREAMS[stream], lines
    return None


def _last_lines(chunks: Sequence[Chunk], stream: int) -> list[str]:
    pieces: list[bytes] = []
    size = 0
    for chunk in reversed(chunks):
        if chunk.stream == stream and size < _TAIL_BYTES:
            pieces.append(chunk.data[-_TAIL_BYTES:])
            size += len(pieces[-1])
    text = OutputCleaner().feed(b"".join(reversed(pieces)), final=True)
    return [line for line in text.split("\n") if line.strip()][-TAIL_LINES:]
