"""Races for jobs: those that come, wait and go, and what is read meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from queuectl.errors import JobExists, JobNotFound
from queuectl.model import CANCELLED, COMPLETED, FAILED, PENDING, Filter
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import T0, a_job, add, ids, states
from .races import Operation, Scene, a_runs_x, finish_x, history, races

# -- jobs in, and jobs that wait -----------------------------------------------------------


def test_the_same_id_enqueued_twice_is_accepted_once(backend: SqliteBackend) -> None:
    def enqueue(name: str) -> Operation:
        return lambda scene: scene.stores[name].enqueue(
            [a_job(), a_job("x", queue="new", command=name)], T0
        )

    for race in races(backend, lambda _scene: None, enqueue("a"), enqueue("b")):
        refused = [name for name in "ab" if isinstance(race.results[name], JobExists)]
        assert len(refused) == 1
        assert race.one.get("x").command != refused[0]
        assert len(race.one.list_jobs(Filter())) == 2


def test_made_up_ids_of_two_enqueuers_never_meet(backend: SqliteBackend) -> None:
    def enqueue(name: str) -> Operation:
        return lambda scene: scene.stores[name].enqueue([a_job(), a_job()], T0)

    def somebody_chose_j3(scene: Scene) -> None:
        add(scene.one, "j3")

    for race in races(backend, somebody_chose_j3, enqueue("a"), enqueue("b")):
        assert len({*race.a, *race.b, "j3"}) == 5


@pytest.mark.parametrize("kind", [COMPLETED, FAILED, CANCELLED])
def test_a_job_enqueued_after_one_that_is_just_ending_is_never_left_waiting(
    backend: SqliteBackend, kind: str
) -> None:
    def a_runs_its_only_attempt(scene: Scene) -> None:
        add(scene.one, "x", max_retries=1)
        scene.claims = scene.a.claim(1)

    for race in races(
        backend,
        a_runs_its_only_attempt,
        finish_x(kind),
        lambda scene: add(scene.stores["b"], "late", after=("x",)),
    ):
        if kind == COMPLETED:
            assert ids(race.scene.b.claim(1)) == ["late"]
        else:
            assert states(race.one)["late"] == CANCELLED


def x_has_completed(scene: Scene) -> None:
    add(scene.one, "x", "old")
    for claim in scene.a.claim(2):
        scene.a.finish(claim)


def test_a_job_enqueued_after_one_that_is_being_pruned_is_refused_or_runs(
    backend: SqliteBackend,
) -> None:
    for race in races(
        backend,
        x_has_completed,
        lambda scene: add(scene.stores["a"], "late", after=("x",)),
        lambda scene: scene.stores["b"].prune(T0 + 1, 10),
    ):
        assert race.b == 2
        if isinstance(race.a, JobNotFound):
            assert states(race.one) == {}
        else:
            assert states(race.one) == {"late": PENDING}
            assert ids(race.scene.b.claim(1)) == ["late"]


def test_a_job_enqueued_after_one_that_is_being_deleted_is_refused_or_cancelled(
    backend: SqliteBackend,
) -> None:
    for race in races(
        backend,
        lambda scene: add(scene.one, "x"),
        lambda scene: add(scene.stores["a"], "late", after=("x",)),
        lambda scene: scene.stores["b"].delete(["x"], T0),
    ):
        gone = isinstance(race.a, JobNotFound)
        assert states(race.one) == ({} if gone else {"late": CANCELLED})


def test_the_id_of_a_pruned_job_is_taken_or_free_never_half(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        x_has_completed,
        lambda scene: add(scene.stores["a"], "x"),
        lambda scene: scene.stores["b"].prune(T0 + 1, 10),
    ):
        accepted = not isinstance(race.a, JobExists)
        assert states(race.one) == ({"x": PENDING} if accepted else {})
        assert not accepted or history(race.one, "x") == []


def test_a_job_is_run_again_or_pruned_never_both(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        x_has_completed,
        lambda scene: scene.stores["a"].retry(["x"], T0, again=True),
        lambda scene: scene.stores["b"].prune(T0 + 1, 10),
    ):
        if isinstance(race.a, JobNotFound):
            assert (race.b, states(race.one)) == (2, {})
        else:
            assert (race.b, states(race.one)) == (1, {"x": PENDING})


def test_two_prunes_remove_each_job_once(backend: SqliteBackend) -> None:
    for race in races(
        backend,
        x_has_completed,
        lambda scene: scene.stores["a"].prune(T0 + 1, 10),
        lambda scene: scene.stores["b"].prune(T0 + 1, 10),
    ):
        assert sorted((race.a, race.b)) == [0, 2]


# -- reading -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.get("x"),
        lambda store: store.history("x"),
        lambda store: store.stats(),
        lambda store: store.metrics(10),
        lambda store: store.list_jobs(Filter(states=(COMPLETED, PENDING))),
        lambda store: store.workers(),
    ],
    ids=["get", "history", "stats", "metrics", "list_jobs", "workers"],
)
def test_what_is_read_is_of_one_moment(
    backend: SqliteBackend, read: Callable[[Store], Any]
) -> None:
    """Either as it was before a change, or as it is after it."""
    before = None

    def a_runs_x_and_it_is_read(scene: Scene) -> None:
        nonlocal before
        a_runs_x(scene)
        before = read(scene.one)

    for race in races(
        backend,
        a_runs_x_and_it_is_read,
        finish_x(COMPLETED),
        lambda scene: read(scene.stores["b"]),
    ):
        after = read(race.one)
        assert before != after
        assert race.b in (before, after)
