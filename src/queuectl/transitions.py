"""What happens to a job when a run of it ends: pure, and the only place that decides it."""

from __future__ import annotations

from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    LOST,
    PENDING,
    RELEASED,
    TIMEOUT,
    Outcome,
    Verdict,
)
from queuectl.retry import RetryPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_ALWAYS_CHARGED = frozenset((FAILED, TIMEOUT, LOST))


def events_of(kind: str) -> Sequence[str]:
    """What a run of this outcome counts as. (What its job becomes may count besides.)"""
    return (FAILED, kind) if kind in (TIMEOUT, LOST) else (kind,)


def settle(attempts: int, policy: RetryPolicy, outcome: Outcome, luck: float = 0.0) -> Verdict:
    """Decide the job's next state from how its run ended.

    `attempts` are the runs charged before this one, `luck` in [0, 1) places the retry
    within the jitter. Source of the rules: DESIGN sections 1 (P6) and 2.
    """
    kind = outcome.kind
    if kind == COMPLETED:
        return Verdict.make((COMPLETED, attempts, None, False))
    if kind == CANCELLED:
        return Verdict(CANCELLED, attempts, None, False)
    if kind == RELEASED and policy.limit > 1:
        return Verdict(PENDING, attempts, outcome.finished_at, False)
    if kind not in _ALWAYS_CHARGED and kind != RELEASED:
        raise ValueError(f"unknown outcome {kind!r}")
    charged = attempts + 1
    if charged >= policy.limit:
        return Verdict(DEAD, charged, None, True)
    due_at = outcome.finished_at + round(policy.delay(charged, luck) * 1000)
    return Verdict(FAILED, charged, due_at, True)
