"""`queuectl metrics`: counts, durations, throughput, recent events."""

from __future__ import annotations

import sys

from queuectl.cli.context import out, out_json, store_of
from queuectl.cli.jsonshapes import metrics_json
from queuectl.cli.parser import json_option, whole_number
from queuectl.cli.screens.layout import Look
from queuectl.cli.screens.metrics import render_metrics
from queuectl.clock import now_ms
from queuectl.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

_RECENT = 10


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--recent",
        metavar="N",
        type=whole_number("--recent", 0, 100_000),
        default=_RECENT,
        help=f"how many recent events ({_RECENT})",
    )
    parser.add_argument(
        "--prometheus", action="store_true", help="print Prometheus' text format"
    )
    json_option(parser)


def run(args: argparse.Namespace) -> int:
    """Print the numbers of the store's life."""
    if args.json and args.prometheus:
        raise BadInput("--json and --prometheus can't go together")
    with store_of(args) as store:
        if args.prometheus:
            from queuectl.cli.exposition import exposition

            sys.stdout.write(exposition(store.stats(), store.workers(), store.metrics(0)))
            return 0
        found = store.metrics(args.recent)
    if args.json:
        out_json(metrics_json(found))
    else:
        out("\n".join(render_metrics(found, Look.of(sys.stdout), now_ms())))
    return 0
