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
    from collections.abc import Iterable

    from queuectl.store.base import Store

_OFFERED = 100


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    kinds = ("id", "worker", "queue", "tag", "key")
    parser.add_argument("kind", metavar="KIND", choices=kinds, help=", ".join(kinds))
    parser.add_argument("states", metavar="S,…", nargs="?", help="ids of such jobs only")
    parser.add_argument("--typed", metavar="WORD", default="", help="what there is of it")


def run(args: argparse.Namespace) -> int:
    """Print the words, one a line."""
    words: Iterable[str] = ()
    if args.kind == "key":
        words = KEYS
    elif args.db and "://" not in args.db and not os.path.exists(args.db):
        return 1  # a name half typed makes no store
    else:
        try:
            with store_of(args) as store:
                words = _words(store, args.kind, args.states, args.typed)
        except QueuectlError:
            return 1
    for word in words:
        out(word)
    return 0


def _words(store: Store, kind: str, states: str | None, typed: str) -> Iterable[str]:
    if kind == "id":
        return _ids(store, tuple(states.split(",")) if states else (), typed)
    if kind == "tag":
        return store.tags_like(typed, _OFFERED)
    if kind == "worker":
        return [worker.id for worker in store.workers() if worker.alive]
    return [queue.name for queue in store.stats().queues]


def _ids(store: Store, states: tuple[str, ...], typed: str) -> Iterable[str]:
    """The newest, and once there is something typed whatever begins so."""
    newest = store.list_jobs(Filter(states=states, limit=_OFFERED))
    found = [job.id for job in newest if job.id.startswith(typed)]
    if typed:
        found += store.ids_like(typed, states, _OFFERED)
    return dict.fromkeys(found)
