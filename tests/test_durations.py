"""Lengths of time, as people write them."""

from __future__ import annotations

import pytest

from queuectl.durations import format_duration, parse_duration
from queuectl.errors import BadInput


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("10m", 600),
        ("2h30m", 9_000),
        ("1d", 86_400),
        ("1d2h3m4s", 93_784),
        ("250ms", 0.25),
        (" 10M ", 600),
    ],
)
def test_a_length_is_read_in_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text, "it") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "x", "-5", "-5m", "5x", "m", "1m1h", "1m1m", "1 m", "1e3", "inf", "nan", "9" * 30],
)
def test_what_is_no_length_is_refused_and_named(text: str) -> None:
    with pytest.raises(BadInput, match="the limit is not a length of time"):
        parse_duration(text, "the limit")


def test_none_is_only_a_limit_where_it_is_allowed() -> None:
    assert parse_duration("none", "it", none_is=0.0) == 0
    with pytest.raises(BadInput):
        parse_duration("none", "it")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.04s"),
        (8.2, "8.2s"),
        (5, "5s"),
        (59.96, "1m00s"),
        (128, "2m08s"),
        (12_000, "3h20m"),
        (187_200, "2d4h"),
    ],
)
def test_a_length_is_shown_in_one_glance(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
