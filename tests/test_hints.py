"""What the program tells people to type can be typed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import queuectl
from queuectl.cli.commands import COMMANDS

_NAMED = re.compile(r"\bqueuectl ([a-z][a-z-]*)")
_PROSE = {"runs", "on", "and"}
"""What follows the program's name where it is no command: "queuectl runs shell commands"."""


def said_in(path: Path) -> list[str]:
    """Every text of a module but its docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [c.value for c in constants if isinstance(c.value, str) and id(c) not in docs]


def test_every_command_that_a_message_names_exists() -> None:
    commands = {name.split()[0] for name in COMMANDS}
    found = set()
    for path in Path(queuectl.__file__).parent.rglob("*.py"):
        for text in said_in(path):
            found |= {(path.name, word) for word in _NAMED.findall(text)}
    assert len(found) > 20
    assert {(name, word) for name, word in found if word not in commands | _PROSE} == set()


def test_no_message_names_a_file_that_an_installed_package_does_not_have() -> None:
    for path in Path(queuectl.__file__).parent.rglob("*.py"):
        for text in said_in(path):
            assert not re.search(r"\bdocs/|\.md\b", text), (path.name, text)
