"""Lengths of time as people type them and read them; seconds inside."""

from __future__ import annotations

import re

from queuectl.errors import BadInput

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART = r"(\d+(?:\.\d+)?)(ms|d|h|m|s)"
LONGEST = 100 * 365 * 86_400.0
"""A hundred years."""


def parse_duration(text: str, what: str, *, none_is: float | None = None) -> float:
    """`90`, `90s`, `10m`, `2h30m`, `1d` -> seconds; `none` where `none_is` allows it.

    Raises BadInput that names `what` was asked for.
    """
    word = text.strip().lower()
    if word == "none" and none_is is not None:
        return none_is
    seconds = _seconds(word)
    if seconds is None or seconds > LONGEST:
        raise BadInput(
            f"{what} is not a length of time: {text!r}",
            "90, 90s, 10m, 2h30m or 1d" + (", or none" if none_is is not None else ""),
        )
    return seconds


def _seconds(word: str) -> float | None:
    if re.fullmatch(r"\d+(\.\d+)?", word, re.ASCII):
        return float(word)
    parts = re.findall(_PART, word, re.ASCII)
    if not parts or "".join(number + unit for number, unit in parts) != word:
        return None
    units = [unit for _number, unit in parts]
    if sorted(units, key=list(_UNITS).index) != units or len(set(units)) != len(units):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def format_duration(seconds: float) -> str:
    """Short and readable: `0.04s`, `8.2s`, `2m08s`, `3h20m`, `2d4h`."""
    if seconds < 1:
        return f"{seconds:.2f}s"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + "s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02d}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours}h"
