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
@pytest.mark.parametrize("slots", [1, 4, 500])
def test_nothing_is_claimed_ahead_of_runs_that_take_their_time(
    seconds: float, slots: int
) -> None:
    pace = after(seconds, slots=slots)
    assert (pace.ahead, pace.plenty) == (0, 0)


@pytest.mark.parametrize("seconds", [0.001, 0.005, 0.01, 0.02, 0.039])
@pytest.mark.parametrize("slots", [1, 4])
def test_what_is_claimed_ahead_in_any_case_is_done_within_twenty_milliseconds(
    seconds: float, slots: int
) -> None:
    pace = after(*[seconds] * 50, slots=slots)
    assert pace.ahead * seconds / slots <= 0.0201
    assert pace.ahead + pace.plenty <= MOST


@pytest.mark.parametrize("seconds", [0.001, 0.005, 0.01, 0.02, 0.039])
@pytest.mark.parametrize("slots", [1, 4])
def test_more_is_claimed_ahead_where_there_is_plenty_but_not_for_long(
    seconds: float, slots: int
) -> None:
    pace = after(*[seconds] * 50, slots=slots)
    assert pace.plenty > 0
    assert (pace.ahead + pace.plenty) * seconds / slots <= 0.1201


def test_very_short_runs_are_claimed_ahead_up_to_a_limit() -> None:
    pace = after(*[0.0001] * 50, slots=4)
    assert pace.ahead + pace.plenty == MOST


def test_one_long_run_ends_the_swing() -> None:
    pace = after(*[0.001] * 50)
    pace.ended(60, was_loud=False)
    assert (pace.ahead, pace.plenty) == (0, 0)


def test_a_line_that_stood_still_ends_the_swing() -> None:
    pace = after(*[0.001] * 50)
    pace.held_up()
    assert (pace.ahead, pace.plenty) == (0, 0)


def test_the_swing_comes_back_with_short_runs() -> None:
    pace = after(60)
    for _ in range(60):
        pace.ended(0.001, was_loud=False)
    assert pace.ahead > 0


def test_more_is_asked_for_when_most_of_the_line_is_used() -> None:
    pace = after(*[0.001] * 50)
    pace.filled(40)
    assert not pace.runs_low(40)
    assert not pace.runs_low(20)
    assert pace.runs_low(10)


def test_a_short_line_is_not_low_at_once() -> None:
    pace = after(*[0.001] * 50)
    pace.filled(4)
    assert not pace.runs_low(4)
    assert pace.runs_low(1)


def test_nothing_more_is_asked_for_where_runs_take_their_time() -> None:
    assert not after(1.0).runs_low(0)


def test_a_line_that_moves_on_too_slowly_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each run just short enough: what was to take a tenth of a second would take many."""
    now = 100.0
    monkeypatch.setattr("queuectl.worker.pace.time.monotonic", lambda: now)
    pace = after(*[0.001] * 50)
    pace.filled(100)
    started = 0
    while now < pace.give_back_at and started < 100:
        pace.started()
        started += 1
        now += 0.045
    assert started < 20


def test_a_line_that_is_filled_again_and_again_may_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr("queuectl.worker.pace.time.monotonic", lambda: now)
    pace = after(*[0.001] * 50)
    for _ in range(20):
        pace.filled(50)
        for _ in range(50):
            pace.started()
            now += 0.002
            assert now < pace.give_back_at
