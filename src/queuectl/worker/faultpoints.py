"""Named places where tests kill a process (`QUEUECTL_FAULT=name:N` dies at the Nth time).

Where nothing is armed a point costs one comparison.
"""

from __future__ import annotations

import os
import signal

_armed: tuple[str, int] | None = None


def arm() -> None:
    """Read `QUEUECTL_FAULT` of the environment."""
    global _armed  # noqa: PLW0603 - one process, one fault
    name, separator, count = os.environ.get("QUEUECTL_FAULT", "").partition(":")
    _armed = (name, int(count)) if separator else None


def reach(name: str) -> None:
    """The process is at this point."""
    global _armed  # noqa: PLW0603
    if _armed is None or _armed[0] != name:
        return
    if _armed[1] <= 1:
        os.kill(os.getpid(), signal.SIGKILL)
    _armed = (name, _armed[1] - 1)
