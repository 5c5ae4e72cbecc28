"""The frame: help, global options, mistyped words, errors, and what is imported."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import Cli
from queuectl import __version__
from queuectl.cli.commands import COMMANDS, HIDDEN, WELCOME
from queuectl.cli.context import note
from queuectl.cli.main import command_line

VERBS = [name for name in COMMANDS if name not in HIDDEN]


def test_alone_it_says_how_to_begin_and_opens_no_store(cli: Cli) -> None:
    result = cli()
    assert (result.code, result.out, result.err) == (0, WELCOME + "\n", "")
    assert len([line for line in WELCOME.splitlines() if line.startswith("  queuectl")]) == 5
    assert not cli.home.exists()


def test_help_lists_every_command_and_opens_no_store(cli: Cli) -> None:
    text = cli.ok("--help")
    for name in VERBS:
        assert f"\n  {name} " in text
    assert "web" not in text
    assert not cli.home.exists()


def test_help_is_a_word_too(cli: Cli) -> None:
    assert cli.ok("help") == cli.ok("--help")
    assert cli.ok("help", "dlq") == cli.ok("dlq", "--help")
    assert cli.ok("help", "enqueue") == cli.ok("enqueue", "--help")


def test_help_of_a_group_lists_its_commands(cli: Cli) -> None:
    text = cli.ok("dlq", "--help")
    assert "dlq retry" in text
    assert "enqueue" not in text
    group = cli("dlq")
    assert (group.code, group.out) == (2, "")
    assert "dlq retry" in group.err


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line([*verb.split(), "--help"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith(f"usage: queuectl {verb} [options]")
    assert shown.err == ""
    assert max(map(len, shown.out.splitlines())) <= 96


@pytest.mark.parametrize(
    "words", [["--version"], ["status", "--version"], ["show", "--version"]]
)
def test_the_version_is_told_anywhere(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command_line(words) == 0
    assert capsys.readouterr().out == f"queuectl {__version__}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--db", "DB", "enqueue", "true"],
        ["--db=DB", "enqueue", "true"],
        ["enqueue", "--db", "DB", "true"],
        ["enqueue", "true", "--db", "DB"],
        ["enqueue", "true", "--db=DB"],
        ["--db", "/not/this", "enqueue", "true", "--db", "DB"],
        ["enqueue", "--db", "DB", "--", "true"],
        ["config", "--db", "DB", "list"],
        ["--db", "DB", "config", "set", "max-retries", "5"],
        ["config", "set", "max-retries", "5", "--db", "DB"],
        ["--db", "sqlite:///DB", "status"],
    ],
)
def test_the_store_is_named_before_or_after_the_command(
    cli: Cli, tmp_path: Path, words: list[str]
) -> None:
    path = str(tmp_path / "other.db")
    cli.ok(*[word.replace("DB", path) for word in words])
    assert Path(path).exists()
    assert not (cli.home / "queue.db").exists()


def test_the_store_is_named_by_the_environment(cli: Cli, tmp_path: Path) -> None:
    cli.ok("init-db", env={"QUEUECTL_DB": str(tmp_path / "env.db")})
    assert (tmp_path / "env.db").exists()


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["enqeue", "true"], "there is no command 'enqeue'", "did you mean queuectl enqueue?"),
        (["dlq", "lst"], "there is no command 'dlq lst'", "did you mean queuectl dlq list?"),
        (["zzz"], "there is no command 'zzz'", "try: queuectl --help"),
        (["ls"], "there is no command 'ls'", "did you mean queuectl list?"),
        (
            ["queue", "ls"],
            "there is no command 'queue ls'",
            "did you mean queuectl queue list?",
        ),
        (["pause"], "there is no command 'pause'", "did you mean queuectl queue pause?"),
        (
            ["restart"],
            "there is no command 'restart'",
            "did you mean queuectl worker stop, then queuectl worker start?",
        ),
        (["restart", "j1"], "there is no command 'restart'", "did you mean queuectl retry?"),
        (["restart", "--now"], "there is no command 'restart'", "did you mean queuectl worker"),
        (["del", "j1"], "there is no command 'del'", "did you mean queuectl delete?"),
        (["worker", "status"], "no command 'worker status'", "mean queuectl worker list?"),
        (["worker", "restart", "x"], "no command 'worker restart'", "queuectl worker stop, th"),
        (["dlq", "delete", "j1"], "no command 'dlq delete'", "mean queuectl dlq purge?"),
        (["cancel", "--all"], "there is no option --all", "did you mean --limit all?"),
        (["worker", "stop", "--all"], "no option --all", "try: queuectl worker stop --help"),
        (["enqueue", "sleep 1", "--name", "x"], "no option --name", "did you mean --id?"),
        (["enqueue", '{"command":"ls"}', "--name", "x"], "no option --name", "mean --id?"),
        (["start"], "there is no command 'start'", "did you mean queuectl worker start?"),
        (["pruge"], "there is no command 'pruge'", "did you mean queuectl purge?"),
        (["pulse"], "there is no command 'pulse'", "try: queuectl --help"),
        (["status", "--jsn"], "there is no option --jsn", "did you mean --json?"),
        (["list", "--lim", "5"], "there is no option --lim", "did you mean --limit?"),
        (["--verison"], "there is no option --verison before", "did you mean --version?"),
        (["enqueue", "--priorty", "3", "x"], "no option --priorty", "did you mean --priority?"),
        (["enqueue", "x", "--priorty", "3"], "no option --priorty", "did you mean --priority?"),
        (["show"], "ID is missing", "try: queuectl show [options] ID"),
        (["show", "a", "b"], "does not know what to do with b", "queuectl show [options] ID"),
        (["list", "--queue"], "--queue needs a value", "try: queuectl list --help"),
        (["list", "--queue", "--tag"], "--queue needs a value", ""),
        (["list", "--json=yes"], "--json takes no value", ""),
        (["list", "--queue", "a", "--queue", "b"], "--queue is given twice", ""),
        (["list", "--state", "daed"], "there is no state 'daed'", "did you mean dead?"),
        (["list", "--limit", "-1"], "--limit takes 0 or more, not -1", ""),
        (["list", "--limit", "9" * 20], "--limit takes 2147483647 at most, not 999", ""),
        (["queue", "limit", "q", "9" * 20], "N takes 2147483647 at most, not 999", ""),
        (["list", "--since", "soon"], "--since is no length of time and no time", "2h"),
        (["worker", "start", "--count", "0"], "--count takes 1 to 1000, not 0", ""),
        (["worker", "start", "--count", "x"], "--count takes a whole number", ""),
        (["--db"], "--db needs a value", ""),
        (["--db", "mysql://x", "status"], "mysql://", ""),
    ],
)
def test_what_was_mistyped_gets_one_clear_line(
    cli: Cli, words: list[str], says: str, hint: str
) -> None:
    result = cli(*words)
    assert (result.code, result.out) == (2, "")
    first, *rest = result.err.splitlines()
    assert first.startswith("queuectl: ")
    assert says in first
    assert len(rest) <= 1
    assert hint in "".join(rest)


@pytest.mark.parametrize(
    ("words", "code", "name"),
    [
        (["show", "nope", "--json"], 3, "job_not_found"),
        (["status", "--json", "--nope"], 2, "bad_input"),
        (["--db", "/proc/x/y.db", "status", "--json"], 5, "store_unavailable"),
    ],
)
def test_under_json_an_error_is_json_on_stderr(
    cli: Cli, words: list[str], code: int, name: str
) -> None:
    result = cli(*words)
    assert (result.code, result.out) == (code, "")
    error = json.loads(result.err)["error"]
    assert error["code"] == name
    assert set(error) == {"code", "message", "hint"}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--json", "status"], "options stand after the command"),
        (["queue", "pause", "q", "--json"], "queuectl queue pause --help"),
        (["run", "--json", "true"], "queuectl run --help"),
    ],
)
def test_json_where_there_is_none_is_not_taken_for_another_option(
    cli: Cli, words: list[str], hint: str
) -> None:
    assert json.loads(cli(*words).err)["error"]["hint"] == hint


@pytest.mark.parametrize(
    "words",
    [
        ["show", "BAD"],
        ["cancel", "BAD"],
        ["list", "--queue", "BAD"],
        ["list", "--tag", "BAD"],
        ["config", "set", "env_capture", "BAD"],
        ["config", "get", "BAD"],
        ["queue", "pause", "BAD"],
        ["worker", "stop", "BAD"],
        ["enqueue", "--file", "BAD"],
        ["enqueue", "--env", "A=BAD", "true"],
        ["enqueue", "--cwd", "BAD", "true"],
        ["BAD"],
        ["--BAD"],
        ["--db", "BAD/BAD", "status", "--json"],
    ],
)
def test_bytes_that_are_no_utf8_make_no_traceback(cli: Cli, words: list[str]) -> None:
    result = cli(*[word.replace("BAD", "\udcff") for word in words])
    assert result.code in (0, 2, 3, 5)
    assert "Traceback" not in result.err
    assert len(result.err.splitlines()) <= 2


def test_json_within_a_command_is_not_ours(cli: Cli) -> None:
    result = cli("enqueue", "--prority", "3", "--", "tool", "--json")
    assert result.err.startswith("queuectl: ")


def test_an_error_can_not_steer_the_terminal(cli: Cli) -> None:
    result = cli("show", "a\x1b[2Jb")
    assert result.code == 3
    assert "\x1b" not in result.err


def test_folders_named_from_here_are_the_same_for_those_who_go_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("QUEUECTL_HOME", "QUEUECTL_RUNTIME_DIR"):
        monkeypatch.setenv(name, "there")
        assert command_line(["--version"]) == 0
        assert os.environ[name] == str(tmp_path / "there")


# The modules that cost most (DESIGN, Dependencies); what these import comes with them.
TOO_DEAR = {
    "asyncio",
    "dataclasses",
    "importlib.metadata",
    "inspect",
    "logging",
    "pathlib",
    "psutil",
    "rich",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "typing",
    "datetime",
    "difflib",
}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        [],
        ["enqueue", "true"],
        ["enqueue", '{"command":"true","priority":3}'],
        ["enqueue", "--", "ls", "-l"],
        ["status"],
        ["status", "--json"],
        ["list"],
        ["list", "--json"],
    ],
)
def test_only_what_is_needed_is_imported(cli: Cli, words: list[str]) -> None:
    code = (
        "import sys; before = set(sys.modules); from queuectl.cli.main import command_line;"
        f"command_line({words!r}); print(*set(sys.modules) - before, file=sys.stderr)"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env={**cli.env, "PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=cli.work,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(ended.stderr.splitlines()[-1].split())
    assert not loaded & TOO_DEAR
    if words in ([], ["--help"]):
        assert "apsw" not in loaded
        assert "argparse" not in loaded
    if words == ["enqueue", "true"]:
        assert "queuectl.store.sqlite.engine" not in loaded
    verbs = {name.split()[0].replace("-", "_") for name in COMMANDS}
    assert len(loaded & {f"queuectl.cli.{verb}" for verb in verbs}) <= 1


@pytest.mark.parametrize(
    "db", ["host=127.0.0.1 dbname=queue password=hunter2", "service=queue", "postgresql:/h/db"]
)
def test_what_psql_would_take_is_not_taken_for_the_name_of_a_file(cli: Cli, db: str) -> None:
    refused = cli("--db", db, "enqueue", "true")
    assert refused.code == 2
    assert "postgresql://" in refused.err
    assert "hunter2" not in refused.err
    assert list(cli.work.iterdir()) == []


def test_a_note_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            written.append(text)
            return len(text)

    monkeypatch.setattr(sys, "stderr", Stream())
    note("no worker\n  try: something")
    assert written == ["no worker\n  try: something\n"]
