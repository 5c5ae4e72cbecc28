"""`wait`: its exit code is the job's."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import Cli
from queuectl.cli.wait import _ended, _Waited
from queuectl.model import Job
from queuectl.store import open_store
from queuectl.store.base import Store
from queuectl.store.sqlite.inquiry import Inquiry
from store.helpers import T0, add, living_worker

from .scene import Scene


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("true", 0),
        ("exit 3", 3),
        ("kill -9 $$", 137),
        ("kill -TERM $$", 143),
        ("/no/such", 127),
    ],
)
def test_the_code_is_the_jobs_own(cli: Cli, command: str, code: int) -> None:
    cli.ok("enqueue", command, "--max-retries", "1")
    cli.drain()
    assert cli("wait", "j1").code == code


def test_a_time_limit_is_its_signal(cli: Cli) -> None:
    cli.ok("enqueue", "sleep 60", "--max-retries", "1", "--timeout", "0.1")
    cli.ok("enqueue", "trap 'exit 0' TERM; sleep 60", "--max-retries", "1", "--timeout", "0.1")
    cli.drain()
    assert cli("wait", "j1").code == 128 + signal.SIGTERM
    assert cli("wait", "j2").code == 128 + signal.SIGTERM


def test_it_waits_until_the_job_has_ended(worker: Cli) -> None:
    worker.ok("enqueue", "while [ ! -e go ]; do sleep 0.02; done; exit 5", "--max-retries", "1")
    process = worker.start("wait", "j1")
    worker.wait_for("j1", "processing")
    assert process.poll() is None
    (worker.work / "go").touch()
    assert process.wait(20) == 5


def test_a_failed_job_that_runs_again_has_not_ended(cli: Cli) -> None:
    cli.ok("enqueue", "exit 1", "--backoff-base", "3600")
    cli.start("worker", "start")
    cli.wait_for("j1", "failed")
    assert cli("wait", "j1", "--timeout", "0").code == 124


def test_several_jobs_are_0_if_all_completed_else_1(cli: Cli) -> None:
    for command in ("true", "true", "exit 7"):
        cli.ok("enqueue", command, "--max-retries", "1")
    cli.drain()
    assert cli("wait", "j1", "j2").code == 0
    result = cli("wait", "j1", "j3")
    assert result.code == 1
    assert result.err == "j3 is dead: exit 7\n"


def test_it_waits_for_jobs_that_options_choose(worker: Cli) -> None:
    """As `list` would show them now."""
    wait_for_go = "while [ ! -e go ]; do sleep 0.02; done"
    worker.ok("enqueue", "true", "--tag", "sweep")
    worker.ok("enqueue", wait_for_go, "--tag", "sweep")
    worker.ok("enqueue", "exit 1", "--delay", "1h")
    worker.wait_for("j2", "processing")
    assert worker("wait", "--tag", "sweep", "--timeout", "0").code == 124
    process = worker.start("wait", "--tag", "sweep", "--json")
    (worker.work / "go").touch()
    assert process.wait(20) == 0
    assert process.stdout is not None
    assert [job["id"] for job in json.loads(process.stdout.read())] == ["j1", "j2"]


def test_of_chosen_jobs_one_that_did_not_complete_is_1(cli: Cli) -> None:
    """Also of one alone, whose own code nobody could foresee."""
    cli.ok("enqueue", "exit 7", "--max-retries", "1", "--tag", "a")
    cli.drain()
    result = cli("wait", "--tag", "a")
    assert (result.code, result.err) == (1, "j1 is dead: exit 7\n")
    result = cli("wait", "--tag", "a", "--any")
    assert (result.code, result.out) == (7, "j1\n")


def test_where_no_job_is_chosen_there_is_nothing_to_wait_for(cli: Cli) -> None:
    cli.ok("init-db")
    assert (cli("wait", "--tag", "none").code, cli("wait", "--tag", "none").err) == (
        0,
        "no job fits\n",
    )
    assert cli("wait", "--tag", "none", "--json").json == []
    assert cli("wait", "--tag", "none", "--any", "--timeout", "5").code == 0
    assert cli("wait", "j1", "--tag", "none").code == 125


def test_a_chosen_job_that_is_deleted_meanwhile_is_not_missed(cli: Cli) -> None:
    cli.ok("enqueue", "true", "--tag", "a")
    for words in ((), ("--any",)):
        process = cli.start("wait", "--tag", "a", *words)
        assert process.stderr is not None
        process.stderr.readline()
        cli.ok("delete", "--tag", "a")
        assert process.wait(20) == 0
        cli.ok("enqueue", "true", "--tag", "a")


def test_one_that_has_completed_may_be_purged_while_another_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(str(tmp_path / "queue.db")) as store, living_worker(store) as worker:
        add(store, "long", "short")
        long, short = worker.claim(2)

        def changes(_store: Store, _until: float | None) -> Iterator[None]:
            yield
            worker.finish(short)
            yield
            store.delete(["short"], T0)
            worker.finish(long)
            yield

        monkeypatch.setattr("queuectl.cli.wait.changes", changes)
        waited = _Waited([store.get("short"), store.get("long")], whole=False)
        ended = _ended(store, waited, 2, None, may_go=False)
        assert ended is not None
        assert list(ended) == ["long", "short"]


def test_when_the_time_is_up_it_says_what_has_not_ended(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    cli.drain()
    for _ in range(6):
        cli.ok("enqueue", "true", "--delay", "1h")
    names = [f"j{n}" for n in range(1, 8)]
    result = cli("wait", "j2", "--timeout", "0")
    assert (result.code, result.err.splitlines()[-1]) == (124, "the time is up: j2 is pending")
    result = cli("wait", "j1", "j2", "--timeout", "0")
    assert result.err.splitlines()[-1] == ("the time is up: 1 of 2 has not ended: j2 (pending)")
    result = cli("wait", *names, "--timeout", "0.1")
    assert result.out == ""
    assert result.err.splitlines()[-1] == (
        "the time is up: 6 of 7 have not ended: j2 (pending), j3 (pending), j4 (pending), "
        "j5 (pending), j6 (pending) and 1 more"
    )


def test_any_ends_with_the_first(worker: Cli) -> None:
    worker.ok("enqueue", "exit 3", "--max-retries", "1")
    worker.ok("enqueue", "true", "--delay", "1h")
    result = worker("wait", "--any", "j2", "j1")
    assert (result.code, result.out) == (3, "j1\n")


def test_a_timeout_of_0_looks_once(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    assert cli("wait", "j1", "--timeout", "0").code == 124
    cli.drain()
    assert cli("wait", "j1", "--timeout", "0").code == 0


def test_waiting_can_time_out(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    result = cli("wait", "j1", "--timeout", "0.1")
    assert (result.code, result.out) == (124, "")


def test_a_cancelled_job_and_its_own_failures_are_125(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    cli.ok("cancel", "j1")
    assert cli("wait", "j1").code == 125
    assert cli("wait", "nope").code == 125
    assert cli("wait").code == 125
    assert cli("wait", "j1", "--timeout", "-1").code == 125


def test_a_job_that_is_deleted_meanwhile_is_125(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    process = cli.start("wait", "j1")
    assert process.stderr is not None
    process.stderr.readline()
    cli.ok("delete", "j1")
    assert process.wait(20) == 125


def test_it_says_at_once_why_it_may_wait_for_ever(cli: Cli) -> None:
    cli.ok("enqueue", "true", "--queue", "gpu")
    cli.ok("queue", "pause", "gpu")
    err = cli("wait", "j1", "--timeout", "0.1").err
    assert "no worker serves the queue gpu" in err
    assert "queuectl worker start --detach --queue gpu" in err
    assert "queuectl queue resume gpu" in err


def test_json_is_the_job_or_the_jobs(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    cli.ok("enqueue", "true")
    cli.drain()
    assert cli("wait", "j1", "--json").json["state"] == "completed"
    assert [job["id"] for job in cli("wait", "j1", "j2", "--json").json] == ["j1", "j2"]


def test_ctrl_c_is_130(cli: Cli) -> None:
    cli.ok("enqueue", "true")
    process = cli.start("wait", "j1")
    assert process.stderr is not None
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130


def test_many_jobs_are_looked_at_all_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.add(*[f"job{n}" for n in range(50)])
    got: list[str] = []
    monkeypatch.setattr(Inquiry, "get", lambda _store, job_id: got.append(job_id))
    assert scene.run("wait", "--state", "pending", "--timeout", "0").code == 124
    assert got == []


def test_what_was_needed_is_looked_at_all_at_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = [f"job{n}" for n in range(50)]
    scene.add(*needs)
    scene.add("last", after=tuple(needs))
    got: list[str] = []
    get = Inquiry.get

    def counted(store: Inquiry, job_id: str) -> Job:
        got.append(job_id)
        return get(store, job_id)

    monkeypatch.setattr(Inquiry, "get", counted)
    assert "waits for job0 (pending)" in scene.run("explain", "last").out
    assert got == ["last"]
