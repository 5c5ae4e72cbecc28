"""Points in time, as people and JSON write them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from queuectl.errors import BadInput
from queuectl.instants import iso, local_time, parse_instant

NINE = 1_769_850_000_000
"""2026-01-31T09:00:00Z."""


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Local time is one hour ahead in winter, two in summer."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-31T09:00:00Z", NINE),
        ("2026-01-31t09:00:00z", NINE),
        ("2026-01-31T09:00Z", NINE),
        ("2026-01-31 09:00:00", NINE),
        ("2026-01-31T10:00:00+01:00", NINE),
        ("2026-01-31T03:30:00-0530", NINE),
        ("2026-01-31T09:00:00.5Z", NINE + 500),
        ("2026-01-31T09:00:00.123456789Z", NINE + 123),
        ("2026-01-31T09:00:00,25Z", NINE + 250),
        ("2026-01-31", NINE - 9 * 3_600_000),
        ("1969-12-31T23:59:59Z", -1_000),
        ("2099-12-31T23:59:00", 4_102_444_740_000),
    ],
)
def test_a_time_without_an_offset_is_utc(text: str, ms: int) -> None:
    assert parse_instant(text, "run_at") == ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-01-31 10:00", NINE),
        ("2026-01-31T09:00:00Z", NINE),
        ("2026-07-01 12:00", 1_782_900_000_000),
    ],
)
def test_typed_as_an_option_it_is_local(text: str, ms: int) -> None:
    assert parse_instant(text, "--run-at", local=True) == ms


def test_a_plain_time_of_day_is_the_next_such_time() -> None:
    now = NINE  # 10:00 here
    assert parse_instant("10:30", "--run-at", local=True, now=now) == NINE + 1_800_000
    assert parse_instant("09:30", "--run-at", local=True, now=now) == NINE + 84_600_000
    assert parse_instant("10:00:01", "--run-at", local=True, now=now) == NINE + 1_000


def test_looking_back_a_plain_time_of_day_is_the_last_such_time() -> None:
    def last(text: str) -> int:
        return parse_instant(text, "--since", local=True, now=NINE, past=True)

    assert last("09:30") == NINE - 1_800_000
    assert last("10:00") == NINE
    assert last("10:30") == NINE - 84_600_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "2026",
        "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2026-01-31T25:00:00Z",
        "2026-01-31T09:60:00Z",
        "2026-01-31X09:00:00Z",
        "2026-W05-6",
        "20260131T090000Z",
        "2026-01-31T09",
        "2026-01-31T09:00:00 Z",
        "2026-01-31T09:00:00ZZ",
        "2026-01-31T09:00:00+99:00",
        "9999-12-31T23:59:59-12:00",
        "0001-01-01T00:00:00+12:00",
        "٢٠٢٦-01-31T09:00:00Z",
        "09:00",
        "1769850000",
    ],
)
def test_what_is_no_time_is_refused_and_named(text: str) -> None:
    try:
        ms = parse_instant(text, "run_at")
    except BadInput as error:
        assert error.message.startswith("run_at is no time")
        assert error.hint
    else:
        # out of the years that can be shown, but a time
        assert text.startswith(("9999", "0001"))
        assert isinstance(ms, int)


def test_iso_has_milliseconds_and_z() -> None:
    assert iso(NINE + 7) == "2026-01-31T09:00:00.007Z"
    assert iso(-1) == "1969-12-31T23:59:59.999Z"


def test_people_see_local_time() -> None:
    assert local_time(NINE) == "2026-01-31 10:00:00 CET"


@pytest.mark.parametrize("ms", [0, 1, -1, NINE, 253_402_300_799_999])
def test_what_is_written_can_be_read(ms: int) -> None:
    assert parse_instant(iso(ms), "run_at") == ms
