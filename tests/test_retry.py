"""The delays between the runs of a job that fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queuectl.retry import RetryPolicy


@pytest.mark.parametrize(
    ("base", "cap", "delays"),
    [
        (2, 3600, [2, 4, 8, 16, 32]),
        (1, 3600, [1, 1, 1, 1, 1]),
        (0, 3600, [0, 0, 0, 0, 0]),
        (0.5, 3600, [0.5, 0.25, 0.125, 0.0625, 0.03125]),
        (3, 20, [3, 9, 20, 20, 20]),
        (2, 0, [0, 0, 0, 0, 0]),
    ],
)
def test_delays_grow_by_the_base_up_to_the_cap(
    base: float, cap: float, delays: list[float]
) -> None:
    policy = RetryPolicy(9, base, cap, 0)
    assert [policy.delay(attempts, 0) for attempts in range(1, 6)] == delays


@pytest.mark.parametrize("luck", [0, 0.999])
def test_a_delay_too_large_to_compute_is_the_cap(luck: float) -> None:
    assert RetryPolicy(1_000_000, 86_400, 3600, 0).delay(999_999, luck) == 3600
    assert RetryPolicy(1_000_000, 1e308, 3600, 0).delay(2, luck) == 3600


@pytest.mark.parametrize(
    ("jitter", "luck", "delay"), [(0, 0.9, 8), (0.5, 0, 8), (0.5, 0.5, 10), (1, 0.25, 10)]
)
def test_jitter_adds_a_share_of_the_delay(jitter: float, luck: float, delay: float) -> None:
    assert RetryPolicy(9, 2, 3600, jitter).delay(3, luck) == delay


def test_jitter_spreads_delays_at_the_cap_too() -> None:
    assert RetryPolicy(9, 2, 10, 0.5).delay(20, 0.5) == 12.5


@given(
    base=st.floats(0, 86_400),
    cap=st.floats(0, 366 * 86_400),
    jitter=st.floats(0, 1),
    attempts=st.integers(1, 1_000_000),
    luck=st.floats(0, 1, exclude_max=True),
)
def test_no_delay_is_negative_or_longer_than_the_cap_and_its_jitter(
    base: float, cap: float, jitter: float, attempts: int, luck: float
) -> None:
    delay = RetryPolicy(9, base, cap, jitter).delay(attempts, luck)
    assert 0 <= delay <= cap * (1 + jitter)


@pytest.mark.parametrize(("max_retries", "limit"), [(0, 1), (1, 1), (2, 2), (3, 3), (9, 9)])
def test_at_least_one_run_is_allowed(max_retries: int, limit: int) -> None:
    assert RetryPolicy(max_retries, 2, 3600, 0).limit == limit
