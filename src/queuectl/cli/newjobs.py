"""The options that describe a new job, for the verbs that enqueue: every field is one."""

from __future__ import annotations

import os

from queuectl.cli.parser import duration, whole_number
from queuectl.errors import BadInput
from queuectl.jobfields import CHECKS
from queuectl.jobspec import JobSpec, capture
from queuectl.model import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from typing import Any

    from queuectl.model import Command
    from queuectl.store.base import Intake


def add_job_options(parser: argparse.ArgumentParser) -> None:
    """Declare an option for every field of a job (DESIGN section 2)."""
    add = parser.add_argument_group("the job").add_argument
    add("--id", help="its name (else one is made up)")
    add("--queue", metavar="Q", help="the queue it stands in (default)")
    add_settings(add)
    add(
        "--backoff-base", metavar="N", type=_number("--backoff-base"), help="base of the delays"
    )
    add("--backoff-max", metavar="D", type=duration("--backoff-max"), help="longest delay")
    add("--backoff-jitter", metavar="X", type=_number("--backoff-jitter"), help="0 to 1")
    add("--run-at", metavar="TIME", help="not before: '2026-01-31 09:00' (local), 09:00, …Z")
    add("--delay", metavar="D", type=_delay, help="not before so much time has passed")
    add("--after", metavar="ID", action="append", help="only after it completed (repeatable)")
    add("--cwd", metavar="DIR", help="the directory it runs in (this one)")
    add("--env", metavar="K[=V]", action="append", help="a variable; K copies it (repeatable)")
    add("--tag", metavar="T", action="append", help="a word to find it by (repeatable)")


def add_settings(add: Callable[..., object]) -> None:
    """Declare what a job can also be given when it is retried."""
    add("--priority", metavar="N", type=whole_number("--priority", 1, 10), help="10 runs first")
    add(
        "--max-retries", metavar="N", type=whole_number("--max-retries", 0), help="runs at most"
    )
    add("--timeout", metavar="D", type=_time_limit, help="time limit of a run: 90, 10m or none")


def settings_of(args: argparse.Namespace) -> Settings | None:
    """What `add_settings` declared and was given; None if nothing was. Raises BadInput."""
    given = {
        field: CHECKS[field](value)
        for option, field in _FIELDS.items()
        if field in Settings._fields and (value := getattr(args, option)) is not None
    }
    return Settings(**given) if given else None


def typed_settings(args: argparse.Namespace) -> str:
    """The same, as one would type them again, each with a blank after it."""
    words = []
    for option, field in _FIELDS.items():
        if field in Settings._fields and (value := getattr(args, option)) is not None:
            name = option.replace("_", "-")
            none = option == "timeout" and not value
            words.append(f"--{name} {'none' if none else format(value, '.15g')} ")
    return "".join(words)


_FIELDS = {
    "id": "id",
    "queue": "queue",
    "priority": "priority",
    "max_retries": "max_retries",
    "backoff_base": "backoff_base",
    "backoff_max": "backoff_max",
    "backoff_jitter": "backoff_jitter",
    "timeout": "timeout_seconds",
    "delay": "delay",
    "after": "after",
    "cwd": "cwd",
    "tag": "tags",
}


def fields_of(args: argparse.Namespace, now: int) -> dict[str, Any]:
    """The fields that were given as options, by their JSON names. Raises BadInput."""
    for option in ("after", "tag"):
        for text in getattr(args, option) or ():
            _refuse_a_list(f"--{option}", text)
    given = {
        field: value
        for option, field in _FIELDS.items()
        if (value := getattr(args, option)) is not None
    }
    if args.env:
        given["env"] = _variables(args.env)
    if args.run_at is not None:
        from queuectl.instants import parse_instant

        given["run_at"] = parse_instant(args.run_at, "--run-at", local=True, now=now)
    return given


def spec_of(store: Intake, fields: dict[str, Any]) -> JobSpec:
    """What new jobs take from here and from the store's configuration."""
    config = store.config()
    elsewhere = fields.get("cwd", "").startswith(("/", "~"))
    return JobSpec(
        config,
        cwd="/" if elsewhere else _here(),
        created_by=_who(),
        captured=capture(os.environ, config.env_capture),
        fields=fields,
        many_hosts=store.leases,
    )


def _here() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        hint = "cd to one that exists, or --cwd with the whole path of another"
        raise BadInput("this directory is gone", hint) from None


def command_of(args: argparse.Namespace, verb: str) -> Command | None:
    """What is to be run: one word (a line for the shell, or JSON), a program with its
    arguments, or None where nothing was given. Raises BadInput for words that need `--`."""
    words, tail = args.words, args.tail
    if tail is not None:
        if words:
            raise BadInput(
                f"{words[0]!r} stands before --", "options before --, the whole command after"
            )
        if not tail:
            raise BadInput("there is no command after --", f"queuectl {verb} -- ls -l")
        return tuple(tail)
    if len(words) <= 1:
        return words[0] if words else None
    from shlex import join

    raise BadInput(
        "a command of several words stands after --, or is quoted as one",
        join(["queuectl", verb, *args.own, "--", *words]),
    )


def when_it_runs(job: str, run_at: int, now: int) -> str:
    """What was understood of a `run_at` or a delay, for people: in local time."""
    from queuectl.durations import format_duration
    from queuectl.instants import local_time

    if run_at <= now:
        return f"{job} runs now: {local_time(run_at)} is past"
    return f"{job} runs at {local_time(run_at)}, in {format_duration((run_at - now) / 1000)}"


def _variables(given: list[str]) -> dict[str, str]:
    variables: dict[str, str] = {}
    for word in given:
        name, separator, value = word.partition("=")
        if not separator:
            _refuse_a_list("--env", name)
            if name not in os.environ:
                raise BadInput(
                    f"there is no variable {name} here to copy", f"--env {name}=VALUE"
                )
            value = os.environ[name]
        if name in variables:
            raise BadInput(f"--env {name} is given twice")
        variables[name] = value
    return variables


def _refuse_a_list(option: str, text: str) -> None:
    if "," in text:
        words = [word.strip() for word in text.split(",")]
        each = " ".join([f"{option} {word}" for word in words if word])
        raise BadInput(f"{option} is given once for each, not as {text!r}", each or None)


def _who() -> str:
    import pwd

    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    return f"{user}@{os.uname().nodename}"


def _number(name: str) -> Any:
    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise BadInput(f"{name} takes a number, not {text!r}") from None

    return read


def _delay(text: str) -> float:
    if text.startswith("-"):
        raise BadInput(f"--delay can't be negative: {text}")
    return duration("--delay")(text)


def _time_limit(text: str) -> float:
    if text.startswith("-"):
        raise BadInput(f"--timeout can't be negative: {text}")
    return duration("--timeout", none_is=0.0)(text)
