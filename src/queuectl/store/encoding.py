"""How the parts of a job that are more than a number or a word stand in text columns."""

from __future__ import annotations

import json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from queuectl.model import Command

compact = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def made_up_number(job_id: str) -> int | None:
    """17 for `j17`, None for an id that can't have been made up."""
    digits = job_id[1:]
    if job_id[:1] != "j" or not (digits.isascii() and digits.isdigit()) or digits[0] == "0":
        return None
    return int(digits) if len(digits) < 19 else None


def stored_command(command: Command) -> tuple[str, bool]:
    """(text, whether it is an argument list in JSON)."""
    return (command, False) if isinstance(command, str) else (compact(command), True)


def read_command(text: str, is_argv: int) -> Command:
    """The reverse of `stored_command`."""
    return tuple(json.loads(text)) if is_argv else text


def store_map(values: Mapping[str, str]) -> str | None:
    """A JSON object, or nothing if there is nothing in it."""
    return compact(values) if values else None


def read_map(text: str | None) -> Mapping[str, str]:
    """The reverse of `store_map`."""
    return json.loads(text) if text else {}


def store_list(values: Iterable[Any]) -> str | None:
    """A JSON array, or nothing if there is nothing in it."""
    listed = list(values)
    return compact(listed) if listed else None


def read_list(text: str | None) -> tuple[str, ...]:
    """The reverse of `store_list`."""
    return tuple(json.loads(text)) if text else ()
