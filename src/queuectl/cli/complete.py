"""`queuectl complete KIND`: the words a shell offers while one types. Never fails loudly."""

from __future__ import annotations

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


def run(args: argparse.Namespace) -> int:
    """Print the words, one a line."""
    words: list[str] = []
    if args.kind == "key":
        words = list(KEYS)
    else:
        try:
            with store_of(args) as store:
                words = _words(store, args.kind)
        except QueuectlError:
            return 1
    for word in words:
        out(word)
    return 0


def _words(store: Store, kind: str) -> list[str]:
    if kind == "id":
        return [job.id for job in store.list_jobs(Filter(limit=_NEWEST))]
    if kind == "worker":
        return [worker.id for worker in store.workers() if worker.alive]
    return [queue.name for queue in store.stats().queues]
