"""docs/recipes.md: every command there is one that queuectl takes."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from queuectl.cli.commands import COMMANDS, load
from queuectl.cli.main import _find_command
from queuectl.cli.parser import Parser

PAGE = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text()
SPANS = re.findall(r"`(queuectl [^`]+)`", PAGE)
BLOCKS = "\n".join(re.findall(r"(?s)```\n(.*?)```", PAGE))
LINES = re.findall(r"queuectl [^;|)\n]+", re.sub(r"\$\(.*?\) --", "--after=j1 --", BLOCKS))


@pytest.mark.parametrize("line", [*SPANS, *LINES])
def test_every_command_of_the_recipes_is_understood(line: str) -> None:
    command, _db, rest = _find_command(shlex.split(line)[1:])
    parser = Parser(command, COMMANDS[command])
    load(command)[0](parser)
    parser.read(rest, None)
