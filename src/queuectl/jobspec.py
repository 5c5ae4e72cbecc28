"""From what people write (JSON, a shell line, options) to a job that can be accepted: pure.

`JobSpec` holds what all jobs of one call share; each line then costs a few microseconds.
"""

from __future__ import annotations

import os
from json import JSONDecoder

from queuectl.errors import BadInput
from queuectl.jobfields import (
    CHECKS,
    FIELDS,
    brief,
    check_directory,
    check_text,
    is_broken,
    option_of,
)
from queuectl.model import DEFAULT_PRIORITY, DEFAULT_QUEUE, NewJob
from queuectl.retry import RetryPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn

    from queuectl.config import Config
    from queuectl.model import Command

ALL_ARGUMENTS = 1024 * 1024
"""Bytes that a command's words and its variables take together, at most."""

# Where each field stands while a job is put together: NewJob's own, then what it is made of.
_POLICY_FIELDS = frozenset(RetryPolicy._fields)
_SLOTS = {
    name: slot for slot, name in enumerate((*NewJob._fields, *RetryPolicy._fields, "delay"))
}
_POLICY_AT = _SLOTS["policy"]
_PARTS = len(NewJob._fields)
_PARTS_END = _PARTS + len(RetryPolicy._fields)
_DELAY = _SLOTS["delay"]
_RUN_AT = _SLOTS["run_at"]
_ENV = _SLOTS["env"]
_CWD = _SLOTS["cwd"]
_CWD_EXPLICIT = _SLOTS["cwd_explicit"]
_TIMES = frozenset(("run_at", "delay"))
_FIELDS = {name: (_SLOTS[name], check) for name, check in CHECKS.items()}

_MEANT = {"timeout": "timeout_seconds", "tag": "tags", "cmd": "command", "prio": "priority"}
"""What people write who have the options in mind, or other tools."""

_QUOTE = """quote it for the shell: queuectl enqueue '{"command": "ls -l"}'"""
_GROUP = "what begins with { is JSON; for the shell: queuectl enqueue -- sh -c '{ …; }'"


class JobSpec:
    """What the jobs of one call share, and the way from each one's text to a `NewJob`.

    `fields` (by their JSON names, but `run_at` in ms) hold for all of them, and none may be
    given again. Where they run on `many_hosts`, a `cwd` that was asked for need not be on this
    one. All methods raise BadInput.
    """

    def __init__(
        self,
        config: Config,
        *,
        cwd: str,
        created_by: str,
        captured: Mapping[str, str],
        fields: Mapping[str, Any],
        many_hosts: bool = False,
    ) -> None:
        self._many_hosts = many_hosts
        check_text(cwd, "the name of this directory")
        self._template: list[Any] = [None] * len(_SLOTS)
        for name, value in (
            ("timeout_seconds", config.job_timeout),
            ("cwd", cwd),
            ("created_by", created_by),
            ("queue", DEFAULT_QUEUE),
            ("priority", DEFAULT_PRIORITY),
            ("after", ()),
            ("cwd_explicit", False),
            ("env", {}),
            ("captured", captured),
            ("tags", ()),
            ("max_retries", config.max_retries),
            ("backoff_base", config.backoff_base),
            ("backoff_max", config.backoff_max),
            ("backoff_jitter", config.backoff_jitter),
        ):
            self._template[_SLOTS[name]] = value
        self._fixed = frozenset(name for name, value in fields.items() if value is not None)
        self._refuse_both_times(self._fixed)
        run_at = fields.get("run_at")
        self._put(self._template, {n: v for n, v in fields.items() if n != "run_at"})
        self._template[_RUN_AT] = run_at
        self._policy = RetryPolicy.make(self._template[_PARTS:_PARTS_END])
        # Once for all jobs, unless one brings variables or arguments of its own.
        self._fixed_size = _size(self._template[_SLOTS["env"]])
        self._check_size(self._template)

    def from_line(self, line: str, now: int) -> NewJob:
        """A line as people write it: JSON, or a command for the shell."""
        return self.from_fields(fields_of_line(line), now)

    def from_command(self, command: Command, now: int) -> NewJob:
        """A command alone."""
        return self.from_fields({"command": command}, now)

    def from_fields(self, given: Mapping[str, Any], now: int) -> NewJob:
        """Fields by their JSON names; what is None is not given."""
        values = self._template.copy()
        if self._fixed:
            self._refuse_twice(given)
        self._put(values, given)
        command = values[0]
        if command is None:
            raise BadInput("a job needs a command", '{"command": "python train.py"}')
        if len(given) > 1:
            if not _TIMES.isdisjoint(given):
                self._refuse_both_times(self._fixed.union(given))
            if not _POLICY_FIELDS.isdisjoint(given):
                values[_POLICY_AT] = RetryPolicy.make(values[_PARTS:_PARTS_END])
            else:
                values[_POLICY_AT] = self._policy
            self._check_size(values)
        else:
            values[_POLICY_AT] = self._policy
            if self._fixed_size or type(command) is tuple:
                self._check_size(values)
        delay = values[_DELAY]
        if delay:  # none, and one of 0, leave a job due as it comes
            values[_RUN_AT] = now + round(delay * 1000)
        return NewJob.make(values[:_PARTS])

    def _put(self, values: list[Any], given: Mapping[str, Any]) -> None:
        for name, value in given.items():
            try:
                slot, check = _FIELDS[name]
            except KeyError:
                raise _unknown(name) from None
            if value is not None:
                values[slot] = check(value)
                if slot == _CWD:
                    values[_CWD_EXPLICIT] = True
                    if not self._many_hosts:
                        check_directory(values[_CWD])

    def _refuse_twice(self, given: Mapping[str, Any]) -> None:
        for name in self._fixed.intersection(given):
            if given[name] is not None:
                raise BadInput(f"{name} is given twice: in the job and as {option_of(name)}")
        if not _TIMES.isdisjoint(given):
            self._refuse_both_times(self._fixed.union(given))

    def _refuse_both_times(self, names: Iterable[str]) -> None:
        if _TIMES.issubset(names):
            both = [option_of(n) if n in self._fixed else n for n in ("run_at", "delay")]
            raise BadInput(f"{' and '.join(both)} can't both be given", "one of them")

    def _check_size(self, values: list[Any]) -> None:
        env = values[_ENV]
        command = values[0]
        if not env and type(command) is not tuple:
            return
        words = (command,) if isinstance(command, str) else command or ()
        total = _size(env) + sum([len(os.fsencode(word)) + 1 for word in words])
        if total > ALL_ARGUMENTS:
            raise BadInput(
                f"command and env take {total:,} bytes together; {ALL_ARGUMENTS:,} is the most",
                "put what is long into a file",
            )


def fields_of_line(line: str) -> dict[str, Any]:
    """The fields of a line as people write it: JSON if it begins with `{` (or with `[` and
    parses), else a command for the shell. Raises BadInput."""
    bare = line.lstrip()
    if bare[:1] == "{" or (bare[:1] == "[" and _parses(bare)):
        return parse_object(bare)
    return {"command": line}


def parse_object(text: str) -> dict[str, Any]:
    """A JSON object, each field given once. Raises BadInput."""
    try:
        value, end = _scan(text, 0)
        if end != len(text) and text[end:].strip(" \t\r\n"):
            raise BadInput(f"this is not JSON: more text after it at column {end + 1}", _QUOTE)
    except StopIteration as error:
        raise _not_json(text, "a value is missing", int(error.value)) from None
    except RecursionError:
        raise BadInput("this JSON is nested too deeply") from None
    except ValueError as error:
        # JSONDecodeError, or a number of more digits than Python takes
        reason, place = getattr(error, "msg", str(error)), getattr(error, "pos", None)
        raise _not_json(text, reason, place) from None
    if type(value) is not dict:
        raise BadInput(
            "a job in JSON is an object", '{"command": ["ls", "-l"]}, or a line for the shell'
        )
    # A colon stands between each name and value: as many as fields, so none was doubled.
    if text.count(":") != len(value):
        _refuse_doubled(text)
    return value


def capture(environ: Mapping[str, str], patterns: Iterable[str]) -> dict[str, str]:
    """The variables that `env_capture` keeps: names, or beginnings that end with `*`."""
    kept = {}
    for pattern in patterns:
        if pattern.endswith("*"):
            names = [name for name in environ if name.startswith(pattern[:-1])]
        else:
            names = [pattern] if pattern in environ else []
        for name in names:
            if not is_broken(environ[name]) and not is_broken(name):
                kept[name] = environ[name]
    return kept


def _size(env: Mapping[str, str] | None) -> int:
    return sum([len(k) + len(v.encode()) + 2 for k, v in env.items()]) if env else 0


def _unknown(name: str) -> BadInput:
    from difflib import get_close_matches

    from queuectl.model import Job

    if name in Job._fields:
        return BadInput(f"{name} is kept by queuectl and can't be given")
    typed = name.lower().replace("-", "_")
    near = [typed] if typed in _MEANT else get_close_matches(typed, [*FIELDS, *_MEANT], n=1)
    field = _MEANT.get(near[0], near[0]) if near else None
    return BadInput(
        f"a job has no field {brief(name)}",
        f"did you mean {field}?" if field else ", ".join(FIELDS),
    )


def _not_json(text: str, reason: str, place: int | None) -> BadInput:
    where = "" if place is None else f" at column {place + 1}"
    reason = reason[:1].lower() + reason[1:]
    return BadInput(f"this is not JSON: {reason}{where}", _QUOTE if ":" in text else _GROUP)


def _refuse_doubled(text: str) -> None:
    def check(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        fields = dict(pairs)
        if len(fields) != len(pairs):
            names = [name for name, _value in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise BadInput(f"{twice if twice.isidentifier() else brief(twice)} is given twice")
        return fields

    JSONDecoder(object_pairs_hook=check).decode(text.strip(" \t\r\n"))


def _no_number(word: str) -> NoReturn:
    raise BadInput(f"{word} is no number in JSON")


def _parses(text: str) -> bool:
    try:
        JSONDecoder().decode(text)
    except (ValueError, RecursionError):
        return False
    return True


_scan = vars(JSONDecoder(parse_constant=_no_number))["scan_once"]
