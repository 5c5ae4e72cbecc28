"""Trouble with the network and the server that is shorter than a lease: what runs goes on,
its results are kept, and nobody has to be started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from faults.arena import until
from faults.checker import check, check_nothing_left, check_now
from faults.jobs import Spec
from postgres_server import PostgresServer, shared_server
from queuectl.model import PROCESSING

from .fleet import Fleet, figures

OUTAGE = float(os.environ.get("FLEET_OUTAGE", "5"))
"""Seconds that the server is gone, longer than any call is tried again."""


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """One that can be stopped."""
    shared_server()  # skips where there is none
    server = PostgresServer()
    yield server
    server.remove()


def _start(fleet: Fleet, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        fleet.command(*words), env=fleet.env, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def _finish(fleet: Fleet, specs: list[Spec]) -> None:
    """All is done, each job by one run, and the workers go when they are asked to."""
    assert until(fleet.all_ended, 40), fleet.said()
    assert {spec.id: fleet.outcomes(spec.id) for spec in specs} == {
        spec.id: ["completed"] for spec in specs
    }
    assert fleet.stop_all()
    assert check(fleet, specs) == []
    assert check_nothing_left(fleet) == []


def test_while_the_server_is_away_what_runs_goes_on_and_its_results_are_kept(
    own_server: PostgresServer,
) -> None:
    with Fleet(own_server, lease_seconds="60") as fleet:
        for name in ("a", "b"):
            fleet.start_tree(1, 3, host=fleet.host_at(name, fleet.url))
        specs = [Spec("short", "nap 1"), Spec("long", f"nap {OUTAGE + 4}", timeout=60)]
        specs += [Spec("late", "late", 1, 3), Spec("once", f"nap {OUTAGE + 2}", 1, 60)]
        assert until(lambda: fleet.serves("a") and fleet.serves("b"))
        fleet.enqueue(specs)
        assert until(lambda: len(fleet.lines()) == len(specs))
        script = "echo begun; sleep 2; echo over; exit 7"
        run = ("run", "--id", "watched", "--", "sh", "-c", script)
        waiting = [_start(fleet, *w) for w in (("wait", "short"), ("logs", "-f", "long"), run)]
        assert waiting[-1].stdout is not None
        assert waiting[-1].stdout.readline() == "begun\n"
        own_server.stop(signal.SIGQUIT)  # a crash; then at once a stop
        own_server.start()
        own_server.stop(signal.SIGINT)
        back_at = time.monotonic() + OUTAGE
        code, out, err = fleet.ask("status", host=fleet.hosts["a"])
        assert (code, out) == (5, "")
        assert f"127.0.0.1:{own_server.port}" in err
        assert until(lambda: time.monotonic() >= back_at, OUTAGE + 1)
        # A time limit waits for no server.
        assert all(
            end in [line[:2] for line in fleet.lines()]
            for end in (["stop", "short"], ["term", "late"])
        )
        own_server.start()
        began = time.monotonic()
        assert until(lambda: fleet.job("short").state == "completed")
        known = time.monotonic() - began
        fleet.enqueue([Spec("after", "quick")])
        assert until(lambda: fleet.job("after").state == "completed")
        figures(results_known_after=known, work_again_after=time.monotonic() - began)
        # Who waits for a job goes on waiting.
        said = [each.communicate(timeout=30) for each in waiting]
        assert [each.returncode for each in waiting] == [0, 0, 7], said
        assert said[-1][0] == "over\n"
        assert fleet.run("delete", "watched") == 0  # it has no word for the witness
        assert until(fleet.all_ended, 40), fleet.said()
        assert fleet.outcomes("late") == ["timeout"]
        _finish(fleet, [specs[0], specs[1], specs[3], Spec("after", "quick")])


def test_connections_that_are_ended_again_and_again_lose_and_double_nothing(
    patient_fleet: Fleet,
) -> None:
    fleet = patient_fleet
    for name in ("a", "b"):
        fleet.start_tree(1, 2, host=fleet.host(name))
    assert until(lambda: fleet.serves("a") and fleet.serves("b"))
    specs = [Spec(f"j{n}", "quick" if n % 3 else "nap 0.2") for n in range(60)]
    fleet.enqueue(specs)
    ended = 0

    def all_have_ended() -> bool:
        nonlocal ended
        ended += fleet.end_connections()
        assert check_now(fleet) == []
        return not fleet.waiting()

    assert until(all_have_ended, 120, step=0.2)
    assert ended > 10
    _finish(fleet, specs)


def test_a_connection_that_is_dead_and_does_not_know_it_costs_no_lease() -> None:
    with Fleet(lease_seconds="9") as fleet:
        fleet.start_tree(1, 2, host=fleet.host("a"))
        assert until(lambda: fleet.serves("a"))
        (worker,) = fleet.workers("a")
        assert until(lambda: fleet.workers("a")[0].heartbeat_at > worker.heartbeat_at)
        fleet.enqueue([Spec("j", "nap 60")])
        assert until(lambda: fleet.pids("job"))
        fleet.proxies["a"].forget()
        (before,) = fleet.workers("a")
        began = time.monotonic()
        assert until(lambda: fleet.workers("a")[0].heartbeat_at > before.heartbeat_at + 3000)
        figures(another_heartbeat_after=time.monotonic() - began)
        assert fleet.job("j").state == PROCESSING
        assert fleet.workers("a")[0].id == worker.id


def test_a_slow_network_costs_no_lease_and_many_jobs_share_a_round_trip() -> None:
    with Fleet(lease_seconds="10") as fleet:
        fleet.start_tree(2, 2, host=fleet.host("far"))
        assert until(lambda: len(fleet.workers("far")) == 2)
        ids = {worker.id for worker in fleet.workers("far")}
        fleet.proxies["far"].delay = 0.2
        count = 150
        lines = "".join(json.dumps({"command": ["true"]}) + "\n" for _ in range(count))
        began = time.monotonic()
        assert fleet.ask("enqueue", "--file", "-", typed=lines)[0] == 0
        fleet.enqueue([Spec("late", "late", 1, 0.7)])
        assert until(fleet.all_ended, 60), fleet.said()
        took = time.monotonic() - began
        # One turn writes the ends of all its runs: they have its transaction.
        ((turns,),) = fleet.query("SELECT count(DISTINCT xmin::text) FROM queuectl.attempts")
        late = fleet.job("late")
        figures(jobs=count, turns=turns, took=took, a_time_limit_of_700_ms=late.duration)
        assert int(str(turns)) < count / 3
        assert late.outcome == "timeout"
        assert {worker.id for worker in fleet.workers("far")} == ids
        assert "giving up" not in fleet.said()
        assert "stuck" not in fleet.said()


def test_workers_that_hold_nothing_leave_when_told_though_the_server_is_gone(
    own_server: PostgresServer,
) -> None:
    with Fleet(own_server, lease_seconds="60") as fleet:
        tree = fleet.start_tree(1, 2, host=fleet.host_at("a", fleet.url))
        assert until(lambda: fleet.serves("a"))
        own_server.stop(signal.SIGINT)
        tree.send_signal(signal.SIGTERM)
        assert until(lambda: not fleet.pids("supervisor", "worker"), 20), fleet.said()
        own_server.start()
        specs = [Spec("next", "quick")]
        fleet.enqueue(specs)
        fleet.start_tree(1, 2, "--drain", host=fleet.hosts["a"])
        _finish(fleet, specs)


def test_a_second_signal_ends_workers_that_cannot_tell_what_they_know(
    own_server: PostgresServer,
) -> None:
    with Fleet(own_server, lease_seconds="60") as fleet:
        tree = fleet.start_tree(1, 2, host=fleet.host_at("a", fleet.url))
        assert until(lambda: fleet.serves("a"))
        specs = [Spec("j", "first 2")]
        fleet.enqueue(specs)
        assert until(lambda: len(fleet.lines()) == 1)
        own_server.stop(signal.SIGINT)
        assert until(lambda: [line[0] for line in fleet.lines()] == ["start", "stop"])

        def gone() -> bool:
            tree.send_signal(signal.SIGTERM)  # two that are pending at once are one
            return not fleet.pids("supervisor", "worker")

        assert until(gone, 20), fleet.said()
        assert "they may run again" in fleet.said()
        own_server.start()
        fleet.start_tree(1, 2, "--drain", host=fleet.hosts["a"])
        assert until(fleet.all_ended, 40), fleet.said()
        assert fleet.outcomes("j") == ["lost", "completed"]
