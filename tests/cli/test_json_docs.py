"""docs/json.md and what `--json` prints: the same commands, keys, types and error codes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Cli, Result
from queuectl import errors
from queuectl.cli.commands import COMMANDS, load
from queuectl.cli.parser import Parser
from queuectl.jobfields import FIELDS
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    LOST,
    PROCESSING,
    RELEASED,
    STATES,
    TIMEOUT,
)
from queuectl.records import Record

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text()

OUTCOMES = (COMPLETED, FAILED, TIMEOUT, LOST, CANCELLED, RELEASED, PROCESSING)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

# Null and not null both come, but for these in so short a scene.
NEVER_SEEN_BOTH = {
    ("job", "progress"),
    ("run", "started_at"),
    ("event", "duration"),
    ("worker", "silent_seconds"),
}


class Rows(Record):
    """A table of the page: the first two columns, row by row."""

    header: str
    rows: tuple[tuple[str, str], ...]


def sections() -> Iterator[tuple[str, str]]:
    """The page, heading by heading."""
    parts = re.split(r"(?m)^##+ (.+)$", PAGE)
    return zip(parts[1::2], parts[2::2], strict=True)


def tables(text: str) -> list[Rows]:
    found = []
    for block in re.findall(r"(?m)(?:^\|.*\|\n)+", text):
        cells = [re.split(r"(?<!\\) *\| *", line)[1:-1] for line in block.splitlines()]
        assert {len(row) for row in cells} == {len(cells[0])}, block
        rows = tuple([(row[0], row[1]) for row in cells[2:]])
        found.append(Rows(cells[0][0], rows))
    return found


def words_of(cell: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", cell)


SHAPES = {
    heading: {words_of(key)[0]: kind for key, kind in table.rows}
    for heading, text in sections()
    for table in tables(text)
    if table.header == "key"
}
FIELDS_TO_GIVE = {
    words_of(name)[0]: kind
    for heading, text in sections()
    if heading == "Input"
    for name, kind in tables(text)[0].rows
}
EXAMPLES = {
    heading: [json.loads(block) for block in re.findall(r"(?s)```json\n(.*?)```", text)]
    for heading, text in sections()
}
PRINTS = {
    command: kind
    for heading, text in sections()
    if heading == "What each command prints"
    for cell, kind in tables(text)[0].rows
    for command in words_of(cell)
}
CODES = {
    words_of(cell)[0]: int(code)
    for heading, text in sections()
    if heading == "error"
    for table in tables(text)
    if table.header == "code"
    for cell, code in table.rows
}


class Checker:
    """Holds values against the page, and remembers which keys were null and which not."""

    def __init__(self) -> None:
        self.seen: dict[tuple[str, str], set[bool]] = {}

    def fits(self, value: Any, kind: str) -> None:
        """Assert that a value is of a kind, as the page's second columns have them."""
        options = kind.split(" or ")
        if value is None:
            assert "null" in options or kind.startswith("any"), kind
        elif not any(self._is(value, option) for option in options):
            raise AssertionError(f"{value!r} is no {kind}")

    def has(self, value: Any, names: list[str]) -> None:
        """Assert that an object has the keys of these shapes, and no others."""
        kinds = {key: (name, kind) for name in names for key, kind in SHAPES[name].items()}
        found = flat(value, kinds)
        assert set(found) == set(kinds), names
        for key, (name, kind) in kinds.items():
            self.seen.setdefault((name, key), set()).add(found[key] is None)
            try:
                self.fits(found[key], kind)
            except AssertionError as error:
                raise AssertionError(f"{name}.{key}: {error}") from None

    def _is(self, value: Any, kind: str) -> bool:
        if kind.startswith("array of "):
            return isinstance(value, list) and self._all_fit(value, kind[len("array of ") :])
        if kind.startswith("object of "):
            return isinstance(value, dict) and self._all_fit(
                value.values(), kind[len("object of ") :]
            )
        if names := re.findall(r"\[\w+\]\(#(\w+)\)", kind):
            self.has(value, names)
            return True
        return SIMPLE[kind.partition(",")[0]](value)

    def _all_fit(self, values: Iterable[Any], kind: str) -> bool:
        for value in values:
            self.fits(value, kind)
        return True


SIMPLE: dict[str, Callable[[Any], bool]] = {
    "any": lambda _value: True,
    "null": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "time": lambda value: isinstance(value, str) and bool(TIME.fullmatch(value)),
    "state": STATES.__contains__,
    "outcome": OUTCOMES.__contains__,
}


def flat(value: dict[str, Any], kinds: dict[str, Any]) -> dict[str, Any]:
    """The object with those inside it that the page spells with a dot, spelled so."""
    found = {}
    for key, inner in value.items():
        if isinstance(inner, dict) and any(kind.startswith(f"{key}.") for kind in kinds):
            found.update({f"{key}.{name}": part for name, part in inner.items()})
        else:
            found[key] = inner
    return found


Answers = dict[str, list[Result]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Answers]:
    """Every command of the page, once or more, over jobs in every state."""
    folder = tmp_path_factory.mktemp("json")
    cli = Cli(folder / "home", folder)
    answers: Answers = {}

    def ask(documented: str, *words: str, code: int = 0) -> Result:
        asked = words if {"--json", "--jsonl"} & set(words) else (*words, "--json")
        result = cli(*asked)
        assert result.code == code, (words, result)
        answers.setdefault(documented, []).append(result)
        return result

    try:
        scene(cli, folder, ask)
    finally:
        cli.close()
    yield answers


def scene(cli: Cli, folder: Path, ask: Callable[..., Result]) -> None:
    an_empty_store(ask)
    jobs_that_nobody_runs(cli, folder, ask)
    cli.ok("worker", "start", "--detach", "--concurrency", "2")
    jobs_that_have_run(cli, ask)
    jobs_that_are_changed(cli, ask)


def an_empty_store(ask: Callable[..., Result]) -> None:
    ask("list", "list")
    ask("status", "status")
    ask("metrics", "metrics")
    ask("worker health", "worker", "health", code=1)
    ask("worker stop", "worker", "stop")
    ask("config get", "config", "get")
    ask("config get KEY", "config", "get", "retention")


def jobs_that_nobody_runs(cli: Cli, folder: Path, ask: Callable[..., Result]) -> None:
    ask("enqueue LINE", "enqueue", "echo hi", "--id", "good", "--env", "A=b", "--tag", "x")
    ask(
        "enqueue LINE",
        "enqueue",
        "--json",
        "--id",
        "night",
        "--delay",
        "2h",
        "--",
        "echo",
        "a b",
    )
    (folder / "jobs").write_text(
        '{"id": "bad", "command": "echo no luck >&2; exit 3", "max_retries": 1}\n'
        '{"id": "again", "command": "exit 1", "backoff_base": 3600}\n'
        '{"id": "shot", "command": "kill -9 $$", "max_retries": 1}\n'
        '{"id": "busy", "command": "exec sleep 60"}\n'
        '{"id": 1}\n'
    )
    ask("enqueue --file F", "enqueue", "--file", str(folder / "jobs"), "--skip-bad")
    cli.ok("enqueue", "true", "--id", "off", "--tag", "y", "--after", "night")
    ask("status", "status")
    ask("explain ID", "explain", "off")
    ask("explain ID", "explain", "night")
    ask("logs ID", "logs", "good")
    ask("cancel ID", "cancel", "--tag", "y")
    cli.ok("queue", "limit", "gpu", "2")
    cli.ok("config", "set", "retention", "30d")


def jobs_that_have_run(cli: Cli, ask: Callable[..., Result]) -> None:
    ask("wait ID", "wait", "good")
    ask("wait ID ID", "wait", "good", "bad", "shot", code=1)
    ask("wait --tag T", "wait", "--tag", "x")
    ask("wait ID ID --any", "wait", "good", "night", "--any")
    cli.wait_for("again", "failed")
    cli.wait_for("busy", "processing")
    for words in ("list", "list --jsonl", "dlq list", "dlq list --jsonl", "status", "metrics"):
        ask(words, *words.split())
    for words in ("worker list", "worker health", "queue list", "config list"):
        ask(words, *words.split())
    for job in ("good", "night", "shot", "off", "busy"):
        ask("show ID", "show", job)
    ask("dlq show ID", "dlq", "show", "bad", "--reveal")
    ask("logs ID", "logs", "bad", "--stream", "stderr")
    ask("explain ID", "explain", "busy")
    ask("config get KEY", "config", "get", "retention")


def jobs_that_are_changed(cli: Cli, ask: Callable[..., Result]) -> None:
    ask("cancel ID", "cancel", "busy", "good", "--dry-run", code=4)
    ask("cancel ID", "cancel", "busy", "off", "good", code=4)
    ask("list", "list", "--state", "cancelled")
    ask("retry ID", "retry", "off", "--dry-run")
    ask("dlq retry ID", "dlq", "retry", "bad", "good", "--dry-run", code=4)
    ask("delete ID", "delete", "night")
    ask("dlq purge ID", "dlq", "purge", "shot")
    ask("purge --older-than D", "purge", "--older-than", "0", "--dry-run")
    ask("purge ID", "purge", "good", "again", code=4)
    ask("purge --older-than D", "purge", "--older-than", "0")
    ask("worker stop", "worker", "stop")


def test_every_command_that_has_json_is_on_the_page() -> None:
    has = set()
    for name, line in COMMANDS.items():
        parser = Parser(name, line)
        load(name)[0](parser)
        if "--json" in parser._option_string_actions:
            has.add(name)
    told = {" ".join(re.findall(r"^[a-z-]+(?: [a-z]+)?", command)) for command in PRINTS}
    assert told == has


def test_every_command_prints_the_keys_and_types_that_the_page_names(answers: Answers) -> None:
    assert set(answers) == set(PRINTS)
    checker = Checker()
    for command, results in answers.items():
        kind = PRINTS[command]
        for result in results:
            if kind.startswith("lines of "):
                values = [json.loads(line) for line in result.out.splitlines()]
            else:
                values = [json.loads(result.out)]
                assert result.out.count("\n") == 1
            for value in values:
                checker.fits(value, kind.removeprefix("lines of "))
    for name, kinds in SHAPES.items():
        for key, kind in kinds.items():
            if name != "error" and (name, key) not in NEVER_SEEN_BOTH:
                expected = {True, False} if kind.endswith(" or null") else {False}
                assert checker.seen[name, key] == expected, (name, key)


def test_the_examples_have_the_keys_and_types_that_the_page_names() -> None:
    checker = Checker()
    for name in SHAPES:
        for example in EXAMPLES[name]:
            for value in example if isinstance(example, list) else [example]:
                checker.has(value, [name])
    shown = {name for name, _key in checker.seen}
    assert shown == set(SHAPES) - {"history"}, "each has an example, or stands in another's"


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (["show", "nope"], 3),
        (["wait", "nope"], 125),
        (["list", "--jsonl", "--state", "died"], 2),
        (["cancel", "nope"], 3),
        (["config", "get", "nope"], 3),
        (["worker", "stop", "nope"], 3),
        (["status", "--db", "."], 5),
        (["nonsense"], 2),
    ],
)
def test_errors_have_the_shape_and_the_codes_of_the_page(
    cli: Cli, words: list[str], exit_code: int
) -> None:
    result = cli(*words, *([] if "--jsonl" in words else ["--json"]))
    assert (result.code, result.out) == (exit_code, "")
    shape = json.loads(result.err)
    Checker().has(shape, ["error"])
    if words[0] != "wait":
        assert CODES[shape["error"]["code"]] == exit_code


def test_the_page_names_every_error_with_its_exit_code() -> None:
    classes = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.QueuectlError)
    ]
    assert {kind.code: kind.exit_code for kind in classes} == CODES


def test_the_page_names_every_reason_that_explain_knows() -> None:
    text = dict(sections())["reason"]
    source = (Path(__file__).parents[2] / "src/queuectl/cli/reasons.py").read_text()
    known = set(re.findall(r'Reason\(\s*"(\w+)"', source)) | {CANCELLED}
    told = next(line for line in text.splitlines() if line.startswith("| `code`"))
    assert set(words_of(told)) - {"code"} == known


def test_the_page_names_every_field_that_a_job_may_be_given(cli: Cli) -> None:
    assert tuple(FIELDS_TO_GIVE) == FIELDS
    (example,) = EXAMPLES["Input"]
    assert example["id"] == cli.ok("enqueue", json.dumps(example))
    for name, value in example.items():
        Checker().fits(value, FIELDS_TO_GIVE[name])
