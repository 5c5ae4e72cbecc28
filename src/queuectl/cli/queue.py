"""`queuectl queue`: named lanes, to pause or to limit."""

from __future__ import annotations

from queuectl.cli.context import note, out, out_json, store_of
from queuectl.cli.parser import json_option, whole_number
from queuectl.errors import QueueNotFound
from queuectl.jobfields import check_queue
from queuectl.worker.doorbell import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from queuectl.store.base import Store


def configure_list(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    json_option(parser)


def run_list(args: argparse.Namespace) -> int:
    """Print every queue with what stands in it."""
    with store_of(args) as store:
        queues = store.stats().queues
    if args.json:
        from queuectl.cli.jsonshapes import queue_json

        out_json([queue_json(queue) for queue in queues])
        return 0
    if not queues:
        note("no queues yet: the first job brings the first")
        return 0
    import sys

    from queuectl.cli.screens.layout import Look
    from queuectl.cli.screens.tables import render_queues

    out("\n".join(render_queues(queues, Look.of(sys.stdout))))
    return 0


def configure_pause(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("queue", metavar="Q", help="the queue")


def run_pause(args: argparse.Namespace) -> int:
    """Let no worker start jobs of this queue; what runs goes on."""
    name = check_queue(args.queue)
    with store_of(args) as store:
        _say_if_new(store, name)
        store.set_queue(name, paused=True)
    out(f"{name} is paused")
    return 0


def configure_resume(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    configure_pause(parser)


def run_resume(args: argparse.Namespace) -> int:
    """Undo a pause. Raises QueueNotFound."""
    name = check_queue(args.queue)
    with store_of(args) as store:
        names = _names(store)
        if name not in names:
            from queuectl.cli.commands import nearest

            near = nearest(name, names)
            raise QueueNotFound(
                f"there is no queue {name!r}",
                f"did you mean {near}?" if near else "queuectl queue list",
            )
        store.set_queue(name, paused=False)
        wake(store)
    out(f"{name} is open")
    return 0


def configure_limit(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    configure_pause(parser)
    parser.add_argument(
        "limit", metavar="N", type=whole_number("N", 0), help="runs at a time; 0: no limit"
    )


def run_limit(args: argparse.Namespace) -> int:
    """Limit how many jobs of a queue run at a time, over all workers."""
    name = check_queue(args.queue)
    with store_of(args) as store:
        _say_if_new(store, name)
        store.set_queue(name, limit=args.limit)
        wake(store)
    out(f"{name} runs {args.limit} at a time" if args.limit else f"{name} has no limit")
    return 0


def _say_if_new(store: Store, name: str) -> None:
    if name not in _names(store):
        note(f"{name} is a new queue")


def _names(store: Store) -> list[str]:
    return [queue.name for queue in store.stats().queues]
