"""`queuectl dlq`: the dead letter queue, which is every job that is dead."""

from __future__ import annotations

from queuectl.cli import filters
from queuectl.cli.bulk import Rule, act, add_targets
from queuectl.cli.context import note, store_of
from queuectl.cli.newjobs import add_settings, settings_of
from queuectl.clock import now_ms
from queuectl.errors import BadInput, WrongState
from queuectl.model import DEAD, LAST_DIED
from queuectl.worker.doorbell import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_WHICH = "ids, or --all, --queue, --tag, --since"
_RETRY = Rule("retry", "will run again", (DEAD,), strict=True, choices=_WHICH)
_PURGE = Rule("purge", "purged", (DEAD,), strict=True, choices=_WHICH)


def configure_list(parser: argparse.ArgumentParser) -> None:
    """Declare the options: those of `list`, but `--state`."""
    from queuectl.cli import list as listing

    listing.configure(parser, by_state=False)


def run_list(args: argparse.Namespace) -> int:
    """`list`, of dead jobs, what died last first."""
    import sys

    from queuectl.cli import list as listing
    from queuectl.cli.screens.jobs import render_dead
    from queuectl.cli.screens.layout import Look

    now = now_ms()
    which = filters.filter_of(args, now).replace(states=(DEAD,), order=LAST_DIED)
    with store_of(args) as store:
        if args.json or args.jsonl:
            listing.print_json(args, store.each_job(which))
            return 0
        jobs, rest = listing.fitting(args, store, which)
        if not listing.print_lines(render_dead(jobs, Look.of(sys.stdout), now)):
            rest = "no job fits" if store.stats().counts[DEAD] else "no job is dead"
    if rest:
        note(rest)
    return 0


def configure_show(parser: argparse.ArgumentParser) -> None:
    """Declare the options: those of `show`."""
    from queuectl.cli import show

    show.configure(parser)


def run_show(args: argparse.Namespace) -> int:
    """`show`, of a dead job. Raises WrongState for any other."""
    from queuectl.cli import show

    with store_of(args) as store:
        state = store.get(args.id).state
    if state != DEAD:
        raise WrongState(f"{args.id} is {state}, not dead", f"queuectl show {args.id}")
    return show.run(args)


def configure_retry(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    configure_purge(parser)
    add_settings(parser.add_argument_group("settings to change").add_argument)


def run_retry(args: argparse.Namespace) -> int:
    """Make dead jobs pending, with all their runs before them."""
    now = now_ms()
    settings = settings_of(args)
    _chosen(args)
    with store_of(args) as store:
        code = act(
            args, store, _RETRY, lambda ids: store.retry(ids, now, settings=settings), now
        )
        wake(store)
    return code


def configure_purge(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser, by_state=False)
    parser.add_argument("--all", action="store_true", help="every dead job")


def run_purge(args: argparse.Namespace) -> int:
    """Remove dead jobs."""
    now = now_ms()
    _chosen(args)
    with store_of(args) as store:
        return act(args, store, _PURGE, lambda ids: store.delete(ids, now, (DEAD,)), now)


def _chosen(args: argparse.Namespace) -> None:
    if args.all:
        if args.ids or filters.is_filtered(args):
            raise BadInput("--all stands alone")
        args.state = [[DEAD]]
