"""Which shell lines need no shell: as make does, a plain line is started directly.

A line qualifies if it is made only of words whose characters mean the same to every
shell and to nobody else, and its first word is neither a builtin nor a keyword nor an
assignment. All else goes to `sh -c`.
"""

from __future__ import annotations

import re

# No quotes, globs, redirections, expansions, comments, braces; a space or tab separates.
_PLAIN = re.compile(r"[A-Za-z0-9_@%+:,./-]+(?:[ \t]+[A-Za-z0-9_@%+:,./=-]+)*")

# Builtins and keywords of POSIX sh, dash and bash (sh may be either).
_SHELLS_OWN = frozenset(
    [
        ".",
        ":",
        "alias",
        "bg",
        "bind",
        "break",
        "builtin",
        "caller",
        "case",
        "cd",
        "chdir",
        "command",
        "compgen",
        "complete",
        "compopt",
        "continue",
        "coproc",
        "declare",
        "dirs",
        "disown",
        "do",
        "done",
        "echo",
        "elif",
        "else",
        "enable",
        "esac",
        "eval",
        "exec",
        "exit",
        "export",
        "false",
        "fc",
        "fg",
        "fi",
        "for",
        "function",
        "getopts",
        "hash",
        "help",
        "history",
        "if",
        "in",
        "jobs",
        "kill",
        "let",
        "local",
        "logout",
        "mapfile",
        "popd",
        "printf",
        "pushd",
        "pwd",
        "read",
        "readarray",
        "readonly",
        "return",
        "select",
        "set",
        "shift",
        "shopt",
        "source",
        "suspend",
        "test",
        "then",
        "time",
        "times",
        "trap",
        "true",
        "type",
        "typeset",
        "ulimit",
        "umask",
        "unalias",
        "unset",
        "until",
        "wait",
        "while",
    ]
)


def plain_words(line: str) -> list[str] | None:
    """The words of a line that can be started directly, None if it needs a shell."""
    line = line.strip(" \t")
    if not _PLAIN.fullmatch(line):
        return None
    words = line.split()
    return None if words[0] in _SHELLS_OWN else words
