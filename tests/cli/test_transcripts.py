"""The commands that must work word for word, and the scenes, on every backend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import Cli, until
from store.backends import PostgresBackend, SqliteBackend

LINES = r"""
queuectl --help
queuectl init-db
queuectl enqueue '{"id":"job1","command":"echo Hello World"}'
queuectl enqueue "{\"id\":\"job1b\",\"command\":\"echo Hello\"}"
queuectl enqueue '{"id":"job2","command":"sleep 5","max_retries":5}'
queuectl enqueue '{"command":"ls -la"}'
queuectl enqueue '{"id":"slowjob","command":"sleep 10","timeout_seconds":5}'
queuectl enqueue '{"id":"low","command":"echo low priority","priority":3}'
queuectl enqueue '{"id":"high","command":"echo high priority","priority":10}'
queuectl enqueue '{"id":"scheduled","command":"python3 backup.py","run_at":"2099-12-31T23:59:00"}'
queuectl status
queuectl list
queuectl list --state pending
queuectl list --state processing
queuectl list --state completed
queuectl list --state failed
queuectl list --state dead
queuectl list --state cancelled
queuectl list --limit 50
queuectl dlq list
queuectl metrics
queuectl metrics --recent 50
queuectl config list
queuectl config get
queuectl config get max-retries
queuectl config get backoff_base
queuectl config set max-retries 5
queuectl config set max_retries 4
queuectl config set backoff-base 3.0
queuectl config set job-timeout 600
"""  # noqa: E501 - word for word


@pytest.fixture(params=[SqliteBackend, PostgresBackend], ids=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> Iterator[Cli]:
    """The command line on a fresh store of each backend."""
    backend = request.param(tmp_path / "stores")
    if request.param is PostgresBackend:
        cli.env["QUEUECTL_DB"] = backend.new_url()
    yield cli
    cli("worker", "stop", "--now")
    backend.close()


def shell(cli: Cli, line: str) -> subprocess.CompletedProcess[str]:
    """Type a line at a prompt where `queuectl` is a command."""
    program = cli.work / "bin" / "queuectl"
    if not program.exists():
        program.parent.mkdir()
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m queuectl "$@"\n')
        program.chmod(0o755)
    env = {**cli.env, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    return subprocess.run(
        ["sh", "-c", line], env=env, cwd=cli.work, capture_output=True, text=True, check=False
    )


def test_every_line_of_the_transcripts_works_word_for_word(place: Cli) -> None:
    said = {}
    for line in LINES.strip().splitlines():
        ended = shell(place, line)
        assert ended.returncode == 0, (line, ended.stderr)
        said[line] = ended.stdout.strip()
    assert said[r'queuectl enqueue "{\"id\":\"job1b\",\"command\":\"echo Hello\"}"'] == "job1b"
    assert said["queuectl config get"] == said["queuectl config list"]
    assert said["queuectl config get max-retries"] == "3"
    assert shell(place, "queuectl config get max-retries").stdout.strip() == "4"
    assert shell(place, "queuectl config get backoff-base").stdout.strip() == "3"
    assert "web" not in said["queuectl --help"].split()
    assert len(said["queuectl list"].splitlines()) == 9  # a heading, and eight jobs
    assert place.job("scheduled")["run_at"] == "2099-12-31T23:59:00.000Z"


def test_workers_start_in_the_background_stop_and_tell_their_health(place: Cli) -> None:
    assert shell(place, "queuectl worker health").returncode == 1
    started = shell(place, "queuectl worker start --count 3 --detach")
    words, _, pids = started.stdout.strip().partition(": [")
    assert words == "Started 3 worker(s) in the background with PIDs"
    assert len({int(pid) for pid in pids.rstrip("]").split(", ")}) == 3
    assert shell(place, "queuectl worker health").returncode == 0
    assert shell(place, "queuectl worker stop").returncode == 0
    assert shell(place, "queuectl worker health").returncode == 1
    assert shell(place, "queuectl worker stop").returncode == 0


@pytest.mark.parametrize("line", ["worker start", "worker start --count 3"])
def test_workers_in_the_foreground_stop_gracefully_at_ctrl_c(place: Cli, line: str) -> None:
    process = place.start(*line.split())
    place.ok("enqueue", "--id", "a", "true")
    place.wait_for("a", "completed")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0


def test_scene_1_a_job_completes_and_its_output_is_kept(place: Cli) -> None:
    place.ok("enqueue", "--id", "hi", "echo hi")
    place.drain()
    assert place.job("hi")["state"] == "completed"
    assert place.ok("logs", "hi") == "hi"
    assert place("status", "--json").json["completed"] == 1


@pytest.mark.parametrize(
    ("command", "code", "named"),
    [("exit 1", 1, "exit 1"), ("no-such-program-here", 127, "no-such-program-here")],
    ids=["scene 2", "scene 3"],
)
def test_scenes_2_and_3_what_fails_is_retried_buried_and_revived(
    place: Cli, command: str, code: int, named: str
) -> None:
    options = ["--max-retries", "2", "--backoff-base", "0.2"]
    place.ok("enqueue", "--id", "bad", *options, command)
    assert place("dlq", "retry", "bad").code == 4
    assert place("dlq", "retry", "nobody").code == 3
    place.drain()
    (dead,) = place("dlq", "list", "--json").json
    assert (dead["state"], dead["exit_code"], dead["attempts"]) == ("dead", code, 2)
    assert named in dead["error"]
    place.ok("dlq", "retry", "bad")
    revived = place.job("bad")
    assert (revived["state"], revived["attempts"]) == ("pending", 0)
    place.drain()
    assert len(place.job("bad")["history"]) == 4


def test_scene_4_five_jobs_under_three_workers_take_two_rounds(place: Cli) -> None:
    for number in range(5):
        place.ok("enqueue", "--id", f"s{number}", "sleep 1")
    place.ok("worker", "start", "--count", "3", "--drain")
    runs = [place.job(f"s{number}")["history"] for number in range(5)]
    assert [len(history) for history in runs] == [1] * 5
    edges = [(run["started_at"], 1) for (run,) in runs]
    edges += [(run["finished_at"], -1) for (run,) in runs]
    running = most = 0
    for _at, change in sorted(edges):
        running += change
        most = max(most, running)
    assert most == 3


def test_scene_5_a_timeout_ends_the_job_with_its_children(place: Cli) -> None:
    command = "sleep 987 & sleep 986; true"
    place.ok("enqueue", "--id", "slow", "--timeout", "1", "--max-retries", "1", command)
    place.drain()
    job = place.job("slow")
    assert (job["outcome"], job["attempts"], job["state"]) == ("timeout", 1, "dead")
    marks = [Path("/proc", pid, "cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    assert not any(read(mark) in (b"sleep\x00987\x00", b"sleep\x00986\x00") for mark in marks)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_scene_6_higher_priority_first_equals_in_order(place: Cli) -> None:
    for name, priority in [("c", "3"), ("a", "10"), ("b1", "5"), ("b2", "5")]:
        place.ok("enqueue", "--id", name, "--priority", priority, f"echo {name} >> order")
    place.drain()
    assert (place.work / "order").read_text().split() == ["a", "b1", "b2", "c"]


def test_scene_7_a_scheduled_job_starts_when_it_is_due(place: Cli) -> None:
    place.ok("worker", "start", "--detach")
    place.ok("enqueue", "--id", "later", "--delay", "2s", "true")
    job = place.wait_for("later", "completed")
    assert job["started_at"] >= job["run_at"]


def test_scene_8_a_signal_lets_what_runs_finish_and_takes_no_new_job(place: Cli) -> None:
    process = place.start("worker", "start")
    place.ok("enqueue", "--id", "first", "touch began; sleep 1")
    until((place.work / "began").exists)
    place.ok("enqueue", "--id", "second", "true")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert place.job("first")["state"] == "completed"
    assert place.job("second")["state"] == "pending"


def test_scene_9_after_kill_9_of_everything_each_job_runs_to_its_end(place: Cli) -> None:
    place.ok("config", "set", "lease-seconds", "3")
    place.ok("worker", "start", "--count", "2", "--detach")
    wait = "while [ ! -e go ]; do sleep 0.05; done"
    for name in ("x", "y"):
        place.ok("enqueue", "--id", name, f"echo >> began.{name}; {wait}; echo >> ended.{name}")
    for name in ("x", "y"):
        until((place.work / f"began.{name}").exists)
    workers = place("worker", "list", "--json").json
    supervisors = {parent(worker["pid"]) for worker in workers}
    for pid in [*supervisors, *[worker["pid"] for worker in workers]]:
        os.kill(pid, signal.SIGKILL)
    place.ok("worker", "start", "--count", "2", "--detach")
    for name in ("x", "y"):
        until(lambda name=name: len((place.work / f"began.{name}").read_text()) == 2)
    (place.work / "go").touch()
    for name in ("x", "y"):
        job = place.wait_for(name, "completed")
        assert [run["outcome"] for run in job["history"]] == ["lost", "completed"]
        assert job["attempts"] == 1
        assert len((place.work / f"ended.{name}").read_text()) == 1


def parent(pid: int) -> int:
    fields = Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    return int(fields[1])


def test_scene_10_everything_is_there_after_a_restart(place: Cli) -> None:
    place.ok("config", "set", "max-retries", "1")
    place.ok("enqueue", "--id", "dead", "exit 9")
    place.drain()
    place.ok("enqueue", "--id", "waits", "--delay", "1h", "true")
    before: dict[str, Any] = {
        verb: place(*verb.split()).out
        for verb in ("list --json", "dlq list --json", "config list", "show dead --json")
    }
    place.ok("worker", "start", "--detach")
    place.ok("worker", "stop")
    assert {verb: place(*verb.split()).out for verb in before} == before


def test_scene_11_ten_workers_run_500_jobs_once_each(place: Cli) -> None:
    jobs = "\n".join(f'{{"id":"n{n}","command":"echo n{n} >> all"}}' for n in range(500))
    place.ok("enqueue", "--file", "-", input=jobs)
    place.ok("worker", "start", "--count", "10", "--drain")
    lines = (place.work / "all").read_text().split()
    assert sorted(lines) == sorted(f"n{n}" for n in range(500))


def test_scene_12_an_id_is_given_once(place: Cli) -> None:
    place.ok("enqueue", "--id", "one", "true")
    assert place("enqueue", "--id", "one", "false").code == 4
    place.drain()
    before = place.job("one")
    assert place("enqueue", "--id", "one", "false").code == 4
    assert place.job("one") == before


def test_an_idle_worker_starts_a_job_before_its_poll(place: Cli) -> None:
    place.ok("config", "set", "worker-poll-interval", "1h")
    place.ok("worker", "start", "--detach")
    began = time.monotonic()
    place.ok("enqueue", "--id", "now", "true")
    place.wait_for("now", "completed")
    assert time.monotonic() - began < 60
