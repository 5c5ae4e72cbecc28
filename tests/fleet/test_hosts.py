"""Hosts that stand still or end at once: others run their jobs when the lease is over."""

from __future__ import annotations

import os
import signal
import time

from faults.arena import until
from faults.checker import check, check_nothing_left
from faults.jobs import Spec

from .fleet import Fleet, figures

EVERYTHING = ("supervisor", "worker", "guard", "job")


def test_what_a_host_ran_that_stands_still_or_is_gone_runs_elsewhere_after_the_lease(
    fleet: Fleet,
) -> None:
    specs = {
        "frozen": [
            Spec("long", "first 60"),
            Spec("over", "gate"),
            Spec("once", "nap 60", 1),
        ],
        "killed": [Spec("torn", "first 60"), Spec("torn-once", "nap 60", 1)],
    }
    for name, mine in specs.items():
        fleet.start_tree(1, len(mine), host=fleet.host(name))
        assert until(lambda name=name: fleet.serves(name))
        fleet.enqueue(mine)
        assert until(lambda mine=mine: all(fleet.starts(spec.id) for spec in mine))
    leases = {name: fleet.workers(name)[0].id for name in specs}
    fleet.start_tree(1, 5, host=fleet.host("other"))
    assert until(lambda: fleet.serves("other"))

    frozen = fleet.pids(*EVERYTHING, host="frozen")
    stopped_at = time.monotonic()
    fleet.signal(signal.SIGSTOP, frozen)
    with open(os.path.join(fleet.folder, "gate"), "w", encoding="utf-8"):
        pass  # so that it ends by itself as soon as its host thaws
    while pids := fleet.pids(*EVERYTHING, host="killed"):
        fleet.signal(signal.SIGKILL, pids)
        fleet.reap()
    assert until(lambda: len(fleet.runs_on("torn")) == 2, step=0.005)
    assert fleet.lease_left(leases["killed"]) < 0
    assert until(fleet.all_ended)
    elsewhere = time.monotonic() - stopped_at
    assert fleet.lease_left(leases["frozen"]) < 0

    thawed_at = time.monotonic()
    fleet.signal(signal.SIGCONT, frozen)
    assert until(lambda: not fleet.pids("job", host="frozen"), step=0.005)
    figures(done_elsewhere_after=elsewhere, ended_after_thaw=time.monotonic() - thawed_at)
    assert until(lambda: fleet.serves("frozen"))
    for job_id in ("long", "over", "torn"):
        assert fleet.outcomes(job_id) == ["lost", "completed"]
        assert fleet.runs_on(job_id)[1][1] == "other"
    for job_id in ("once", "torn-once"):
        assert fleet.outcomes(job_id) == ["lost"]
        assert fleet.job(job_id).state == "dead"
    fleet.start_tree(1, 1, host=fleet.hosts["killed"])
    assert until(lambda: fleet.serves("killed"))
    assert fleet.stop_all()
    accepted = [spec for mine in specs.values() for spec in mine]
    assert check(fleet, accepted, frozen=lambda pid, _at: pid in frozen) == []
    assert check_nothing_left(fleet) == []


def test_jobs_that_outlive_worker_and_supervisor_end_before_the_lease_does(
    fleet: Fleet,
) -> None:
    for name in ("stopped", "killed"):
        fleet.start_tree(1, 1, host=fleet.host(name))
        assert until(lambda name=name: fleet.serves(name))
    specs = [Spec("j1", "first 60"), Spec("j2", "first 60")]
    fleet.enqueue(specs)
    assert until(lambda: fleet.pids("job", host="stopped") and fleet.pids("job", host="killed"))
    leases = {name: fleet.workers(name)[0].id for name in ("stopped", "killed")}
    fleet.start_tree(1, 2, host=fleet.host("other"))
    assert until(lambda: fleet.serves("other"))

    # A guard that is lost is replaced.
    guards = fleet.pids("guard", host="stopped")
    fleet.signal(signal.SIGKILL, guards)
    assert until(lambda: fleet.pids("guard", host="stopped") not in ([], guards))
    stopped = fleet.pids("supervisor", "worker", host="stopped")
    fleet.signal(signal.SIGSTOP, stopped)
    fleet.signal(signal.SIGKILL, fleet.pids("supervisor", "worker", host="killed"))
    left: dict[str, float] = {}

    def all_ended() -> bool:
        for name in leases.keys() - left.keys():
            if not fleet.pids("job", host=name):
                left[name] = fleet.lease_left(leases[name])
        return len(left) == len(leases)

    assert until(all_ended, step=0.005)
    assert min(left.values()) > 0, left
    assert until(fleet.all_ended)
    assert {spec.id: fleet.outcomes(spec.id) for spec in specs} == {
        spec.id: ["lost", "completed"] for spec in specs
    }
    fleet.signal(signal.SIGCONT, stopped)
    figures(lease_left={name: round(seconds, 2) for name, seconds in left.items()})
    assert until(lambda: fleet.serves("stopped"))
    assert until(lambda: not fleet.pids("guard", host="killed"))
    assert fleet.stop_all()
    assert check(fleet, specs) == []


def test_the_grace_of_what_a_dead_worker_left_ends_with_its_lease() -> None:
    with Fleet(kill_grace="60") as fleet:
        spec = Spec("deaf", "deaf 60")
        fleet.start_tree(1, 1, host=fleet.host("a"))
        assert until(lambda: fleet.serves("a"))
        fleet.enqueue([spec])
        assert until(lambda: fleet.starts("deaf") == 1)
        (worker,) = fleet.workers("a")
        # Another start of the host takes it over; nobody of its own is left to end it.
        fleet.start_tree(1, 1, host=fleet.hosts["a"])
        fleet.start_tree(1, 1, host=fleet.host("other"))
        assert until(lambda: fleet.serves("other") and len(fleet.workers("a")) == 2)
        fleet.signal(signal.SIGKILL, [worker.supervisor_pid, worker.pid])
        left = [3.0]

        def ended() -> bool:
            left.append(fleet.lease_left(worker.id))
            return not fleet.pids("job", host="a") or len(fleet.runs_on("deaf")) > 1

        assert until(ended, step=0.005)
        assert left[-2] > 0
        assert until(lambda: fleet.job("deaf").state == "completed")
        assert fleet.outcomes("deaf") == ["lost", "completed"]
        assert check(fleet, [spec]) == []


def test_a_worker_hears_of_jobs_from_other_hosts_and_again_after_it_was_cut_off() -> None:
    with Fleet(worker_poll_interval="600") as fleet:
        fleet.start_tree(1, 1, host=fleet.host("a"))
        assert until(lambda: fleet.serves("a"))
        for n in range(2):
            # Nobody looks; what was not heard of is looked for when it listens again.
            began = time.monotonic()
            assert fleet.ask("enqueue", "--json", Spec(f"j{n}", "quick").line())[0] == 0
            assert until(lambda n=n: fleet.job(f"j{n}").state == "completed")
            figures(heard_and_done_after=time.monotonic() - began)
            fleet.proxies["a"].cut()
