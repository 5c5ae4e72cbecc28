"""`queuectl status`: how things stand."""

from __future__ import annotations

import sys

from queuectl.cli.context import note, out, out_json, store_of, unserved_lines
from queuectl.cli.jsonshapes import status_json
from queuectl.cli.parser import json_option
from queuectl.cli.reasons import unserved
from queuectl.cli.screens.layout import Look
from queuectl.cli.screens.status import DIED_ROWS, RUNNING_ROWS, render_status
from queuectl.clock import now_ms
from queuectl.model import DEAD, LAST_DIED, LONGEST_RUNNING, PROCESSING, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.model import Job, Stats, Worker
    from queuectl.store.base import Store


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("-w", "--watch", action="store_true", help="keep the screen up to date")
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print how things stand, once or on and on."""
    with store_of(args) as store:
        if args.watch:
            from queuectl.cli.watching import watch

            if args.json:
                watch(store, lambda _look: [_json(store)], in_place=False)
            else:
                watch(store, lambda look: _whole_screen(store, look))
        stats, workers = store.stats(), store.workers()
        if args.json:
            out_json(status_json(stats, workers))
        else:
            out("\n".join(_screen(store, stats, workers, Look.of(sys.stdout))))
        for line in _warnings(stats, workers):
            note(line)
    return 0


def _screen(store: Store, stats: Stats, workers: Sequence[Worker], look: Look) -> list[str]:
    running: list[Job] = []
    died: list[Job] = []
    if stats.counts[PROCESSING]:
        running = store.list_jobs(Filter(order=LONGEST_RUNNING, limit=RUNNING_ROWS))
    if stats.counts[DEAD]:
        died = store.list_jobs(Filter(order=LAST_DIED, limit=DIED_ROWS))
    return render_status(stats, workers, running, died, look, now_ms())


def _whole_screen(store: Store, look: Look) -> list[str]:
    stats, workers = store.stats(), store.workers()
    warnings = "\n".join(_warnings(stats, workers)).splitlines()
    screen = _screen(store, stats, workers, look)
    return [*screen, "", *warnings] if warnings else screen


def _warnings(stats: Stats, workers: Sequence[Worker]) -> list[str]:
    now = now_ms()
    due = {queue.name for queue in stats.queues if queue.oldest_due_at is not None}
    return unserved_lines(
        [name for name in unserved(stats, workers, now) if name in due], workers
    )


def _json(store: Store) -> str:
    from json import dumps

    return dumps(status_json(store.stats(), store.workers()))
