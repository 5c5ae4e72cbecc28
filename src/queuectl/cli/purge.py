"""`queuectl purge`: remove jobs that have ended."""

from __future__ import annotations

from queuectl.cli.bulk import Rule, act, add_targets
from queuectl.cli.context import out, out_json, store_of
from queuectl.cli.filters import is_filtered
from queuectl.cli.parser import duration
from queuectl.clock import now_ms
from queuectl.errors import BadInput
from queuectl.model import ENDED, Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_RULE = Rule("purge", "purged", ENDED, strict=True)
_AT_ONCE = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.add_argument(
        "--older-than", metavar="D", type=duration("--older-than"), help="that ended before"
    )
    parser.epilog = "Touches only completed, dead and cancelled jobs."


def run(args: argparse.Namespace) -> int:
    """Remove the jobs."""
    now = now_ms()
    if args.older_than is not None:
        if args.ids or is_filtered(args):
            raise BadInput("--older-than stands alone", "queuectl purge --older-than 30d")
        return _older(args, now - round(args.older_than * 1000))
    with store_of(args) as store:
        return act(args, store, _RULE, lambda ids: store.delete(ids, now), now)


def _older(args: argparse.Namespace, before: int) -> int:
    with store_of(args) as store:
        if args.dry_run:
            count = len(store.list_jobs(Filter(states=ENDED, ended_before=before)))
        else:
            count = 0
            while removed := store.prune(before, _AT_ONCE):
                count += removed
    if args.json:
        out_json({"purged": 0 if args.dry_run else count, "would_purge": count})
    else:
        jobs = f"{count:,} job{'' if count == 1 else 's'}"
        out(f"would purge {jobs}" if args.dry_run else f"{jobs} purged")
    return 0
