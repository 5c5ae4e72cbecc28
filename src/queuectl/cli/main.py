"""The entry point: finds the command, runs it, and turns every error into one clear line."""

from __future__ import annotations

import gc
import os
import sys

from queuectl.cli import commands
from queuectl.errors import (
    BAD_USAGE,
    INTERRUPTED,
    OWN_FAILURE,
    BadInput,
    QueuectlError,
    StoreError,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_BROKEN_PIPE = 141


def main() -> NoReturn:
    """Run this process's command line and leave with its exit code (DESIGN section 4)."""
    # A process of 20 ms has no cycles to look for, and nothing to tear down at its end.
    gc.set_threshold(100_000)
    code = command_line(sys.argv[1:])
    os._exit(code)


def command_line(words: list[str]) -> int:
    """Run one command line; return its exit code, everything printed."""
    _ready_streams()
    _settle_places()
    command = ""
    try:
        try:
            command, db, rest = _find_command(words)
            code = _run(command, db, rest)
        except SystemExit as end:  # argparse has printed its help
            code = end.code if isinstance(end.code, int) else 0
        sys.stdout.flush()
        sys.stderr.flush()
        return code
    except QueuectlError as error:
        failure = error
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return _BROKEN_PIPE
    except UnicodeEncodeError:
        failure = BadInput("this is not valid Unicode (UTF-8)")
    except RecursionError:
        failure = BadInput("this is nested too deeply")
    except MemoryError:
        failure = StoreError("this machine is short: no memory is left for queuectl")
    except ImportError as error:  # short of memory, or an upgrade is under way
        failure = StoreError(f"queuectl's code can't be loaded: {error}")
    except OSError as error:
        from queuectl.cli.context import system_error

        failure = system_error(error)
    return _fail(failure, command, words)


def _fail(failure: QueuectlError, command: str, words: list[str]) -> int:
    from queuectl.cli.context import report

    ours = words[: words.index("--")] if "--" in words else words
    as_json = "--json" in ours or "--jsonl" in ours
    for say in (sys.stdout.flush, lambda: report(failure, as_json=as_json)):
        try:
            say()
        except OSError:
            continue  # nobody reads it: the exit code still tells
    return OWN_FAILURE if command in commands.OWN_CODE else failure.exit_code


def _ready_streams() -> None:
    """Printing never fails for a locale, and no database gets the number of a closed stream."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            os.open(os.devnull, os.O_RDWR)
            mode = "w" if number else "r"
            stream = open(number, mode, encoding="utf-8", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
        if number:
            stream.reconfigure(errors="backslashreplace")


def _settle_places() -> None:
    """A folder that is named from here is the same for workers, who go elsewhere."""
    for name in ("QUEUECTL_HOME", "QUEUECTL_RUNTIME_DIR"):
        folder = os.environ.get(name)
        if folder and not folder.startswith("/"):
            os.environ[name] = os.path.abspath(folder)


def _find_command(words: list[str]) -> tuple[str, str | None, list[str]]:
    """The command, what `--db` said before it, and the words after it."""
    db: str | None = None
    group = ""
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if word in ("-h", "--help"):
            return f"{group} --help".strip(), db, []
        if word == "--version":
            return word, db, []
        if word == "--db":
            if place == len(words):
                raise BadInput("--db needs a value", "queuectl --db PATH status")
            db = words[place]
            place += 1
        elif word.startswith("--db="):
            db = word.removeprefix("--db=")
        elif word.startswith("-"):
            near = commands.nearest(word, ("--db", "--version", "--help"))
            hint = f"did you mean {near}?" if near else "options stand after the command"
            raise BadInput(f"there is no option {word} before a command", hint)
        elif word == "help" and not group:
            return _find_command([*words[place:], "--help"])
        elif not group and word in commands.GROUPS:
            group = word
        else:
            command = f"{group} {word}".strip()
            if command not in commands.COMMANDS:
                known = [n.split()[1] for n in commands.COMMANDS if n.startswith(f"{group} ")]
                firsts = dict.fromkeys(n.split()[0] for n in commands.COMMANDS)
                names = known if group else firsts
                raise commands.unknown(word, names, group=group, rest=words[place:])
            return command, db, words[place:]
    return group, db, []


def _run(command: str, db: str | None, rest: list[str]) -> int:
    if command == "--version" or command.endswith("--help") or command in commands.GROUPS:
        return _explain(command)
    if not command:
        print(commands.WELCOME)
        return 0
    from queuectl.cli.parser import Parser

    configure, run = commands.load(command)
    parser = Parser(command, commands.COMMANDS[command])
    configure(parser)
    args = parser.read(rest, db)
    return run(args)


def _explain(command: str) -> int:
    if command == "--version":
        from queuectl import __version__

        print(f"queuectl {__version__}")
    elif command in commands.GROUPS:
        print(commands.help_text(command), file=sys.stderr)
        return BAD_USAGE
    else:
        print(commands.help_text(command.removesuffix("--help").strip()))
    return 0
