"""Guards that are taken out one at a time (`make mutants`): some test must notice each."""

from __future__ import annotations

from .ending import ENDING
from .mutant import Mutant
from .postgres import POSTGRES
from .sqlite import SQLITE
from .worker import ENGINE

MUTANTS: list[Mutant] = [*SQLITE, *ENGINE, *ENDING, *POSTGRES]
