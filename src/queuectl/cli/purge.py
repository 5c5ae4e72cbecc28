"""`queuectl purge`: remove jobs that have ended."""

from __future__ import annotations

from queuectl.cli.bulk import Rule, act, add_targets, chosen, in_parts
from queuectl.cli.context import out, out_json, store_of
from queuectl.cli.filters import is_filtered, states_of
from queuectl.cli.parser import duration
from queuectl.clock import now_ms
from queuectl.errors import BadInput
from queuectl.model import ENDED, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from queuectl.store.base import Store

_RULE = Rule(
    "purge",
    "purged",
    ENDED,
    strict=True,
    choices="--older-than 30d, ids, or --state, --queue, --tag, --since",
)
_AT_ONCE = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.add_argument(
        "--older-than",
        metavar="D",
        type=duration("--older-than"),
        help="only jobs that ended so long ago, of those the other options choose",
    )
    parser.epilog = (
        "Touches only completed, dead and cancelled jobs. To keep the dead:\n"
        "  queuectl purge --older-than 7d --state completed,cancelled"
    )


def run(args: argparse.Namespace) -> int:
    """Remove the jobs."""
    now = now_ms()
    if args.older_than is not None:
        return _older(args, now)
    with store_of(args) as store:
        only = states_of(args) or ENDED
        return act(args, store, _RULE, lambda ids: store.delete(ids, now, only), now)


def _older(args: argparse.Namespace, now: int) -> int:
    """Remove jobs by when they ended; there may be very many, so they are counted."""
    if args.ids:
        raise BadInput("either ids or --older-than, not both")
    which = chosen(args, _RULE, now) if is_filtered(args) else Filter(states=ENDED)
    before = now - round(args.older_than * 1000)
    which = which.replace(ended_before=before)
    with store_of(args) as store:
        if args.dry_run:
            count = sum(1 for _ in store.each_job(which))
        elif is_filtered(args):
            count = _remove(store, which, now)
        else:
            count = _prune(store, before)
    if args.json:
        out_json({"purged": 0 if args.dry_run else count, "would_purge": count})
    else:
        jobs = f"{count:,} job{'' if count == 1 else 's'}"
        out(f"would purge {jobs}" if args.dry_run else f"{jobs} purged")
    return 0


def _remove(store: Store, which: Filter, now: int) -> int:
    ids = [job.id for job in store.each_job(which)]
    changes = in_parts(store, lambda part: store.delete(part, now, which.states), ids)
    return len([change for change in changes if change.result == "done"])


def _prune(store: Store, before: int) -> int:
    count = 0
    while removed := store.prune(before, _AT_ONCE):
        count += removed
        store.give_way()
    return count
