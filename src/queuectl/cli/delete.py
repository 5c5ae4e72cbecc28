"""`queuectl delete`: remove jobs with their history and output."""

from __future__ import annotations

from queuectl.cli.bulk import DELETE, Rule, act, add_targets, all_but
from queuectl.cli.context import store_of
from queuectl.cli.filters import states_of
from queuectl.clock import now_ms
from queuectl.model import PROCESSING

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_RULE = Rule(DELETE, "deleted", all_but(PROCESSING), ends_waiting=True)


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.epilog = "A running job is refused: cancel it first."


def run(args: argparse.Namespace) -> int:
    """Remove the jobs."""
    now = now_ms()
    with store_of(args) as store:
        only = states_of(args)
        return act(args, store, _RULE, lambda ids: store.delete(ids, now, only), now)
