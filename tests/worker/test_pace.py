"""How far ahead a worker claims: as far as nothing waits long for it."""

from __future__ import annotations

import pytest

from queuectl.worker.pace import MOST, Pace


def after(*seconds: float, slots: int = 1) -> Pace:
    pace = Pace(slots)
    for duration in seconds:
        pace.ended(duration, was_loud=False)
    return pace


def test_nothing_is_claimed_ahead_before_anything_is_known() -> None:
    assert Pace(1).ahead == 0


@pytest.mark.parametrize("seconds", [0.05, 1.0, 3600.0])
def test_nothing_is_claimed_ahead_of_runs_that_take_their_time(seconds: float) -> None:
    assert after(seconds).ahead == 0


@pytest.mark.parametrize("seconds", [0.001, 0.005, 0.01, 0.02, 0.039])
@pytest.mark.parametrize("slots", [1, 4])
def test_what_is_claimed_ahead_is_done_within_fifty_milliseconds(
    seconds: float, slots: int
) -> None:
    pace = after(*[seconds] * 50, slots=slots)
    assert pace.ahead * seconds / slots <= 0.05
    assert pace.ahead <= MOST


def test_very_short_runs_are_claimed_ahead_up_to_a_limit() -> None:
    assert after(*[0.0001] * 50).ahead == MOST


def test_one_long_run_ends_the_swing() -> None:
    pace = after(*[0.001] * 50)
    pace.ended(60, was_loud=False)
    assert pace.ahead == 0


def test_a_line_that_stood_still_ends_the_swing() -> None:
    pace = after(*[0.001] * 50)
    pace.held_up()
    assert pace.ahead == 0


def test_the_swing_comes_back_with_short_runs() -> None:
    pace = after(60)
    for _ in range(60):
        pace.ended(0.001, was_loud=False)
    assert pace.ahead > 0


def test_more_is_asked_for_when_half_is_used() -> None:
    pace = after(*[0.001] * 50)
    assert pace.runs_low(0)
    assert not pace.runs_low(pace.ahead)
    assert not after(1.0).runs_low(0)
