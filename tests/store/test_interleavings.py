"""Two connections at once: one operation runs whole at every statement boundary of another.

Each race is run both ways round. Where the second operation would have to wait for the
first (a lock), it runs after it instead, as it would in life.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from queuectl.errors import JobExists, JobNotFound, QueuectlError, StoreError, WorkerGone
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    LOST,
    PENDING,
    PROCESSING,
    Chunk,
    Claim,
    Filter,
    OutputPart,
    Want,
)
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import T0, LivingWorker, a_job, add, audit, ids, living_worker, states, the_end


class Scene:
    """A store with two connections and, on each, a worker."""

    def __init__(self, backend: SqliteBackend, stack: contextlib.ExitStack) -> None:
        url = backend.new_url()
        stack.callback(backend.remove, url)
        self.one = backend.open(url)
        self.stores = {"a": backend.open_hasty(url), "b": backend.open_hasty(url)}
        self.workers: dict[str, LivingWorker] = {}
        for name, store in self.stores.items():
            self.workers[name] = LivingWorker(store)
            stack.callback(self.workers[name].leave)
        for store in (self.one, *self.stores.values()):
            stack.callback(store.close)
        self.claims: list[Claim] = []

    @property
    def a(self) -> LivingWorker:
        return self.workers["a"]

    @property
    def b(self) -> LivingWorker:
        return self.workers["b"]


@dataclass
class Race:
    """How one interleaving went: what `a` and `b` returned, or the error they raised."""

    scene: Scene
    results: dict[str, Any]

    @property
    def one(self) -> Store:
        return self.scene.one

    @property
    def a(self) -> Any:
        return self.results["a"]

    @property
    def b(self) -> Any:
        return self.results["b"]


Operation = Callable[[Scene], Any]


def races(
    backend: SqliteBackend, prepare: Callable[[Scene], object], a: Operation, b: Operation
) -> Iterator[Race]:
    """Every interleaving of `a`, which uses connection a, and `b`, which uses connection b."""
    operations = {"a": a, "b": b}
    for outer, inner in (("a", "b"), ("b", "a")):
        point, statements = 0, 1
        while point < statements:
            with contextlib.ExitStack() as stack:
                scene = Scene(backend, stack)
                prepare(scene)
                results: dict[str, Any] = {}
                statements = _run(backend, scene, operations, (outer, inner), point, results)
                yield Race(scene, results)
                audit(scene.one)
            point += 1
        assert point > 1, f"{outer} has no statements to come between"


def _run(
    backend: SqliteBackend,
    scene: Scene,
    operations: dict[str, Operation],
    order: tuple[str, str],
    point: int,
    results: dict[str, Any],
) -> int:
    """Run `inner` before statement number `point` of `outer`; how many statements it has."""
    outer, inner = order
    seen = 0

    def come_between() -> None:
        nonlocal seen
        seen += 1
        if seen == point + 1:
            with contextlib.suppress(StoreError):  # it would wait: it runs after
                results[inner] = _result(operations[inner], scene)

    with backend.before_each_statement(scene.stores[outer], come_between):
        results[outer] = _result(operations[outer], scene)
    if inner not in results:
        results[inner] = _result(operations[inner], scene)
    return seen


def _result(operation: Operation, scene: Scene) -> Any:
    try:
        return operation(scene)
    except StoreError:
        raise
    except QueuectlError as error:
        return error


def history(store: Store, id: str) -> list[tuple[str, bool]]:
    return [(run.outcome, run.charged) for run in store.history(id)]


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


def a_runs_x(scene: Scene) -> None:
    """Worker a runs job x, for which `child` waits, and its process is gone."""
    add(scene.one, "x", base=0)
    add(scene.one, "child", after=("x",))
    scene.claims = scene.a.claim(1)


def a_is_gone(scene: Scene) -> None:
    a_runs_x(scene)
    scene.a.die()


def finish_x(kind: str) -> Operation:
    def operation(scene: Scene) -> Any:
        claim = scene.claims[0]
        output = OutputPart(claim.token, [Chunk(1, 1, 0, b"out")])
        return scene.a.turn(the_end(claim, kind, output=output))

    return operation


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
        with living_worker(scene.one, "late") as late:
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
        with living_worker(scene.one, "late") as late:
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
