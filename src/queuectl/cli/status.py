"""`queuectl status`: how things stand."""

from __future__ import annotations

import sys

from queuectl.cli.context import note, out, out_json, store_of
from queuectl.cli.jsonshapes import status_json
from queuectl.cli.parser import json_option
from queuectl.cli.reasons import unserved, unserved_line
from queuectl.cli.screens.layout import Look
from queuectl.cli.screens.status import RUNNING_ROWS, render_status
from queuectl.clock import now_ms
from queuectl.model import DEAD, FAILED, PENDING, PROCESSING, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from queuectl.model import Job, Stats, Worker
    from queuectl.store.base import Store

# Among the newest dead jobs the ones that died last are looked for, at a fixed cost.
_DEAD_LOOKED_AT = 50
_WAITING_LOOKED_AT = 100


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
        for line in _warnings(store, stats, workers):
            note(line)
    return 0


def _screen(store: Store, stats: Stats, workers: Sequence[Worker], look: Look) -> list[str]:
    running: list[Job] = []
    died: list[Job] = []
    if stats.counts[PROCESSING]:
        running = store.list_jobs(Filter(states=(PROCESSING,), limit=RUNNING_ROWS))
        running.reverse()
    if stats.counts[DEAD]:
        died = store.list_jobs(Filter(states=(DEAD,), limit=_DEAD_LOOKED_AT))
        died.sort(key=lambda job: -(job.finished_at or 0))
    return render_status(stats, workers, running, died, look, now_ms())


def _whole_screen(store: Store, look: Look) -> list[str]:
    stats, workers = store.stats(), store.workers()
    warnings = "\n".join(_warnings(store, stats, workers)).splitlines()
    screen = _screen(store, stats, workers, look)
    return [*screen, "", *warnings] if warnings else screen


def _warnings(store: Store, stats: Stats, workers: Sequence[Worker]) -> list[str]:
    now = now_ms()
    queues = unserved(stats, workers, now)
    return [unserved_line(queue) for queue in queues if _any_due(store, queue, now)]


def _any_due(store: Store, queue: str, now: int) -> bool:
    """Whether a job of the queue is due; taken for granted among very many."""
    waiting = Filter(states=(PENDING, FAILED), queue=queue, limit=_WAITING_LOOKED_AT)
    jobs = store.list_jobs(waiting)
    if len(jobs) == _WAITING_LOOKED_AT:
        return True
    return any(job.due_at is None or job.due_at <= now for job in jobs)


def _json(store: Store) -> str:
    from json import dumps

    return dumps(status_json(store.stats(), store.workers()))
