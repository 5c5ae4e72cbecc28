"""What a run does to processes that come into being while it ends them."""

from __future__ import annotations

import signal
import time
from selectors import DefaultSelector

from queuectl.model import Claim
from queuectl.retry import RetryPolicy
from queuectl.worker.run import Run


class Hydra:
    """A census that finds somebody each time it looks, and notes what it is told to send."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def group(self, _leader: int) -> list[int]:
        return []

    session = group

    def signal_session(self, _leader: int, number: int, _told: object = ()) -> bool:
        self.sent.append(number)
        return True

    def signal_marked(self, _token: int, number: int, _told: object = ()) -> bool:
        self.sent.append(number)
        return True


def test_whatever_appears_after_the_kill_is_killed_too() -> None:
    claim = Claim(
        1, 1, "j1", 1, 0, RetryPolicy(3, 2, 3600, 0), "true", "default",
        0, "/", False, {}, {}, "a@b",
    )  # fmt: skip
    run = Run(claim, 0, 1024, 0.0, DefaultSelector())
    hydra = Hydra()
    run.exited(0, left=True)
    now = time.monotonic()
    assert not run.tick(now + 0.01, lambda: hydra)  # type: ignore[arg-type,return-value]
    assert signal.SIGKILL in hydra.sent
    hydra.sent.clear()
    assert not run.tick(now + 0.05, lambda: hydra)  # type: ignore[arg-type,return-value]
    assert set(hydra.sent) == {signal.SIGKILL}
    assert run.tick(now + 60, lambda: hydra), "at some time it is given up"  # type: ignore[arg-type,return-value]
