"""`queuectl retry`: run jobs again that failed, died or were cancelled."""

from __future__ import annotations

from queuectl.cli.bulk import Rule, act, add_targets
from queuectl.cli.context import store_of
from queuectl.cli.newjobs import add_settings, settings_of
from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, PENDING
from queuectl.worker.doorbell import wake

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_STATES = (FAILED, DEAD, CANCELLED)
_RULE = Rule("retry", "will run again", _STATES, (PENDING,))


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add_targets(parser)
    parser.add_argument("--again", action="store_true", help="completed jobs too")
    add_settings(parser.add_argument_group("settings to change").add_argument)


def run(args: argparse.Namespace) -> int:
    """Make the jobs pending again, due now."""
    now = now_ms()
    settings = settings_of(args)
    rule = _RULE.replace(
        states=(*_STATES, COMPLETED) if args.again else _STATES,
        already=(PENDING,) if settings is None else (),
    )
    with store_of(args) as store:
        code = act(
            args,
            store,
            rule,
            lambda ids: store.retry(ids, now, again=args.again, settings=settings),
            now,
        )
        wake(store)
    return code
