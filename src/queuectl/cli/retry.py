"""`queuectl retry`: run jobs again that failed, died or were cancelled."""

from __future__ import annotations

from queuectl.cli.bulk import Rule, act, add_targets
from queuectl.cli.context import store_of
from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, PENDING
from queuectl.worker.doorbell import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_RULE = Rule("retry", "will run again", (FAILED, DEAD, CANCELLED), (PENDING,))
_AGAIN = _RULE.replace(states=(FAILED, DEAD, CANCELLED, COMPLETED))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.add_argument("--again", action="store_true", help="completed jobs too")


def run(args: argparse.Namespace) -> int:
    """Make the jobs pending again, due now."""
    now = now_ms()
    with store_of(args) as store:
        code = act(
            args,
            store,
            _AGAIN if args.again else _RULE,
            lambda ids: store.retry(ids, now, again=args.again),
            now,
        )
        wake(store)
    return code
