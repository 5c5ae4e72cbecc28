"""The configuration: one validated value, kept in the store, passed and never global."""

from __future__ import annotations

from math import isnan

from queuectl.durations import parse_duration
from queuectl.errors import BadInput, UnknownKey
from queuectl.records import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any


class Config(Record):
    """Every key with its default. Times in seconds, sizes in bytes."""

    max_retries: int = 3
    backoff_base: float = 2.0
    backoff_max: float = 3600.0
    backoff_jitter: float = 0.0
    job_timeout: float = 300.0
    kill_grace: float = 5.0
    shutdown_timeout: float = 30.0
    worker_poll_interval: float = 1.0
    lease_seconds: float = 120.0
    output_limit: int = 65536
    env_capture: tuple[str, ...] = ("PATH", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_*")
    retention: float | None = None


class _Key(Record):
    parse: Callable[[str, str], Any]
    low: float = 0
    high: float = float("inf")


def _integer(text: str, key: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise BadInput(f"{key} is a whole number, not {text!r}") from None


def _number(text: str, key: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise BadInput(f"{key} is a number, not {text!r}") from None
    if isnan(value):
        raise BadInput(f"{key} is a number, not {text!r}")
    return value


def _time_limit(text: str, key: str) -> float:
    return parse_duration(text, key, none_is=0.0)


def _names(text: str, key: str) -> tuple[str, ...]:
    names = tuple(text.replace(",", " ").split())
    for name in names:
        if not name.removesuffix("*").replace("_", "a").isalnum():
            raise BadInput(
                f"{key} takes names of variables, not {name!r}", "PATH LANG LC_* for instance"
            )
    return names


KEYS: dict[str, _Key] = {
    "max_retries": _Key(_integer, 0, 1_000_000),
    "backoff_base": _Key(_number, 0, 86_400),
    "backoff_max": _Key(parse_duration, 0, 366 * 86_400),
    "backoff_jitter": _Key(_number, 0, 1),
    "job_timeout": _Key(_time_limit),
    "kill_grace": _Key(parse_duration, 0, 3_600),
    "shutdown_timeout": _Key(parse_duration, 0, 7 * 86_400),
    "worker_poll_interval": _Key(parse_duration, 0.05, 3_600),
    "lease_seconds": _Key(parse_duration, 3, 86_400),
    "output_limit": _Key(_integer, 0, 64 * 1024 * 1024),
    "env_capture": _Key(_names),
    "retention": _Key(parse_duration, 1),
}


def key_name(word: str) -> str:
    """`max-retries` and `max_retries` are the same key.

    Raises UnknownKey, naming the nearest.
    """
    key = word.strip().lower().replace("-", "_")
    if key in KEYS:
        return key
    from difflib import get_close_matches

    near = get_close_matches(key, KEYS, n=1)
    raise UnknownKey(
        f"there is no config key {word!r}",
        f"did you mean {near[0]}?" if near else "queuectl config list shows them all",
    )


def parse_value(key: str, text: str) -> Any:
    """The value of a key from its text. Raises BadInput."""
    rule = KEYS[key]
    value = rule.parse(text, key)
    if not isinstance(value, tuple) and not rule.low <= value <= rule.high:
        raise BadInput(f"{key} takes {bounds(key)}, not {text}")
    return value


def unit(key: str) -> str:
    """What a number counts; nothing where that is plain."""
    if key == "output_limit":
        return "bytes"
    return "s" if KEYS[key].parse in (parse_duration, _time_limit) else ""


def bounds(key: str) -> str:
    """What a number may be: `0 to 1000000`, `1 or more`."""
    rule = KEYS[key]
    if rule.high == float("inf"):
        return f"{format_value(rule.low)} or more"
    return f"{format_value(rule.low)} to {format_value(rule.high)}"


def format_value(value: Any) -> str:
    """The text of a value, which `parse_value` reads back; nothing for what is not set."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return " ".join(value)
    return str(int(value)) if value == value // 1 else str(value)


def build(settings: Mapping[str, str]) -> Config:
    """The configuration from the texts that were set. Keys and values that a newer version
    may have set, and this one does not take, are passed over."""
    known = {}
    for key in KEYS.keys() & settings.keys():
        try:
            known[key] = parse_value(key, settings[key])
        except BadInput:
            continue
    return Config(**known)
