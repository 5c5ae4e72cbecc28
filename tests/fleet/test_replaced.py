"""A store that is taken away and made anew under its workers."""

from __future__ import annotations

from faults.arena import until
from faults.jobs import Spec

from .fleet import Fleet


def test_workers_leave_a_store_that_is_another_than_the_one_they_were_started_for() -> None:
    with Fleet(lease_seconds="15") as fleet:
        tree = fleet.start_tree(2, 1, host=fleet.host("a"))
        assert until(lambda: fleet.serves("a"))
        fleet.enqueue([Spec("old", "nap 60")])
        assert until(lambda: len(fleet.lines()) == 1)
        fleet.query("DROP SCHEMA queuectl CASCADE")
        # With its longer lease the supervisor would take its workers for stuck.
        assert fleet.ask("init-db", host=fleet.hosts["a"])[0] == 0
        assert tree.wait(40) == 5
        assert "is another store than before" in fleet.said()
        assert fleet.pids("job", host="a") == []
