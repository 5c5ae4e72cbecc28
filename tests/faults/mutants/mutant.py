"""What a mutant is."""

from __future__ import annotations

from typing import NamedTuple

WORKER = "src/queuectl/worker/"


class Mutant(NamedTuple):
    """A text that stands once in a file, and what it is replaced with. `tests` are arguments
    of pytest, after a semicolon those of another run of it."""

    name: str
    file: str
    old: str
    new: str
    tests: str
