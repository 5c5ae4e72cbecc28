"""A worker on a host of its own (network, processes, name) whose link goes down: silence, no
reset."""

from __future__ import annotations

import time

from faults.arena import until
from faults.checker import check
from faults.jobs import Spec

from .fleet import figures
from .namespaces import real_hosts


def test_a_host_whose_link_goes_down_ends_its_jobs_and_then_another_host_runs_them() -> None:
    with real_hosts("a", "b") as (fleet, hosts, network):
        fleet.start_tree(1, 2, host=hosts["a"])
        assert until(lambda: _alive(fleet) == ["host-a"])
        specs = [Spec("j", "first 60"), Spec("once", "nap 60", 1)]
        fleet.enqueue(specs)
        assert until(lambda: len(fleet.lines()) == 2)
        fleet.start_tree(1, 2, host=hosts["b"])
        assert until(lambda: _alive(fleet) == ["host-a", "host-b"])
        (lease,) = [w["id"] for w in fleet.ask_json("worker", "list") if w["host"] == "host-a"]

        cut_at = time.monotonic()
        network.set_link("a", "down")
        assert until(lambda: not fleet.pids("job", host="a"), step=0.005)
        left, killed_after = fleet.lease_left(lease), time.monotonic() - cut_at
        assert left > 0
        assert until(fleet.all_ended)
        elsewhere = time.monotonic() - cut_at
        assert fleet.outcomes("j") == ["lost", "completed"]
        assert [host for _token, host in fleet.runs_on("j")] == ["a", "b"]
        assert [host for _token, host in fleet.runs_on("once")] == ["a"]
        assert fleet.job("once").state == "dead"

        network.set_link("a", "up")
        back_at = time.monotonic()
        assert until(lambda: _alive(fleet) == ["host-a", "host-b"], 40)
        figures(
            killed_after=killed_after,
            lease_left=left,
            done_elsewhere_after=elsewhere,
            back_after=time.monotonic() - back_at,
        )
        # Ends what runs on both hosts, asked from one.
        assert fleet.run("worker", "stop", "--all-hosts", host=hosts["b"]) == 0
        assert until(lambda: not fleet.pids("supervisor", "worker"))
        assert check(fleet, specs) == []


def _alive(fleet: object) -> list[str]:
    listed = fleet.ask_json("worker", "list")  # type: ignore[attr-defined]
    return sorted(each["host"] for each in listed if each["state"] == "running")
