"""`worker start|stop|list|health` as a person types them."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from conftest import Cli, until
from queuectl.store import open_store

from .scene import Scene


def workers(cli: Cli) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(cli.ok("worker", "list", "--json"))
    return found


def test_detached_workers_are_named_by_their_pids(cli: Cli) -> None:
    out = cli.ok("worker", "start", "--count", "3", "--detach")
    match = re.fullmatch(
        r"Started 3 worker\(s\) in the background with PIDs: (\[\d+, \d+, \d+\])", out
    )
    assert match
    assert sorted(json.loads(match[1])) == sorted(worker["pid"] for worker in workers(cli))


def test_a_second_start_adds_and_ensure_only_what_is_missing(cli: Cli) -> None:
    cli.ok("worker", "start", "--detach")
    cli.ok("worker", "start", "--detach")
    assert len(workers(cli)) == 2
    out = cli.ok("worker", "start", "--count", "3", "--ensure", "--detach")
    assert out.startswith("Started 1 worker(s)")
    assert cli.ok("worker", "start", "--count", "3", "--ensure", "--detach") == (
        "3 worker(s) run already"
    )
    assert cli.ok("worker", "start", "--ensure") == "3 worker(s) run already"
    assert len(workers(cli)) == 3


ENSURE = ("worker", "start", "--detach", "--ensure")


def test_starts_that_ensure_at_the_same_moment_start_no_more_than_is_missing(cli: Cli) -> None:
    starts = [cli.start(*ENSURE, "--count", "2") for _ in range(3)]
    assert [start.wait(20) for start in starts] == [0, 0, 0]
    said = sorted(start.stdout.read().strip() for start in starts if start.stdout)
    assert said[:2] == ["2 worker(s) run already"] * 2
    assert len(workers(cli)) == 2


def test_a_worker_that_is_just_being_replaced_is_not_missing(cli: Cli) -> None:
    cli.ok("worker", "start", "--detach")
    with open_store(str(cli.home / "queue.db")) as store:
        (worker,) = store.workers()
    os.kill(worker.supervisor_pid, signal.SIGSTOP)
    try:
        os.kill(worker.pid, signal.SIGKILL)
        assert cli.ok(*ENSURE) == "1 worker(s) run already"
    finally:
        os.kill(worker.supervisor_pid, signal.SIGCONT)
    until(lambda: [w for w in workers(cli) if w["pid"] != worker.pid])
    assert len(workers(cli)) == 1


def test_a_worker_that_was_told_to_leave_is_missing_before_and_after_it_left(cli: Cli) -> None:
    cli.ok("worker", "start", "--detach", "--count", "2")
    cli.ok("enqueue", "while [ ! -e go ]; do sleep 0.02; done")
    cli.wait_for("j1", "processing")
    (busy,) = [str(worker["id"]) for worker in workers(cli) if worker["busy"]]
    (idle,) = [str(worker["id"]) for worker in workers(cli) if not worker["busy"]]
    stop = cli.start("worker", "stop", busy)
    until(lambda: [w for w in workers(cli) if w["id"] == busy and w["state"] == "stopping"])
    assert cli.ok(*ENSURE, "--count", "2").startswith("Started 1 worker(s)")
    cli.ok("worker", "stop", idle)
    assert cli.ok(*ENSURE, "--count", "2").startswith("Started 1 worker(s)")
    (cli.work / "go").touch()
    assert stop.wait(20) == 0
    assert cli.ok(*ENSURE, "--count", "2") == "2 worker(s) run already"


def test_of_a_start_that_is_about_to_end_all_workers_are_missing(cli: Cli) -> None:
    process = cli.start("worker", "start")
    cli.ok("enqueue", "while [ ! -e go ]; do sleep 0.02; done")
    cli.wait_for("j1", "processing")
    process.send_signal(signal.SIGTERM)
    until(lambda: workers(cli)[0]["state"] == "stopping")
    assert cli.ok(*ENSURE).startswith("Started 1 worker(s)")
    (cli.work / "go").touch()
    assert process.wait(20) == 0
    assert cli.ok(*ENSURE) == "1 worker(s) run already"


def test_only_workers_that_serve_what_is_asked_for_count(cli: Cli) -> None:
    cli.ok("worker", "start", "--detach", "--queue", "a,b")
    assert cli.ok(*ENSURE, "--queue", "b") == "1 worker(s) run already"
    assert cli.ok(*ENSURE, "--queue", "b,c").startswith("Started 1 worker(s)")
    assert cli.ok(*ENSURE).startswith("Started 1 worker(s)")
    assert cli.ok(*ENSURE, "--queue", "d") == "1 worker(s) run already"


def test_a_foreground_start_keeps_others_waiting_only_until_it_is_ready(cli: Cli) -> None:
    process = cli.start("worker", "start", "--ensure")
    until(lambda: workers(cli))
    assert cli.ok(*ENSURE) == "1 worker(s) run already"
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_queues_and_slots_are_as_asked_for(cli: Cli) -> None:
    cli.ok(
        "worker", "start", "--detach", "--concurrency", "4", "--queue", "a,b", "--queue", "c"
    )
    (worker,) = workers(cli)
    assert (worker["slots"], worker["queues"], worker["busy"]) == (4, ["a", "b", "c"], 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--count", "-1"], "--count takes 1 to 1000"),
        (["--concurrency", "many"], "--concurrency takes a whole number"),
        (["--queue", "a b"], "a queue's name can't be 'a b'"),
        (["--queue", ","], "a queue's name can't be ''"),
        (["extra"], "does not know what to do with extra"),
    ],
)
def test_bad_options_are_refused(cli: Cli, words: list[str], says: str) -> None:
    result = cli("worker", "start", *words)
    assert result.code == 2
    assert says in result.err


def test_health_is_0_while_one_is_alive(cli: Cli) -> None:
    result = cli("worker", "health")
    assert (result.code, result.out) == (1, "no worker is alive\n")
    assert cli("worker", "health", "--json").json == {"healthy": False, "workers": 0}
    cli.ok("worker", "start", "--detach")
    assert cli.ok("worker", "health") == "1 worker(s) alive"
    assert cli.ok("worker", "stop").startswith("Stopped 1 worker(s): ")
    assert cli("worker", "health").code == 1


def test_stop_is_0_when_there_are_none(cli: Cli) -> None:
    assert cli.ok("worker", "stop") == "No workers are running."
    assert cli.ok("worker", "stop", "--json") == "[]"


def test_stop_returns_when_they_are_gone(cli: Cli) -> None:
    cli.ok("worker", "start", "--count", "2", "--detach")
    pids = [worker["pid"] for worker in workers(cli)]
    cli.ok("worker", "stop")
    assert workers(cli) == []
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(str(pid)), 0)


def test_one_worker_can_be_stopped_by_its_id(cli: Cli) -> None:
    cli.ok("worker", "start", "--count", "2", "--detach")
    first, second = [str(worker["id"]) for worker in workers(cli)]
    assert first in cli.ok("worker", "stop", first)
    assert second in [worker["id"] for worker in workers(cli)]
    assert cli("worker", "stop", "nope").code == 3
    assert cli("worker", "stop", "--now", "--timeout", "5").code == 2


def test_one_worker_can_be_stopped_by_the_pid_that_its_start_printed(cli: Cli) -> None:
    out = cli.ok("worker", "start", "--count", "2", "--detach")
    first, second = json.loads(out.partition("PIDs: ")[2])
    ids = {worker["pid"]: worker["id"] for worker in workers(cli)}
    assert cli.ok("worker", "stop", str(first), "--json") == json.dumps([ids[first]])
    assert [worker["pid"] for worker in workers(cli)] == [second]
    assert cli("worker", "stop", "1").code == 3


def test_stop_lets_what_runs_finish_unless_told_otherwise(cli: Cli) -> None:
    cli.ok("worker", "start", "--detach")
    cli.ok("enqueue", "while [ ! -e go ]; do sleep 0.02; done")
    cli.wait_for("j1", "processing")
    stop = cli.start("worker", "stop")
    until(lambda: workers(cli)[0]["state"] == "stopping")
    (cli.work / "go").touch()
    assert stop.wait(20) == 0
    assert cli.job("j1")["state"] == "completed"
    cli.ok("worker", "start", "--detach")
    cli.ok("enqueue", "sleep 60")
    cli.wait_for("j2", "processing")
    cli.ok("worker", "stop", "--now")
    job = cli.job("j2")
    assert (job["state"], job["attempts"]) == ("pending", 0)


def test_stop_says_on_a_terminal_what_it_waits_for_and_how_not_to(
    worker: Cli, scene: Scene
) -> None:
    worker.ok("enqueue", "while [ ! -e go ]; do sleep 0.02; done")
    worker.wait_for("j1", "processing")
    scene.db = str(worker.home / "queue.db")
    with scene.on_terminal("worker", "stop") as terminal:
        terminal.wait_for("stopping: 30s for j1, then it goes back")
        terminal.wait_for("at once: queuectl worker stop --now")
        (worker.work / "go").touch()
        assert "Stopped 1 worker(s)" in terminal.finish()
    with scene.on_terminal("worker", "stop") as terminal:
        assert terminal.finish().strip() == "No workers are running."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_foreground_worker_stops_gracefully_at_a_signal(cli: Cli, number: int) -> None:
    cli.ok("enqueue", "while [ ! -e go ]; do sleep 0.02; done")
    process = cli.start("worker", "start")
    cli.wait_for("j1", "processing")
    process.send_signal(number)
    assert process.stderr is not None
    until(lambda: "stopping" in process.stderr.readline())
    (cli.work / "go").touch()
    assert process.wait(20) == 0
    assert cli.job("j1")["state"] == "completed"


def test_drain_ends_when_nothing_is_left_that_could_run_now(cli: Cli) -> None:
    for words in (["true"], ["true", "--delay", "1h"], ["true", "--queue", "paused"]):
        cli.ok("enqueue", *words)
    cli.ok("queue", "pause", "paused")
    cli.ok("worker", "start", "--drain", "--count", "2")
    assert [cli.job(f"j{n}")["state"] for n in (1, 2, 3)] == ["completed", "pending", "pending"]
