"""A host that is cut off from the server ends its own jobs before its lease does, and only
then others run them."""

from __future__ import annotations

import signal
import time

from faults.arena import until
from faults.checker import check, check_nothing_left, check_now
from faults.jobs import Spec

from .fleet import Fleet, figures

CUT_OFF = ("cut", "muted", "stalled", "dead")
"""Resets and refusals; answers that don't come; silence; and a worker killed just then."""


def _cut(fleet: Fleet, name: str) -> None:
    proxy = fleet.proxies[name]
    if name == "muted":
        proxy.muted = True
    elif name == "stalled":
        proxy.stalled = True
    else:
        proxy.refuse = True
        proxy.cut()
    if name == "dead":  # its supervisor has to end its jobs: the guard can't
        fleet.signal(signal.SIGSTOP, fleet.pids("guard", host=name))
        fleet.signal(signal.SIGKILL, fleet.pids("worker", host=name))


def test_a_worker_that_is_cut_off_ends_its_jobs_in_time_and_then_others_run_them(
    fleet: Fleet,
) -> None:
    for name in CUT_OFF:
        fleet.start_tree(1, 1, host=fleet.host(name))
    other = fleet.host("other")
    specs = [Spec(f"j{n}", "first 60") for n in range(len(CUT_OFF))]
    specs[0] = specs[0]._replace(max_retries=1)
    assert until(lambda: all(fleet.workers(name) for name in CUT_OFF))
    fleet.enqueue(specs)
    assert until(lambda: all(fleet.pids("job", host=name) for name in CUT_OFF))
    leases = {name: fleet.workers(name)[0].id for name in CUT_OFF}
    fleet.start_tree(1, 4, host=other)
    assert until(lambda: fleet.workers("other"))

    left: dict[str, float] = {}
    cut_at = time.monotonic()
    for name in CUT_OFF:
        _cut(fleet, name)

    def all_killed() -> bool:
        for name in leases.keys() - left.keys():
            if not fleet.pids("job", host=name):
                left[name] = fleet.lease_left(leases[name])
        return len(left) == len(CUT_OFF)

    assert until(all_killed, 20, step=0.005)
    killed_at = time.monotonic()
    _what_it_looks_like(fleet, leases["stalled"])
    assert until(fleet.all_ended)
    taken_over = time.monotonic() - cut_at
    assert check_now(fleet) == []
    # Whoever ran first was gone while its lease still ran.
    assert min(left.values()) > 0, left
    hosts = {spec.id: [host for _token, host in fleet.runs_on(spec.id)] for spec in specs}
    once = hosts.pop("j0")
    assert len(once) == 1
    assert fleet.job("j0").state == "dead"
    assert all(run[1:] == ["other"] for run in hosts.values()), hosts
    assert all(fleet.outcomes(job_id) == ["lost", "completed"] for job_id in hosts)

    for name in CUT_OFF:
        fleet.heal(name)
    healed_at = time.monotonic()
    assert until(lambda: all(fleet.serves(name) for name in CUT_OFF), 30)
    figures(
        killed_after=killed_at - cut_at,
        lease_left={name: round(seconds, 2) for name, seconds in left.items()},
        taken_over_and_done_after=taken_over,
        all_back_after=time.monotonic() - healed_at,
    )
    assert fleet.stop_all()
    assert check(fleet, specs) == []
    assert check_nothing_left(fleet) == []


def _what_it_looks_like(fleet: Fleet, silent: str) -> None:
    """Meanwhile, from where the store can be seen and from where it can't."""
