"""`enqueue`: one job, in every way it can be written."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from conftest import Cli
from store.backends import PostgresBackend

from .scene import Scene


def test_it_prints_the_id_alone(cli: Cli) -> None:
    result = cli("enqueue", "echo hi")
    assert (result.code, result.out, result.err) == (0, "j1\n", "")
    assert cli("enqueue", '{"id":"mine","command":"echo hi"}').out == "mine\n"
    assert cli("enqueue", '{"command":"echo hi"}').out == "j3\n"


def test_one_word_is_a_shell_line_and_more_stand_after_dashes(cli: Cli) -> None:
    cli.ok("enqueue", "echo $HOME | wc -c")
    cli.ok("enqueue", "--", "ls", "-l", "--json", "a b")
    cli.ok("enqueue", "--", '{"command":"true"}')
    assert [cli.job(f"j{n}")["command"] for n in (1, 2, 3)] == [
        "echo $HOME | wc -c",
        ["ls", "-l", "--json", "a b"],
        ['{"command":"true"}'],
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["ls", "-la"], "queuectl enqueue -- ls -la"),
        (["echo", "a b"], "queuectl enqueue -- echo 'a b'"),
        (
            ["--priority", "3", "python", "train.py", "--lr", "0.1"],
            "queuectl enqueue --priority 3 -- python train.py --lr 0.1",
        ),
        (
            ["--tag=x", "grep", "-r", "--color", "y"],
            "queuectl enqueue --tag=x -- grep -r --color y",
        ),
        (
            ["sleep", "3", "--priority", "3", "-v"],
            "queuectl enqueue --priority 3 -- sleep 3 -v",
        ),
    ],
)
def test_words_without_dashes_are_refused_with_the_line_to_type(
    cli: Cli, words: list[str], line: str
) -> None:
    result = cli("enqueue", *words)
    assert result.code == 2
    assert result.err.splitlines()[1] == f"  try: {line}"
    assert json.loads(cli.ok("list", "--json")) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--file - reads standard input"),
        (["--"], "no command after --"),
        (["ls", "--", "-l"], "'ls' stands before --"),
        (["-"], "no command"),
        ([""], "empty"),
        (["--", ""], "empty"),
        (["{nope}"], "not JSON"),
        (["[1]"], "object"),
        (["--skip-bad", "x"], "--file"),
        (["--stream", "x"], "--file"),
        (["--priority", "11", "x"], "--priority takes 1 to 10"),
        (["--timeout", "-5", "x"], "negative"),
        (["--delay", "-1h", "x"], "negative"),
        (["--delay", "1h", "--run-at", "09:00", "x"], "--run-at and --delay can't both"),
        (["--run-at", "soon", "x"], "--run-at is no time"),
        (["--id", "a/b", "x"], "an id can't be 'a/b'"),
        (["--id", "x" * 300, "x"], "an id can't be"),
        (["--cwd", "/does/not/exist", "x"], "does not exist"),
        (["--env", "NOT_SET_ANYWHERE", "x"], "NOT_SET_ANYWHERE"),
        (["--env", "1A=b", "x"], "'1A'"),
        (["--env", "A,B", "x"], "try: --env A --env B"),
        (["--after", "a, b", "x"], "--after is given once for each, not as 'a, b'"),
        (["--tag", "a,b", "x"], "try: --tag a --tag b"),
        (["--env", "A=1", "--env", "A=2", "x"], "given twice"),
        (["--backoff-base", "x", "y"], "--backoff-base takes a number"),
        (["--backoff-jitter", "2", "y"], "backoff_jitter is 0 to 1"),
        (["--priority", "3", '{"command":"x","priority":3}'], "priority is given twice"),
        (['{"command":"x","comand":1}'], "no field 'comand'"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_enqueued(
    cli: Cli, words: list[str], says: str
) -> None:
    result = cli("enqueue", *words)
    assert result.code == 2
    assert result.err.startswith("queuectl: ")
    assert says in result.err
    assert "Traceback" not in result.err
    assert cli("show", "j1").code == 3


def test_a_directory_may_be_on_other_hosts_alone(cli: Cli, tmp_path: Path) -> None:
    cli.env["QUEUECTL_DB"] = PostgresBackend(tmp_path / "stores").new_url()
    cli.ok("enqueue", "--cwd", "/on/another/host", "--max-retries", "1", "true")
    cli.ok("enqueue", '{"command": "true", "cwd": "/on/another/host", "delay": "1h"}')
    cli.drain()
    job = cli.job("j1")
    assert (job["state"], job["error"]) == (
        "dead",
        "exit 126: directory /on/another/host: No such file or directory",
    )


def test_bytes_that_are_no_utf8_are_refused(cli: Cli) -> None:
    result = cli("enqueue", "echo \udcff")
    assert result.code == 2
    assert "UTF-8" in result.err


def test_every_field_is_an_option(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    options = (
        "--id x --queue gpu --priority 9 --max-retries 5 --backoff-base 1.5 --backoff-max 1h "
        "--backoff-jitter 0.5 --timeout none --after j1 --cwd / --env A=1=2 --env COPIED "
        "--tag a --tag b"
    )
    cli.ok("enqueue", *options.split(), "echo hi", env={"COPIED": "from here"})
    job = json.loads(cli.ok("show", "x", "--json", "--reveal"))
    expected = {
        "command": "echo hi",
        "queue": "gpu",
        "priority": 9,
        "max_retries": 5,
        "backoff_base": 1.5,
        "backoff_max": 3600,
        "backoff_jitter": 0.5,
        "timeout_seconds": 0,
        "after": ["j1"],
        "cwd": "/",
        "env": {"A": "1=2", "COPIED": "from here"},
        "tags": ["a", "b"],
        "state": "pending",
    }
    assert {name: job[name] for name in expected} == expected


def test_what_is_not_given_comes_from_config_and_stands_in_the_row(cli: Cli) -> None:
    cli.ok("config", "set", "max-retries", "7")
    cli.ok("config", "set", "job-timeout", "none")
    cli.ok("enqueue", "true")
    cli.ok("config", "set", "max-retries", "1")
    job = cli.job("j1")
    assert (job["max_retries"], job["timeout_seconds"]) == (7, 0)
    assert job["cwd"] == str(cli.work)
    assert "@" in job["created_by"]


def test_a_taken_id_is_refused_and_changes_nothing(cli: Cli) -> None:
    cli.ok("enqueue", "echo one", "--id", "x")
    result = cli("enqueue", "echo two", "--id", "x")
    assert result.code == 4
    assert result.err == (
        "queuectl: x exists already (pending)\n  try: another --id, or queuectl delete x\n"
    )
    assert cli.job("x")["command"] == "echo one"


def test_waiting_for_an_unknown_job_is_refused(cli: Cli) -> None:
    result = cli("enqueue", "true", "--after", "nope")
    assert result.code == 3
    assert "nope" in result.err


def test_waiting_for_a_job_that_can_not_succeed_is_told(cli: Cli) -> None:
    cli.ok("enqueue", "true", "--id", "a")
    cli.ok("cancel", "a")
    result = cli("enqueue", "true", "--after", "a")
    assert result.code == 0
    assert "cancelled" in result.err


def test_the_answer_says_in_local_time_when_it_will_run(cli: Cli) -> None:
    tokyo = {"TZ": "JST-9"}
    result = cli("enqueue", "true", "--run-at", "2099-12-31 09:00", env=tokyo)
    assert (result.out, result.err[:40]) == ("j1\n", "j1 runs at 2099-12-31 09:00:00 JST, in 2")
    assert cli.job("j1")["run_at"] == "2099-12-31T00:00:00.000Z"
    in_json = '{"command":"true","run_at":"2099-12-31T23:59:00"}'
    assert "2100-01-01 08:59:00 JST" in cli("enqueue", in_json, env=tokyo).err
    assert "in 5m00s" in cli("enqueue", "true", "--delay", "5m").err
    past = cli("enqueue", "true", "--run-at", "2001-01-01", env={"TZ": "UTC"})
    assert past.err == "j4 runs now: 2001-01-01 00:00:00 UTC is past\n"
    assert cli("enqueue", "true", "--delay", "0").err == ""


def test_on_a_terminal_it_says_that_the_queue_is_paused(scene: Scene) -> None:
    scene.store.set_queue("night", paused=True)
    with scene.on_terminal("enqueue", "--queue", "night", "true") as terminal:
        assert terminal.finish().splitlines()[:3] == [
            "j1",
            "the queue night is paused",
            "  try: queuectl queue resume night",
        ]
    with scene.on_terminal("enqueue", "true") as terminal:
        assert "paused" not in terminal.finish()


def test_a_delay_is_counted_from_now(cli: Cli) -> None:
    job = json.loads(cli.ok("enqueue", "true", "--delay", "1h", "--json"))
    ahead = datetime.fromisoformat(job["run_at"]) - datetime.fromisoformat(job["created_at"])
    assert ahead == timedelta(hours=1)


def test_json_answers_with_the_job(cli: Cli) -> None:
    result = cli("enqueue", "--json", "--env", "SECRET=x", "true")
    assert result.json["id"] == "j1"
    assert result.json["state"] == "pending"
    assert "x" not in result.json["env"].values()
    assert result.err == ""


@pytest.mark.parametrize(
    ("verb", "code", "says"),
    [
        ("enqueue true", 2, "this directory is gone"),
        ("enqueue --cwd sub true", 2, "this directory is gone"),
        ("enqueue --cwd /tmp true", 0, ""),
        ("enqueue --cwd '~' true", 0, ""),
    ],
)
def test_the_directory_may_be_gone(cli: Cli, verb: str, code: int, says: str) -> None:
    ended = subprocess.run(
        ["sh", "-c", f"rmdir ../work; exec {sys.executable} -m queuectl {verb}"],
        env=cli.env,
        cwd=cli.work,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, says in ended.stderr) == (code, True), ended.stderr


@pytest.mark.parametrize("kind", ["directory", "text", "no file"])
def test_a_database_that_can_not_be_one_is_refused(cli: Cli, kind: str) -> None:
    path = cli.work / "x.db"
    if kind == "directory":
        path.mkdir()
    elif kind == "text":
        path.write_text("this is no database, but long enough to be looked at" * 100)
    else:
        path = Path("/proc/version")
    result = cli("--db", str(path), "enqueue", "true")
    assert result.code == 5
    assert result.err.startswith(f"queuectl: {path}")
    assert len(result.err.splitlines()) <= 2
