"""A hostile job and hostile names do no harm to whoever looks at them."""

from __future__ import annotations

import json
import unicodedata
from typing import Any

import pytest

from cli.conftest import scene  # noqa: F401 - a store and a worker that is told what to do
from cli.scene import Said, Scene
from queuectl.model import FAILED

from .hostile import SPEAKABLE, SPELLS

ENEMY = SPEAKABLE["terminal"] + SPEAKABLE["turned"] + SPEAKABLE["lines"] + "\x00\x7f\u2028end"
"""Text that would steer a terminal, if it got there."""
NOISE = (
    b"\x1b]52;c;ZXZpbA==\x07\x1b[31;5m\x1b[2J\x1bP+q544e\x1b\\\x9b2J\xc2\x9b3J\x00\x00\xff\xfe\xc3("
    b"\xe2\x80\xae\r\n\x1b]0;title"
)
ONE_LINE = b"\x1b[31m" + b"\xff\x1b]0;y" * 10_000 + b"x"

LOOKS = [
    ["list"],
    ["list", "--state", "dead"],
    ["show", "loud"],
    ["show", "loud", "--reveal"],
    ["explain", "waits"],
    ["status"],
    ["metrics"],
    ["worker", "list"],
    ["dlq", "list"],
    ["dlq", "show", "loud"],
    ["queue", "list"],
    ["config", "list"],
]
SHAPES = [*LOOKS, ["logs", "loud"], ["logs", "loud", "-n", "1"], ["worker", "health"]]


@pytest.fixture
def fight(scene: Scene) -> Scene:  # noqa: F811
    """A store whose every text is the enemy's: jobs that wait, run and died."""
    fields: dict[str, Any] = {
        "command": ENEMY.replace("\0", ""),
        "cwd": ENEMY.replace("\0", ""),
        "created_by": ENEMY.replace("\0", ""),
        "tags": (ENEMY.replace("\0", ""),),
        "env": {ENEMY.replace("\0", ""): ENEMY.replace("\0", "")},
    }
    died = scene.start("loud", max_retries=1, **fields)
    output = scene.output(died, NOISE + ONE_LINE, NOISE)
    scene.end(died, FAILED, exit_code=1, error=ENEMY, signal="SIG\x1b[2J", output=output)
    runs = scene.start("runs", **fields)
    scene.say(runs, NOISE, NOISE)
    scene.add("waits", queue=ENEMY.replace("\0", ""), **fields)
    return scene


def test_ten_megabytes_on_one_line_harm_no_command(scene: Scene) -> None:  # noqa: F811
    claim = scene.start("loud", max_retries=1)
    line = NOISE + b"x" * 10_000_000
    scene.end(claim, FAILED, exit_code=1, output=scene.output(claim, line, line))
    scene.add("waits")
    for words in SHAPES:
        is_harmless(scene.run(*words, "--json"))
        if words in LOOKS:
            is_harmless(scene.run(*words))
    assert len(scene.run("logs", "loud", "--json").json["stdout"]) > 10_000_000


def is_harmless(said: Said) -> None:
    """No control code, no turned text; only whole lines."""
    for text in (said.out, said.err):
        bad = {c for c in text if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")} - {"\n"}
        assert not bad
        assert not set(text) & set("\u202e\u2066\u200b\ufeff")


@pytest.mark.parametrize("words", LOOKS, ids=" ".join)
def test_no_table_lets_a_control_code_through(fight: Scene, words: list[str]) -> None:
    said = fight.run(*words)
    assert said.code == 0
    is_harmless(said)
    assert len(said.out) < 200_000


@pytest.mark.parametrize("words", SHAPES, ids=" ".join)
def test_json_holds_what_was_written_and_no_control_code(
    fight: Scene, words: list[str]
) -> None:
    said = fight.run(*words, "--json")
    assert said.code == 0
    is_harmless(said)
    assert json.loads(said.out) is not None


def test_json_gives_the_very_text_back(fight: Scene) -> None:
    job = fight.run("show", "runs", "--json", "--reveal").json
    enemy = ENEMY.replace("\0", "")
    assert (job["command"], job["cwd"], job["tags"]) == (enemy, enemy, [enemy])
    assert job["env"] == {enemy: enemy}
    assert fight.run("show", "loud", "--json").json["error"].rstrip("\0") != ""


def test_lines_of_json_stay_lines(fight: Scene) -> None:
    said = fight.run("list", "--jsonl")
    is_harmless(said)
    assert [json.loads(line)["id"] for line in said.out.splitlines()] == [
        "waits",
        "runs",
        "loud",
    ]


def test_the_exposition_stays_readable(fight: Scene) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    said = fight.run("metrics", "--prometheus")
    assert said.code == 0
    assert list(text_string_to_metric_families(said.out))


@pytest.mark.parametrize("words", [*LOOKS, ["logs", "loud", "-n", "1"]], ids=" ".join)
def test_a_terminal_gets_nothing_of_the_enemys(fight: Scene, words: list[str]) -> None:
    with fight.on_terminal(*words) as terminal:
        shown = terminal.finish()
    plain = shown
    for code in own_codes():
        plain = plain.replace(code, "")
    bad = {c for c in plain if unicodedata.category(c) in ("Cc", "Cs")} - {"\n", "\r", "\t"}
    assert not bad
    assert not set(plain) & set("\u202e\u2066")
    for secret in ("]52;", "[2J", "[31;5m"):
        assert f"\x1b{secret}" not in shown


def own_codes() -> list[str]:
    """The colours that tables have of their own."""
    return [f"\x1b[{number}m" for number in range(108)]


@pytest.mark.parametrize("spell", SPELLS.values(), ids=SPELLS)
@pytest.mark.parametrize("words", [["show"], ["config", "get"], ["list", "--since"]])
def test_an_error_quotes_nothing_raw(scene: Scene, words: list[str], spell: str) -> None:  # noqa: F811
    typed = (
        [*words[:-1], f"{words[-1]}={spell}"] if words[0] == "list" else [*words, "--", spell]
    )
    said = scene.run(*typed)
    assert said.code in (2, 3)
    is_harmless(said)
    assert len(said.err.splitlines()) <= 2
    as_json = scene.run(*words[:1], "--json", *typed[1:])
    is_harmless(as_json)
    assert list(json.loads(as_json.err)) == ["error"]
    assert len(as_json.err.splitlines()) == 1


def test_python_would_not_say_so_of_raw_text() -> None:
    """What these tests look for is there before it is made safe."""
    bad = {c for c in ENEMY if unicodedata.category(c) == "Cc"}
    assert {"\x1b", "\x07", "\x9b"} <= bad
