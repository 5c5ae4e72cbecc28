"""Races for runs: claims, ends and rescues, and what comes between them."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl.errors import WorkerGone
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, LOST, PENDING, PROCESSING, Want

from .backends import SqliteBackend
from .helpers import T0, add, ids, living_worker, states, the_end
from .races import Operation, Scene, a_runs_x, finish_x, history, races

# -- claims ------------------------------------------------------------------------------


def test_two_claims_never_take_the_same_job(backend: SqliteBackend) -> None:
    def three_jobs(scene: Scene) -> None:
        add(scene.one, "x", "y", "z")

    for race in races(
        backend, three_jobs, lambda scene: scene.a.claim(2), lambda scene: scene.b.claim(2)
    ):
        assert sorted(ids(race.a) + ids(race.b)) == ["x", "y", "z"]
        assert len({claim.token for claim in race.a + race.b}) == 3


def test_two_claims_never_go_beyond_the_limit(backend: SqliteBackend) -> None:
    def one_at_a_time(scene: Scene) -> None:
        scene.one.set_queue("default", limit=1)
        add(scene.one, "x", "y", "z")

    for race in races(
        backend, one_at_a_time, lambda scene: scene.a.claim(2), lambda scene: scene.b.claim(2)
    ):
        assert ids(race.a) + ids(race.b) == ["x"]


def test_a_job_that_falls_due_is_claimed_once(backend: SqliteBackend) -> None:
    def due_later(scene: Scene) -> None:
        add(scene.one, "x", run_at=T0 + 1)

    for race in races(
        backend,
        due_later,
        lambda scene: scene.a.claim(1, now=T0 + 1),
        lambda scene: scene.b.claim(1, now=T0 + 1),
    ):
        assert ids(race.a) + ids(race.b) == ["x"]


def test_a_job_enqueued_during_a_claim_is_claimed_now_or_next(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        lambda scene: add(scene.one, "x"),
        lambda scene: scene.a.claim(2),
        lambda scene: add(scene.stores["b"], "y"),
    ):
        assert ids(race.a) + ids(race.scene.a.claim(2)) == ["x", "y"]


def test_a_claimed_job_is_cancelled_by_its_worker_or_never_claimed(
    backend: SqliteBackend,
) -> None:
    for race in races(
        backend,
        lambda scene: add(scene.one, "x"),
        lambda scene: scene.a.claim(1),
        lambda scene: scene.stores["b"].cancel(["x"], T0),
    ):
        (change,) = race.b
        if race.a:
            assert (change.result, states(race.one)) == ("asked", {"x": PROCESSING})
            assert list(race.scene.a.turn().cancels) == [race.a[0].token]
        else:
            assert (change.result, states(race.one)) == ("done", {"x": CANCELLED})


def test_a_job_is_claimed_or_deleted_never_both(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        lambda scene: add(scene.one, "x"),
        lambda scene: scene.a.claim(1),
        lambda scene: scene.stores["b"].delete(["x"], T0),
    ):
        (change,) = race.b
        assert (change.result, set(states(race.one))) == (
            ("refused", {"x"}) if race.a else ("done", set())
        )


def test_nothing_is_claimed_once_a_pause_has_returned(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        lambda scene: add(scene.one, "x", "y"),
        lambda scene: scene.a.claim(1),
        lambda scene: scene.stores["b"].set_queue("default", paused=True),
    ):
        assert ids(race.a) in ([], ["x"])
        assert race.scene.a.claim(2) == []


# -- ends of runs --------------------------------------------------------------------------


def a_is_gone(scene: Scene) -> None:
    """The same, and the process of a is gone."""
    a_runs_x(scene)
    scene.a.die()


def rescue_a(scene: Scene) -> list[str]:
    return scene.stores["b"].rescue(scene.a.id, None, T0)


@pytest.mark.parametrize("kind", [COMPLETED, FAILED])
def test_a_run_is_finished_or_rescued_never_both(backend: SqliteBackend, kind: str) -> None:
    for race in races(backend, a_is_gone, finish_x(kind), rescue_a):
        job = race.one.get("x")
        if isinstance(race.a, WorkerGone):
            assert race.b == ["x"]
            assert history(race.one, "x") == [(LOST, True)]
            assert (job.state, job.attempts) == (FAILED, 1)
            assert race.one.read_output(race.scene.claims[0].token) == []
        else:
            assert (list(race.a.refused), race.b) == ([], [])
            assert history(race.one, "x") == [(kind, kind == FAILED)]
            assert (job.state, job.attempts) == (kind, int(kind == FAILED))
        assert [worker.id for worker in race.one.workers()] == [race.scene.b.id]


def test_a_claim_given_back_and_rescued_goes_back_once(backend: SqliteBackend) -> None:
    def give_back(scene: Scene) -> None:
        scene.stores["a"].release(scene.a.id, [scene.claims[0].token], T0)

    for race in races(backend, a_is_gone, give_back, rescue_a):
        settled = race.b
        assert settled in ([], ["x"])
        assert states(race.one)["x"] == (FAILED if settled else PENDING)
        assert history(race.one, "x") == ([(LOST, True)] if settled else [])
        assert ids(race.scene.b.claim(9)) == ["x"]


def test_two_rescuers_settle_each_job_once(backend: SqliteBackend) -> None:
    def a_third_worker_is_gone(scene: Scene) -> None:
        add(scene.one, "x", "y")
        add(scene.one, "once", max_retries=1)
        with living_worker(scene.one, "late", start_ticks=1) as late:  # no such process
            late.claim(3)

    def rescue(name: str) -> Operation:
        return lambda scene: scene.stores[name].rescue("late", None, T0)

    for race in races(backend, a_third_worker_is_gone, rescue("a"), rescue("b")):
        assert sorted([sorted(race.a), sorted(race.b)]) == [[], ["once", "x", "y"]]
        assert states(race.one) == {"x": FAILED, "y": FAILED, "once": DEAD}
        for id in ("x", "y", "once"):
            assert history(race.one, id) == [(LOST, True)]


def test_what_a_rescue_takes_back_is_claimed_by_one_other(backend: SqliteBackend) -> None:
    def rescue_unstarted(scene: Scene) -> list[str]:
        unstarted = [claim.token for claim in scene.claims]
        return scene.stores["a"].rescue("late", unstarted, T0)

    def a_third_worker_is_gone(scene: Scene) -> None:
        add(scene.one, "x", "y")
        with living_worker(scene.one, "late", start_ticks=1) as late:  # no such process
            scene.claims = late.claim(2)

    for race in races(
        backend, a_third_worker_is_gone, rescue_unstarted, lambda scene: scene.b.claim(2)
    ):
        assert ids(race.b) + ids(race.scene.b.claim(2)) == ["x", "y"]


@pytest.mark.parametrize(
    ("kind", "change_if_first", "change_if_second", "state"),
    [
        (COMPLETED, "asked", "refused", COMPLETED),
        (FAILED, "asked", "done", CANCELLED),
        (CANCELLED, "asked", "already", CANCELLED),
    ],
)
def test_a_cancel_beside_a_finish_holds_whichever_comes_first(
    backend: SqliteBackend, kind: str, change_if_first: str, change_if_second: str, state: str
) -> None:
    for race in races(
        backend,
        a_runs_x,
        finish_x(kind),
        lambda scene: scene.stores["b"].cancel(["x"], T0),
    ):
        (change,) = race.b
        assert change.result in (change_if_first, change_if_second)
        assert states(race.one)["x"] == state
        assert states(race.one)["child"] == (PENDING if state == COMPLETED else CANCELLED)
        assert history(race.one, "x") == [(kind, kind == FAILED)]
        assert list(race.scene.a.turn().cancels) == []


def test_a_finish_sent_twice_over_two_connections_counts_once(backend: SqliteBackend) -> None:
    def send(name: str) -> Operation:
        def operation(scene: Scene) -> Any:
            finish = the_end(scene.claims[0], FAILED)
            return scene.stores[name].turn(scene.a.id, [finish], [], Want(0), T0)

        return operation

    for race in races(backend, a_runs_x, send("a"), send("b")):
        assert (list(race.a.refused), list(race.b.refused)) == ([], [])
        assert history(race.one, "x") == [(FAILED, True)]
        assert race.one.metrics(0).events["failed"] == 1


def test_a_heartbeat_beside_a_rescue_renews_nothing(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        a_is_gone,
        lambda scene: scene.stores["a"].heartbeat(scene.a.id, T0 + 1),
        rescue_a,
    ):
        assert race.a is None or isinstance(race.a, WorkerGone)
        assert [worker.id for worker in race.one.workers()] == [race.scene.b.id]
