"""Whatever is written into whatever field is refused in one line, or kept to the byte; no
part of it is ever run or read as SQL."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from conftest import Cli
from queuectl.config import KEYS

from .conftest import Desk, is_refusal
from .hostile import CANARY, SPEAKABLE, SPELLS, UNSPEAKABLE

FIELDS = {
    "id": lambda spell: spell,
    "command": lambda spell: spell,
    "queue": lambda spell: spell,
    "priority": lambda spell: spell,
    "max_retries": lambda spell: spell,
    "backoff_base": lambda spell: spell,
    "backoff_max": lambda spell: spell,
    "backoff_jitter": lambda spell: spell,
    "timeout_seconds": lambda spell: spell,
    "run_at": lambda spell: spell,
    "delay": lambda spell: spell,
    "after": lambda spell: [spell],
    "cwd": lambda spell: spell,
    "tags": lambda spell: [spell],
}
"""Field -> the value that carries a text into it."""

WORDS = {"command as a list": lambda spell: ["echo", spell], "program": lambda spell: [spell]}
VARIABLES = {"value": lambda spell: {"A": spell}, "name": lambda spell: {spell: "x"}}


def objects() -> list[tuple[str, str, dict[str, Any]]]:
    """(field, spell, job in JSON) of all fields and spells."""
    carriers = [(field, field, make) for field, make in FIELDS.items()]
    carriers += [("command", what, make) for what, make in WORDS.items()]
    carriers += [("env", f"env {what}", make) for what, make in VARIABLES.items()]
    found = []
    for field, what, make in carriers:
        for name, spell in SPELLS.items():
            found.append((what, name, {"command": "true", field: make(spell)}))
    found += [
        ("no field", name, {"command": "true", spell: "x"}) for name, spell in SPELLS.items()
    ]
    return found


def test_every_field_of_a_job_in_json_is_refused_or_kept_to_the_byte(desk: Desk) -> None:
    kept = set()
    for what, name, given in objects():
        before = desk.jobs()
        said = desk.run("enqueue", json.dumps(given))
        if said.code:
            is_refusal(said)
            assert desk.jobs() == before, (what, name)
            continue
        shown = desk.run("show", said.out.strip(), "--json", "--reveal").json
        for field, value in given.items():
            assert shown[field] == value, (what, name)
        kept.add((what, name))
    free = {"command", "command as a list", "program", "env value", "env name"}
    assert {what for what, _name in kept} == free
    for what in ("command", "command as a list", "env value"):
        assert {name for field, name in kept if field == what} == set(SPEAKABLE)


def test_the_real_command_line_takes_and_refuses_the_same(desk: Desk, cli: Cli) -> None:
    lines = "".join(json.dumps(given) + "\n" for _what, _name, given in objects())
    inside = desk.run("enqueue", "--file", "-", "--skip-bad", input=lines.encode())
    outside = cli("enqueue", "--file", "-", "--skip-bad", input=lines)
    assert inside.code == outside.code == 0
    count = inside.out.split(":")[0]
    assert outside.out.split(":")[0] == count
    assert outside.err.count("\n") == inside.err.count("\n")
    assert "Traceback" not in outside.err
    assert not (cli.work / CANARY).exists()


OPTIONS = [
    "--id", "--queue", "--priority", "--max-retries", "--backoff-base", "--backoff-max",
    "--backoff-jitter", "--timeout", "--run-at", "--delay", "--after", "--cwd", "--env",
    "--tag",
]  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_a_job_is_refused_or_kept(desk: Desk, option: str) -> None:
    for name, spell in SPELLS.items():
        before = desk.jobs()
        value = f"A={spell}" if option == "--env" else spell
        said = desk.run("enqueue", f"{option}={value}", "true")
        if option == "--after" and said.code == 3:
            is_refusal(said, 3)
        elif said.code:
            is_refusal(said)
        else:
            shown = desk.run("show", said.out.strip(), "--json", "--reveal").json
            assert option == "--env", name
            assert shown["env"] == {"A": spell}
            continue
        assert desk.jobs() == before


LOOKERS: list[tuple[list[str], tuple[int, ...]]] = [
    (["show", "SPELL"], (2, 3)),
    (["show", "--json", "SPELL"], (2, 3)),
    (["logs", "SPELL"], (2, 3)),
    (["explain", "SPELL"], (2, 3)),
    (["wait", "--timeout=1s", "SPELL"], (125,)),
    (["cancel", "SPELL"], (2, 3)),
    (["retry", "SPELL"], (2, 3)),
    (["delete", "SPELL"], (2, 3)),
    (["dlq", "show", "SPELL"], (2, 3)),
    (["dlq", "retry", "SPELL"], (2, 3)),
    (["dlq", "purge", "SPELL"], (2, 3)),
    (["list", "--state=SPELL"], (2,)),
    (["list", "--queue=SPELL"], (0, 2)),
    (["list", "--tag=SPELL"], (0, 2)),
    (["list", "--since=SPELL"], (2,)),
    (["list", "--limit=SPELL"], (2,)),
    (["cancel", "--queue=SPELL"], (0, 2)),
    (["purge", "--older-than=SPELL"], (2,)),
    (["metrics", "--recent=SPELL"], (2,)),
    (["queue", "pause", "SPELL"], (2,)),
    (["queue", "resume", "SPELL"], (2, 3)),
    (["queue", "limit", "SPELL", "3"], (2,)),
    (["queue", "limit", "default", "SPELL"], (2,)),
    (["config", "get", "SPELL"], (2, 3)),
    (["config", "set", "SPELL", "3"], (2, 3)),
    (["config", "unset", "SPELL"], (2, 3)),
    (["worker", "stop", "SPELL"], (2, 3)),
    (["worker", "start", "--queue=SPELL"], (2,)),
    (["worker", "start", "--count=SPELL"], (2,)),
    (["completion", "SPELL"], (2,)),
    (["SPELL"], (2,)),
    (["dlq", "SPELL"], (2,)),
    (["status", "--SPELL"], (2,)),
]


@pytest.mark.parametrize(("words", "codes"), LOOKERS, ids=[" ".join(w) for w, _c in LOOKERS])
def test_every_word_of_every_command_is_harmless(
    desk: Desk, words: list[str], codes: tuple[int, ...]
) -> None:
    desk.run("enqueue", "--id", "there", "--tag", "t", "true")
    for name, spell in SPELLS.items():
        typed = [word.replace("SPELL", spell) for word in words]
        if spell.startswith("-") and words[-1] == "SPELL":
            typed.insert(len(typed) - 1, "--")
        if words == ["SPELL"] and spell.startswith("-"):
            continue  # test_main has mistyped options
        said = desk.run(*typed)
        assert said.code in codes, (name, said)
        if said.code:
            assert said.out == ""
            assert "Traceback" not in said.err
            assert len(said.err.splitlines()) <= 2, said
        else:
            assert "there" not in said.out
    assert desk.ids() == ["there"]


@pytest.mark.parametrize("key", KEYS)
def test_every_value_of_the_configuration_is_refused_or_kept(desk: Desk, key: str) -> None:
    for name, spell in SPELLS.items():
        before = desk.run("config", "get", key).out
        said = desk.run("config", "set", key, "--", spell)
        if said.code:
            is_refusal(said)
            assert desk.run("config", "get", key).out == before
        else:
            assert key == "env_capture", name
            assert desk.run("config", "get", key).out.split() == spell.split()


def test_every_name_of_a_store_is_a_name_and_no_more(desk: Desk) -> None:
    for name, spell in SPELLS.items():
        for url in (spell, f"sqlite:///{spell}", f"postgresql://u:{spell}@127.0.0.1:1/{spell}"):
            said = desk.run_anywhere(f"--db={url}", "status", "--json")
            if said.code:
                assert said.code in (2, 5), (name, url, said)
                assert said.out == ""
                assert list(json.loads(said.err)) == ["error"]
            else:
                assert os.path.exists(spell), name
            assert not (desk.folder / CANARY).exists()


def test_what_comes_from_the_environment_is_harmless(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, spell in SPELLS.items():
        if name in ("nul", "surrogate"):  # no environment holds them
            continue
        for variable in ("PATH", "LANG", "LC_ALL", "USER", "LOGNAME", "COLUMNS", "TERM"):
            with monkeypatch.context() as patch:
                patch.setenv(variable, spell)
                said = desk.run("enqueue", "--env", variable, "true")
                if said.code:
                    is_refusal(said)
                    assert name in UNSPEAKABLE
                else:
                    shown = desk.run("show", said.out.strip(), "--json", "--reveal").json
                    assert shown["env"] == {variable: spell}
                assert desk.run("status").code == 0
    monkeypatch.setenv("QUEUECTL_HOME", f"$(touch {CANARY})")
    assert desk.run_anywhere("status").code == 0


ECHO = "import json, os, sys; print(json.dumps([sys.argv[1:], os.getcwd(), os.environ['A']]))"


def test_what_a_program_is_given_is_what_was_written(cli: Cli) -> None:
    """Through a real worker: no shell reads the words of a list, a directory or a variable."""
    spells = {name: spell for name, spell in SPEAKABLE.items() if name != "long"}
    lines = []
    for number, spell in enumerate(spells.values()):
        folder = cli.work / spell.replace("/", "_")
        folder.mkdir()
        command = [sys.executable, "-S", "-c", ECHO, spell, f"-{spell}"]
        job = {"id": f"a{number}", "command": command, "cwd": str(folder), "env": {"A": spell}}
        lines.append(json.dumps(job))
    cli.ok("enqueue", "--file", "-", input="\n".join(lines))
    cli.ok("worker", "start", "--drain", "--concurrency", "2")
    for number, spell in enumerate(spells.values()):
        said = json.loads(cli.ok("logs", f"a{number}"))
        folder = str(cli.work / spell.replace("/", "_"))
        assert said == [[spell, f"-{spell}"], folder, spell]
    assert not list(cli.work.rglob(CANARY))


def test_words_of_a_real_command_line_are_harmless(cli: Cli, tmp_path: Path) -> None:
    """A spell for each place where a process can be given one."""
    spell = f"'; DROP TABLE jobs; --\n$(touch {CANARY})`touch {CANARY}`\udcff"
    for words in (
        ["enqueue", "--id", spell, "true"],
        ["enqueue", "--tag", spell, "true"],
        ["enqueue", "--queue", spell, "true"],
        ["enqueue", "--env", f"A={spell}", "true"],
        ["enqueue", spell],
        ["enqueue", "--", "echo", spell],
        ["list", "--tag", spell],
        ["show", spell],
        ["config", "set", "retention", spell],
        ["worker", "stop", spell],
        ["worker", "start", "--queue", spell],
    ):
        result = cli(*words)
        assert result.code in (0, 2, 3), result
        assert "Traceback" not in result.err
    assert cli("status", "--json").json["total"] == 0
    assert not list(tmp_path.rglob(CANARY))
