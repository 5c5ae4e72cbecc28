"""One command's options: argparse, with the words sorted first and errors of one line."""

from __future__ import annotations

import sys

from queuectl import __version__
from queuectl.cli.commands import nearest
from queuectl.cli.untranslated import argparse
from queuectl.durations import parse_duration
from queuectl.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_LARGEST = 2**31 - 1
"""Of any number: what a column of PostgreSQL takes."""

# What other tools call it, where likeness alone would lead elsewhere.
_MEANT = {
    "--all": "--limit all",
    "--at": "--run-at",
    "--background": "--detach",
    "--begin": "--run-at",
    "--chdir": "--cwd",
    "--daemon": "--detach",
    "--dependency": "--after",
    "--depends-on": "--after",
    "--dir": "--cwd",
    "--group": "--queue",
    "--in": "--delay",
    "--label": "--tag",
    "--name": "--id",
    "--partition": "--queue",
    "--workdir": "--cwd",
    "-j": "--count",
}

ANYWHERE = "anywhere"
FIRST_WORD = "first word"


def _formatter(prog: str) -> argparse.HelpFormatter:
    # A width that is given spares argparse the import of shutil.
    return argparse.RawDescriptionHelpFormatter(prog, max_help_position=26, width=80)


class Parser(argparse.ArgumentParser):
    """The parser of one command.

    `command_ends_options` is set by verbs whose words are a command line (enqueue, run):
    the words come back in `args.words`, what stood after `--` in `args.tail` (None if
    there was none) and our own options, as typed, in `args.own`. FIRST_WORD says that
    everything from the first word on is the command.
    """

    command_ends_options: str | None = None

    def __init__(self, command: str, line: str) -> None:
        super().__init__(
            prog=f"queuectl {command}",
            description=line[0].upper() + line[1:] + ".",
            formatter_class=_formatter,
            allow_abbrev=False,
            add_help=False,
        )
        self._own = self.add_argument_group("options")
        self.add_argument("-h", "--help", action="help", help="print this")
        self.add_argument("--db", metavar="URL|PATH", help="where the jobs live")
        version = f"queuectl {__version__}"
        self.add_argument(
            "--version", action="version", version=version, help="print the version"
        )

    def add_argument(self, *names: Any, **facts: Any) -> argparse.Action:
        """As usual, but what argparse checks of a parser's options, and not of a group's,
        would compile three regular expressions."""
        if names[0].startswith("-"):
            return self._own.add_argument(*names, **facts)
        return super().add_argument(*names, **facts)

    def read(self, words: list[str], db: str | None) -> argparse.Namespace:
        """Parse; `db` is what stood before the command. Raises BadInput."""
        self.set_defaults(db=db)
        options, operands, tail, own = self._sort(words)
        if self.command_ends_options:
            args = self.parse_args(options)
            args.words, args.tail, args.own = operands, tail, own
            return args
        operands += tail or []
        return self.parse_args([*options, "--", *operands] if operands else options)

    def _sort(
        self, words: list[str]
    ) -> tuple[list[str], list[str], list[str] | None, list[str]]:
        """Options with their values, other words, those after `--`, and the options as they
        were typed: so options may stand anywhere, and errors name what was typed."""
        options: list[str] = []
        operands: list[str] = []
        own: list[str] = []
        seen: set[str] = set()
        place = 0
        while place < len(words):
            word = words[place]
            place += 1
            if word == "--":
                return options, operands, words[place:], own
            if not word.startswith("-") or word == "-" or word[1:2].isdigit():
                if self.command_ends_options == FIRST_WORD:
                    return options, words[place - 1 :], None, own
                operands.append(word)
                continue
            action, name, value = self._option(word)
            if action is None:
                if self._part_of_command(name, operands):
                    operands.append(word)
                    continue
                raise self._unknown(name)
            if action.nargs == 0:
                if value is not None:
                    raise BadInput(f"{name} takes no value", f"{self.prog} --help")
                options.append(word)
                own.append(word)
                continue
            own.append(word)
            if value is None:
                if place == len(words) or _looks_like_option(words[place]):
                    raise BadInput(f"{name} needs a value", f"{self.prog} --help")
                value = words[place]
                own.append(value)
                place += 1
            if action.dest in seen and action.dest != "db" and not _repeatable(action):
                raise BadInput(f"{name} is given twice")
            seen.add(action.dest)
            options.append(f"{name}={value}" if name.startswith("--") else f"{name}{value}")
        return options, operands, None, own

    def _option(self, word: str) -> tuple[argparse.Action | None, str, str | None]:
        """The action, the option's name and the value that is part of the word."""
        known = self._option_string_actions
        if word.startswith("--"):
            name, separator, value = word.partition("=")
            return known.get(name), name, value if separator else None
        name = word[:2]
        action = known.get(name)
        rest = word[2:]
        if action is not None and action.nargs == 0 and rest:
            return known.get(word), word, None
        return action, name, rest or None

    def _part_of_command(self, name: str, operands: list[str]) -> bool:
        """Whether an unknown option after these words is no mistyped one of ours. After a
        whole line for the shell, or JSON, it can't be the command's."""
        return (
            self.command_ends_options == ANYWHERE
            and operands != []
            and not (len(operands) == 1 and (" " in operands[0] or operands[0][0] == "{"))
            and nearest(name, self._option_string_actions, 0.8) is None
        )

    def _unknown(self, name: str) -> BadInput:
        near = _MEANT.get(name)
        if near is None or near.split()[0] not in self._option_string_actions:
            near = nearest(name, self._option_string_actions)
        return BadInput(
            f"there is no option {name}",
            f"did you mean {near}?" if near else f"{self.prog} --help",
        )

    def error(self, message: str) -> NoReturn:
        """What argparse itself finds wrong, in our words."""
        hint = " ".join(self.format_usage().removeprefix("usage: ").split())
        required = "the following arguments are required: "
        extra = "unrecognized arguments: "
        if message.startswith(required):
            raise BadInput(f"{message.removeprefix(required)} is missing", hint)
        if message.startswith(extra):
            word = message.removeprefix(extra).removeprefix("-- ")
            raise BadInput(f"{self.prog} does not know what to do with {word}", hint)
        raise BadInput(message.removeprefix("argument "), f"{self.prog} --help")

    def format_usage(self) -> str:
        """`usage: queuectl show [options] ID`, without all the options by name."""
        words = [self.usage_words] if self.usage_words else []
        for action in self._actions:
            if not action.option_strings:
                name = str(action.metavar or action.dest)
                many = {"*": f"[{name} …]", "+": f"{name} …", "?": f"[{name}]"}
                words.append(many.get(str(action.nargs), name))
        return " ".join(["usage:", self.prog, "[options]", *words]) + "\n"

    usage_words = ""

    def format_help(self) -> str:
        """The usage, the options, and the examples of the verb."""
        self.usage = self.format_usage().removeprefix("usage: ").rstrip()
        return super().format_help()

    def print_help(self, file: Any = None) -> None:
        """To stdout, whatever the locale can say."""
        print(self.format_help(), end="", file=file or sys.stdout)


def _looks_like_option(word: str) -> bool:
    return word.startswith("-") and word != "-" and not word[1:2].isdigit()


def _repeatable(action: argparse.Action) -> bool:
    return isinstance(action, argparse._AppendAction)


def json_option(parser: argparse.ArgumentParser) -> None:
    """Declare `--json`, which every command that reads has."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def whole_number(name: str, low: int, high: int = _LARGEST) -> Callable[[str], int]:
    """An argparse type: a whole number in a range. Raises BadInput that names the option."""

    def read(text: str) -> int:
        bounds = f"{low} to {high}" if high != _LARGEST else f"{low} or more"
        try:
            value = int(text)
        except ValueError:
            raise BadInput(f"{name} takes a whole number, {bounds}, not {text!r}") from None
        if value > _LARGEST:
            bounds = f"{_LARGEST} at most"
        if not low <= value <= high:
            raise BadInput(f"{name} takes {bounds}, not {text}")
        return value

    return read


def duration(name: str, *, none_is: float | None = None) -> Callable[[str], float]:
    """An argparse type: a length of time, in seconds."""
    return lambda text: parse_duration(text, name, none_is=none_is)
