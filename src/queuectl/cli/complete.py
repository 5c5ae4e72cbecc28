"""`queuectl complete KIND`: the words a shell offers while one types. Never fails loudly."""

from __future__ import annotations

import os

from queuectl.cli.context import out, store_of
from queuectl.config import KEYS
from queuectl.errors import QueuectlError
from queuectl.model import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from queuectl.store.base import Store

_NEWEST = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    kinds = ("id", "worker", "queue", "key")
    parser.add_argument("kind", metavar="KIND", choices=kinds, help=", ".join(kinds))
    parser.add_argument("states", metavar="S,…", nargs="?", help="ids of such jobs only")


def run(args: argparse.Namespace) -> int:
    """Print the words, one a line."""
    words: list[str] = []
    if args.kind == "key":
        words = list(KEYS)
    elif args.db and "://" not in args.db and not os.path.exists(args.db):
        return 1  # a name half typed makes no store
    else:
        try:
            with store_of(args) as store:
                words = _words(store, args.kind, args.states)
        except QueuectlError:
            return 1
    for word in words:
        out(word)
    return 0


def _words(store: Store, kind: str, states: str | None) -> list[str]:
    if kind == "id":
        which = Filter(states=tuple(states.split(",")) if states else (), limit=_NEWEST)
        return [job.id for job in store.list_jobs(which)]
    if kind == "worker":
        return [worker.id for worker in store.workers() if worker.alive]
    return [queue.name for queue in store.stats().queues]
