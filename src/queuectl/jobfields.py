"""The fields that a job may be given: for each, its check, from what was written to the value
that is kept. What is wrong raises BadInput with one line that names the field."""

from __future__ import annotations

import os

from queuectl.config import KEYS, bounds
from queuectl.durations import LONGEST, parse_duration
from queuectl.errors import BadInput
from queuectl.instants import parse_instant
from queuectl.model import PRIORITIES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from queuectl.model import Command

ONE_ARGUMENT = 131_071
"""Bytes of a command, an argument or a `K=V` at most: the kernel's MAX_ARG_STRLEN less NUL."""

# Sets, not patterns: to compile three of those takes longer than to check a job.
_ALNUM = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_IN_NAMES = _ALNUM.union("._:+-")
_IN_TAGS = _IN_NAMES.union("/@=")
_IN_VARIABLES = _ALNUM.union("_")
_LONGEST_NAME = 128


def check_text(value: Any, what: str) -> str:
    """Text that a job may carry: Unicode without NUL."""
    if not isinstance(value, str):
        raise _wrong_type(what, "text", value)
    if "\0" in value:
        raise BadInput(f"{what} holds a NUL byte")
    if is_broken(value):
        raise BadInput(f"{what} is not valid Unicode (UTF-8)")
    return value


def _command(value: Any) -> Command:
    if type(value) is str:
        if not value.strip():
            raise BadInput("the command is empty")
        return _argument(value, "the command")
    if type(value) is list or type(value) is tuple:
        if not value or value[0] == "":
            raise BadInput("the command is empty")
        return tuple([_argument(word, "a word of the command") for word in value])
    raise _wrong_type("command", "text or a list of texts", value)


def _argument(value: Any, what: str) -> str:
    text = check_text(value, what)
    if len(text) * 4 > ONE_ARGUMENT and len(text.encode()) > ONE_ARGUMENT:
        raise BadInput(
            f"{what} has {len(text.encode()):,} bytes; {ONE_ARGUMENT:,} is the most",
            "put what is long into a file",
        )
    return text


def _id(value: Any) -> str:
    return _name(value, "an id")


def _queue(value: Any) -> str:
    return _name(value, "a queue's name")


def check_queue(value: str) -> str:
    """The name of a queue: the same rule as for ids. Raises BadInput."""
    return _queue(value)


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise _wrong_type(what, "text", value)
    if not _fits(value, _IN_NAMES):
        raise BadInput(
            f"{what} can't be {brief(value)}",
            "letters, digits and . _ : + - (a letter or digit first), 128 at most",
        )
    return value


def _fits(value: str, characters: frozenset[str]) -> bool:
    return (
        0 < len(value) <= _LONGEST_NAME and value[0] in _ALNUM and characters.issuperset(value)
    )


def _priority(value: Any) -> int:
    if type(value) is not int:
        raise _wrong_type("priority", "a whole number from 1 to 10", value)
    if value not in PRIORITIES:
        raise BadInput(f"priority is 1 to 10, not {value}", "10 runs first, 5 is the default")
    return value


def _timeout(value: Any) -> float:
    return _seconds(value, "timeout_seconds", none_is=0.0)


def _delay(value: Any) -> float:
    return _seconds(value, "delay")


def _seconds(value: Any, what: str, none_is: float | None = None) -> float:
    if type(value) is str:
        if value.strip().startswith("-"):
            raise BadInput(f"{what} can't be negative: {value}")
        return parse_duration(value, what, none_is=none_is)
    if type(value) is not int and type(value) is not float:
        raise _wrong_type(what, "seconds or a length of time like 10m", value)
    if value < 0:
        raise BadInput(f"{what} can't be negative: {brief(value)}")
    if value > LONGEST:
        raise BadInput(f"{what} is too long: {brief(value)}")
    return float(value)


def _run_at(value: Any) -> int:
    if type(value) is not str:
        raise _wrong_type("run_at", 'a time like "2026-01-31T09:00:00Z"', value)
    return parse_instant(value, "run_at")


def _retries(value: Any) -> int:
    if type(value) is not int:
        raise _wrong_type("max_retries", "a whole number", value)
    return _in_range("max_retries", value)  # type: ignore[return-value]


def _number(name: str) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        if type(value) is not int and type(value) is not float:
            raise _wrong_type(name, "a number", value)
        return _in_range(name, value)

    return check


def _backoff_max(value: Any) -> float:
    return _in_range("backoff_max", _seconds(value, "backoff_max"))


def _in_range(name: str, value: float) -> float:
    rule = KEYS[name]
    if not rule.low <= value <= rule.high:
        raise BadInput(f"{name} is {bounds(name)}, not {brief(value)}")
    return value if name == "max_retries" else float(value)


def _after(value: Any) -> tuple[str, ...]:
    return _texts(value, "after", "ids", lambda word: _name(word, "an id in after"))


def _tags(value: Any) -> tuple[str, ...]:
    return _texts(value, "tags", "texts", _tag)


def _tag(value: Any) -> str:
    if type(value) is not str:
        raise _wrong_type("a tag", "text", value)
    if not _fits(value, _IN_TAGS):
        raise BadInput(
            f"a tag can't be {brief(value)}",
            "letters, digits and . _ : + / @ = - (a letter or digit first), 128 at most",
        )
    return value


def _texts(value: Any, what: str, kind: str, check: Callable[[Any], str]) -> tuple[str, ...]:
    if type(value) is not list and type(value) is not tuple:
        raise _wrong_type(what, f"a list of {kind}", value)
    return tuple(dict.fromkeys([check(word) for word in value]))


def _directory(value: Any) -> str:
    text = check_text(value, "cwd")
    if not text:
        raise BadInput("cwd is empty")
    return os.path.abspath(os.path.expanduser(text))


def check_directory(path: str) -> None:
    """Whether it is there. Raises BadInput."""
    if path not in _directories:
        if not os.path.isdir(path):
            reason = "is no directory" if os.path.lexists(path) else "does not exist"
            raise BadInput(f"{path} {reason}")
        _directories.add(path)


_directories: set[str] = set()
"""Seen to exist, so that a file of many jobs asks once."""


def _env(value: Any) -> dict[str, str]:
    if type(value) is not dict:
        raise _wrong_type("env", 'an object like {"SEED": "1"}', value)
    for name, text in value.items():
        if not name or not _IN_VARIABLES.issuperset(name) or name[0].isdigit():
            raise BadInput(
                f"a variable can't be called {brief(name)}",
                "letters, digits and _, no digit first",
            )
        if type(text) is not str:
            raise _wrong_type(f"env {name}", "text", text)
        check_text(text, f"the variable {name}")
        if len(name) + 1 + len(text.encode()) > ONE_ARGUMENT:
            raise BadInput(
                f"the variable {name} is too long; {ONE_ARGUMENT:,} bytes with its name at most"
            )
    return dict(value)


def brief(value: Any) -> str:
    """A value as an error shows it."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "…"


def _wrong_type(what: str, wanted: str, value: Any) -> BadInput:
    kinds: dict[type, str] = {bool: "true or false", list: "a list", dict: "an object"}
    shown = kinds.get(type(value)) or brief(value)
    return BadInput(f"{what} is {wanted}, not {shown}")


def is_broken(text: str) -> bool:
    """Whether the text holds half a surrogate pair, so that no UTF-8 can carry it."""
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


CHECKS: dict[str, Callable[[Any], Any]] = {
    "command": _command,
    "id": _id,
    "queue": _queue,
    "priority": _priority,
    "max_retries": _retries,
    "backoff_base": _number("backoff_base"),
    "backoff_max": _backoff_max,
    "backoff_jitter": _number("backoff_jitter"),
    "timeout_seconds": _timeout,
    "run_at": _run_at,
    "delay": _delay,
    "after": _after,
    "cwd": _directory,
    "env": _env,
    "tags": _tags,
}
FIELDS = tuple(CHECKS)
"""The fields that may be given, by their JSON names."""

_OPTIONS = {"timeout_seconds": "--timeout", "tags": "--tag"}


def option_of(name: str) -> str:
    """The option that gives a field."""
    return _OPTIONS.get(name) or "--" + name.replace("_", "-")
