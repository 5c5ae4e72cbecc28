"""Tables of what is not a job: workers, queues, settings."""

from __future__ import annotations

from queuectl.cli.jsonshapes import busy
from queuectl.cli.screens.layout import RED, YELLOW, Look, Styled, moment, span, table
from queuectl.config import Config, format_value, unit
from queuectl.text import one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.model import QueueInfo, Worker


def render_workers(workers: Sequence[Worker], look: Look, now: int) -> list[str]:
    """`worker list`."""
    rows = []
    for worker in workers:
        state = worker.state if worker.alive else "gone"
        style = {"gone": RED, "stopping": YELLOW}.get(state, "")
        if worker.alive and worker.silent is not None:
            state, style = f"silent {span(worker.silent)}", YELLOW
        up = moment(look, worker.started_at, now)
        if look.width is not None:
            up = span((now - worker.started_at) / 1000)
        rows.append(
            [
                one_line(worker.id),
                one_line(worker.host, look.width and 16),
                str(worker.pid),
                Styled(state, style) if style else state,
                f"{busy(worker)}/{worker.slots}",
                up,
                one_line(",".join(worker.queues) or "all", look.width and 16),
                one_line(",".join(worker.jobs) or "-", look.width),
            ]
        )
    since = "STARTED" if look.width is None else "UP"
    header = ["ID", "HOST", "PID", "STATE", "BUSY", since, "QUEUES", "JOBS"]
    return table(look, header, rows, right=("PID", "UP"))


def render_queues(queues: Sequence[QueueInfo], look: Look) -> list[str]:
    """`queue list`."""
    header = ["QUEUE", "STATE", "LIMIT", "PENDING", "RUNNING", "FAILED", "DEAD", "DONE"]
    states = ("pending", "processing", "failed", "dead", "completed")
    rows = [
        [
            one_line(queue.name, look.width and max(8, look.width - 58)),
            Styled("paused", YELLOW) if queue.paused else "open",
            "-" if queue.limit is None else str(queue.limit),
            *[str(queue.counts.get(state, 0)) for state in states],
        ]
        for queue in queues
    ]
    lines = table(look, [*header, ""], [[*row, ""] for row in rows], right=header[2:])
    return [line.rstrip() for line in lines]


def render_config(config: Config, look: Look) -> list[str]:
    """`config list`: every key, its value, and whether it is the default."""
    defaults = Config()
    rows = []
    for key, value in config.items():
        text = one_line(format_value(value)) or "-"
        if value:
            text = f"{text} {unit(key)}".rstrip()
        default = one_line(format_value(getattr(defaults, key))) or "-"
        note = "" if value == getattr(defaults, key) else f"(default {default})"
        rows.append([key, f"{text}  {note}".rstrip()])
    return table(look, ["KEY", "VALUE"], rows)
