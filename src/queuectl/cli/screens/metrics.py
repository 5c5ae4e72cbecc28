"""`metrics`: totals, durations, throughput, and what happened last."""

from __future__ import annotations

from queuectl.cli.jsonshapes import EVENTS, durations_json, throughput_json
from queuectl.cli.screens.layout import RED, Look, Styled, flow, labelled, moment, table
from queuectl.durations import format_duration
from queuectl.model import COMPLETED
from queuectl.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Metrics


def render_metrics(metrics: Metrics, look: Look, now: int) -> list[str]:
    """The screen."""
    digits = max(3, *[len(f"{n:,}") for n in metrics.events.values() or (0,)])
    totals = [f"{metrics.events.get(event, 0):>{digits},} {event}" for event in EVENTS]
    lines = flow(look, "EVENTS", totals, most=5)
    runs = len(metrics.durations)
    if runs:
        lengths = durations_json(metrics.durations)
        cells = [f"{name} {format_duration(value or 0)}" for name, value in lengths.items()]
        over = "the last 1,000 runs" if runs >= 1000 else f"{runs} run{'s' * (runs > 1)}"
        lines += flow(look, "LENGTH", [*cells, f"over {over}"], most=6)
        lines += _rate(metrics, look)
    if metrics.recent:
        lines += ["", *_recent(metrics, look, now)]
    return lines


def _rate(metrics: Metrics, look: Look) -> list[str]:
    rate = throughput_json(metrics)
    if rate["per_minute"] is None or rate["per_second"] is None:
        return []
    often = rate["per_second"] >= 1
    number, unit = (rate["per_second"], "second") if often else (rate["per_minute"], "minute")
    text = f"{number:,.1f} runs a {unit} over {format_duration(rate['seconds'] or 0)}"
    return [labelled(look, "RATE", text)]


def _recent(metrics: Metrics, look: Look, now: int) -> list[str]:
    rows = [
        [
            moment(look, event.at, now, seconds=True),
            one_line(event.id, look.width and max(12, look.width // 4)),
            event.event if event.event == COMPLETED else Styled(event.event, RED),
            "-" if event.duration is None else format_duration(event.duration),
            one_line(event.error or "", look.width),
        ]
        for event in sorted(metrics.recent, key=lambda event: -event.at)
    ]
    return table(look, ["AT", "ID", "EVENT", "TOOK", "ERROR"], rows, right=("TOOK",))
