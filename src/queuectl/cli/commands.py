"""The table of commands: the only thing that `queuectl --help` has to know of them.

A command of two words, `dlq list`, is `configure_list` and `run_list` of module `dlq`; one of
one word is `configure` and `run` of its module. `configure(parser)` declares the options,
`run(args)` does the work and returns the exit code.
"""

from __future__ import annotations

from queuectl.errors import BadInput

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from queuectl.cli.parser import Parser

SECTIONS: dict[str, dict[str, str]] = {
    "Jobs": {
        "enqueue": "add a job, or a file of jobs",
        "run": "add a job, show its output, end with its exit code",
        "wait": "wait until jobs have ended; the exit code is theirs",
        "cancel": "stop jobs, running or not",
        "retry": "run jobs again that failed, died or were cancelled",
        "delete": "remove jobs with their history and output",
        "purge": "remove jobs that have ended",
    },
    "Looking": {
        "status": "how things stand",
        "list": "jobs, newest first",
        "show": "everything about one job",
        "logs": "what a job printed",
        "explain": "why a job is not running yet",
        "metrics": "counts, durations, throughput, recent events",
    },
    "Dead letter queue": {
        "dlq list": "what gave up, and why",
        "dlq show": "everything about one dead job",
        "dlq retry": "run dead jobs again",
        "dlq purge": "remove dead jobs",
    },
    "Workers": {
        "worker start": "run jobs, here or in the background",
        "worker stop": "stop this host's workers, gracefully",
        "worker list": "the workers there are, and what they run",
        "worker health": "exit code 0 if a worker is alive, else 1",
    },
    "Queues": {
        "queue list": "the queues there are, and what stands in them",
        "queue pause": "start no more jobs of a queue",
        "queue resume": "start jobs of a paused queue again",
        "queue limit": "run only so many jobs of a queue at a time",
    },
    "Set-up": {
        "init-db": "create the store (others do it on first use)",
        "config list": "every setting and its value",
        "config get": "one setting (or all)",
        "config set": "change a setting, for all workers",
        "config unset": "go back to a setting's default",
        "completion": "print completion for bash, zsh or fish",
    },
}
HIDDEN = {"complete": "what completion asks for while you type"}

COMMANDS = {name: line for lines in SECTIONS.values() for name, line in lines.items()} | HIDDEN
GROUPS = {name.split()[0] for name in COMMANDS if " " in name}

# What other tools call it, where likeness alone would lead elsewhere.
_MEANT = {
    "abort": "cancel",
    "add": "enqueue",
    "cat": "logs",
    "clean": "purge",
    "clear": "purge",
    "del": "delete",
    "delete": "purge",
    "follow": "logs",
    "hold": "queue pause",
    "info": "show",
    "inspect": "show",
    "jobs": "list",
    "kill": "cancel",
    "ls": "list",
    "output": "logs",
    "pause": "queue pause",
    "ps": "status",
    "queues": "queue list",
    "release": "queue resume",
    "remove": "delete",
    "requeue": "retry",
    "restart": "worker stop, then queuectl worker start",
    "resume": "queue resume",
    "rm": "delete",
    "start": "worker start",
    "status": "list",
    "stop": "worker stop",
    "submit": "enqueue",
    "tail": "logs",
    "top": "status --watch",
    "watch": "status --watch",
    "workers": "worker list",
}
_MEANT_OF_JOBS = {"restart": "retry"}
"""The same, where words follow that may be jobs."""
_DESTRUCTIVE = ("cancel", "delete", "purge")
"""Offered only to who spells them nearly right."""
_NEARLY = 0.75

# Failures of queuectl itself get a code of their own where the others are the job's.
OWN_CODE = ("wait", "run")


def load(
    command: str,
) -> tuple[Callable[[Parser], None], Callable[[Any], int]]:
    """`configure` and `run` of a command; imports its module and no other."""
    first, _, second = command.partition(" ")
    name = f"queuectl.cli.{first.replace('-', '_')}"
    module: Any = __import__(name, fromlist=["run"])
    suffix = f"_{second}" if second else ""
    return getattr(module, f"configure{suffix}"), getattr(module, f"run{suffix}")


def unknown(
    word: str, known: Iterable[str], *, group: str = "", rest: Iterable[str] = ()
) -> BadInput:
    """The error for a mistyped command; names the nearest. `rest` are the words after it."""
    names = [name for name in known if name not in HIDDEN]
    near = _MEANT.get(word)
    if not group and any(not following.startswith("-") for following in rest):
        near = _MEANT_OF_JOBS.get(word, near)
    if group and near is not None:
        near = near.removeprefix(f"{group} ")
        near = near if near.split(",")[0] in names else None
    if near is None:
        near = nearest(word, names)
    if near in _DESTRUCTIVE and word not in _MEANT and nearest(word, [near], _NEARLY) is None:
        near = None
    prefix = f"queuectl {group} " if group else "queuectl "
    return BadInput(
        f"there is no command {f'{group} {word}'.strip()!r}",
        f"did you mean {prefix}{near}?" if near else f"{prefix}--help",
    )


def nearest(word: str, known: Iterable[str], closeness: float = 0.6) -> str | None:
    """The known word most like this one, if any is like it: dashes before it apart, which
    all options have."""
    from difflib import get_close_matches

    names = {name.lstrip("-"): name for name in known}
    near = get_close_matches(word.lstrip("-"), list(names), n=1, cutoff=closeness)
    return names[near[0]] if near else None


def help_text(group: str = "") -> str:
    """What `queuectl --help`, or with one of the groups `queuectl dlq --help`, prints."""
    lines = [
        "queuectl runs shell commands in the background and never loses one",
        "",
        f"usage: queuectl [--db URL|PATH] {group or 'COMMAND'} …",
    ]
    for title, commands in SECTIONS.items():
        shown = {n: line for n, line in commands.items() if not group or n.split()[0] == group}
        if shown:
            lines += ["", title, *(f"  {name:<14} {line}" for name, line in shown.items())]
    lines += [
        "",
        "  --db URL|PATH  where the jobs live (or QUEUECTL_DB); default ~/.queuectl/queue.db",
        "  --version      print the version",
        "",
        "More of each: queuectl COMMAND --help",
    ]
    return "\n".join(lines)


WELCOME = """\
queuectl runs shell commands in the background and never loses one

  queuectl enqueue 'python train.py'   add a job
  queuectl worker start --detach       run jobs
  queuectl status                      how things stand
  queuectl logs j17 -f                 follow one
  queuectl dlq list                    what gave up, and why

All commands: queuectl --help"""
