"""What a run's end does to its job, as tables: DESIGN sections 1 (P6) and 2."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    RELEASED,
    TIMEOUT,
    Outcome,
    Verdict,
)
from queuectl.retry import RetryPolicy
from queuectl.transitions import settle

END = 1_800_000_000_000


def policy(
    max_retries: int, base: float = 2, cap: float = 3600, jitter: float = 0
) -> RetryPolicy:
    return RetryPolicy(max_retries, base, cap, jitter)


def verdict(kind: str, attempts: int, max_retries: int) -> Verdict:
    return settle(attempts, policy(max_retries), Outcome(kind, END))


@pytest.mark.parametrize("kind", [COMPLETED, CANCELLED])
@pytest.mark.parametrize("attempts", [0, 1, 2])
@pytest.mark.parametrize("max_retries", [0, 1, 3])
def test_a_run_that_completed_or_was_cancelled_is_final_and_not_charged(
    kind: str, attempts: int, max_retries: int
) -> None:
    assert verdict(kind, attempts, max_retries) == Verdict(kind, attempts, None, False)


@pytest.mark.parametrize("kind", [FAILED, TIMEOUT, LOST])
@pytest.mark.parametrize(
    ("max_retries", "attempts", "state", "delay"),
    [
        (0, 0, DEAD, None),  # 0 means one run
        (1, 0, DEAD, None),
        (2, 0, FAILED, 2),
        (2, 1, DEAD, None),
        (3, 0, FAILED, 2),
        (3, 1, FAILED, 4),
        (3, 2, DEAD, None),
        (5, 3, FAILED, 16),
        (5, 4, DEAD, None),
        (1, 4, DEAD, None),
    ],
)
def test_a_run_that_failed_timed_out_or_was_lost_is_charged_until_none_are_left(
    kind: str, max_retries: int, attempts: int, state: str, delay: int | None
) -> None:
    due_at = None if delay is None else END + delay * 1000
    assert verdict(kind, attempts, max_retries) == Verdict(state, attempts + 1, due_at, True)


@pytest.mark.parametrize(
    ("max_retries", "attempts", "expected"),
    [
        (3, 0, Verdict(PENDING, 0, END, False)),
        (3, 2, Verdict(PENDING, 2, END, False)),
        (2, 0, Verdict(PENDING, 0, END, False)),
        (1, 0, Verdict(DEAD, 1, None, True)),
        (0, 0, Verdict(DEAD, 1, None, True)),
    ],
)
def test_a_run_cut_off_by_a_shutdown_is_charged_only_when_it_was_the_only_one_allowed(
    max_retries: int, attempts: int, expected: Verdict
) -> None:
    assert verdict(RELEASED, attempts, max_retries) == expected


@pytest.mark.parametrize("kind", [PROCESSING, PENDING, DEAD, "", "ok"])
def test_an_unknown_outcome_is_an_error(kind: str) -> None:
    with pytest.raises(ValueError, match="unknown outcome"):
        verdict(kind, 0, 3)


def test_the_retry_is_due_after_the_delay_and_its_jitter_to_the_millisecond() -> None:
    outcome = Outcome(FAILED, END)
    assert settle(0, policy(3, 1.5), outcome).due_at == END + 1_500
    assert settle(1, policy(3, 1.5), outcome).due_at == END + 2_250
    assert settle(0, policy(3, 2, jitter=0.5), outcome, luck=0.5).due_at == END + 2_500
    assert settle(0, policy(3, 0), outcome).due_at == END


@given(
    kind=st.sampled_from([COMPLETED, CANCELLED, FAILED, TIMEOUT, LOST, RELEASED]),
    max_retries=st.integers(0, 6),
    attempts=st.integers(0, 5),
    base=st.floats(0, 86_400),
    luck=st.floats(0, 1, exclude_max=True),
)
def test_no_job_is_ever_charged_beyond_its_limit_or_due_before_its_end(
    kind: str, max_retries: int, attempts: int, base: float, luck: float
) -> None:
    rule = policy(max_retries, base, jitter=1)
    decided = settle(min(attempts, rule.limit - 1), rule, Outcome(kind, END), luck)
    assert decided.attempts <= rule.limit
    assert (decided.due_at is not None) == (decided.state in (PENDING, FAILED))
    assert decided.due_at is None or decided.due_at >= END
    assert decided.state != FAILED or decided.charged
    if decided.state == DEAD:
        assert decided.attempts == rule.limit
