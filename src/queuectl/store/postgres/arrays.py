"""Arrays as PostgreSQL reads them.

psycopg makes them of lists as well, asking of each value anew what it is; of the thousand
values of a worker's turn that is a good part of its cost.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    Value: TypeAlias = float | str | bytes | None  # booleans are numbers


def array(values: Sequence[Value]) -> str:
    """A literal for a parameter that the statement casts."""
    if values and values.count(values[0]) == len(values):  # of ends of runs, most are
        elements = [_element(values[0])] * len(values)
    else:
        elements = [_element(value) for value in values]
    return "{" + ",".join(elements) + "}"


def columns(rows: Sequence[Sequence[Value]]) -> list[str]:
    """The same of rows, an array for each column."""
    return [array(column) for column in zip(*rows, strict=True)]


def _element(value: Value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, bytes):  # whatever standard_conforming_strings may be here
        return f'"\\\\x{value.hex()}"'
    return str(value)
