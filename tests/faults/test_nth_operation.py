"""Fail the Nth operation, N = 1, 2, 3 … until all goes well: of the store's on its files,
and of a worker's on the way through its turn."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import apsw
import pytest

from .arena import Arena, Spec, until
from .checker import check, check_nothing_left
from .inject.faulty import FaultyVFS
from .storescript import STEPS, Stage, a_stage, forked, run_on_after_trouble, run_steps


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with a_stage() as stage:
        yield stage


class At:
    """Does something at the Nth change of a file (or, if asked, the Nth look at one)."""

    def __init__(self, n: int, act: Callable[[], None], *, reads: bool = False) -> None:
        self._left = n
        self._act = act
        self._reads = reads
        self.reached = False

    def __call__(self, operation: str, _path: str, _data: object, _offset: int) -> None:
        if operation == "read" and not self._reads:
            return
        self._left -= 1
        if self._left == 0:
            self.reached = True
            self._act()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _io_error() -> None:
    raise apsw.IOError("injected")


def _full() -> None:
    raise apsw.FullError("injected")


def test_a_process_killed_at_any_change_of_a_file_leaves_whole_operations(stage: Stage) -> None:
    for n in range(1, 2000):
        url = stage.fresh()

        def work(done: Callable[[], None], url: str = url, n: int = n) -> None:
            vfs = FaultyVFS(At(n, _die))
            run_steps(url, done)
            vfs.unregister()

        result = forked(work)
        assert not result.failed, result.said
        stage.expect(url, result.acked, f"killed at operation {n}")
        if not result.died:
            assert result.acked == len(STEPS)
            assert n > 100, "the hook was hardly asked"
            return
    pytest.fail("never clean")


@pytest.mark.parametrize(
    ("act", "reads"), [(_io_error, True), (_full, False)], ids=["I/O error", "disk full"]
)
def test_an_operation_that_meets_an_error_did_all_or_nothing_and_the_store_goes_on(
    stage: Stage, act: Callable[[], None], reads: bool
) -> None:
    for n in range(1, 3000):
        url = stage.fresh()

        def work(done: Callable[[], None], url: str = url, n: int = n) -> None:
            vfs = FaultyVFS(At(n, act, reads=reads))
            run_on_after_trouble(url, done)
            vfs.unregister()

        result = forked(work)
        assert not (result.failed or result.died), f"operation {n}: {result.said}"
        if result.acked == len(STEPS):
            assert n > 100, "the hook was hardly asked"
            return
        _without_the_mark(url)
        stage.expect(url, result.acked, f"error at operation {n}")
    pytest.fail("never clean")


def _without_the_mark(url: str) -> None:
    connection = apsw.Connection(url)
    connection.execute("DELETE FROM config WHERE key = 'output_limit'")
    connection.close()


POINTS = (
    "worker.registered",
    "turn.asked",
    "turn.done",
    "turn.known",
    "start.noted",
    "start.spawned",
    "run.over",
    "worker.leaving",
)
_JOBS = [
    Spec("one", "quick"),
    Spec("two", "quick"),
    Spec("once", "quick", 1),
    Spec("again", "flaky 1"),
    Spec("last", "quick", after=("again",)),
]


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_at_any_point_of_its_turn_breaks_no_promise(point: str) -> None:
    for n in range(1, 30):
        with Arena(worker_poll_interval="0.05", backoff_base="0") as arena:
            assert arena.enqueue(_JOBS) == 0
            code = arena.start_worker(fault=f"{point}:{n}").wait(30)
            assert check(arena, _JOBS, all_ended=code == 0) == [], f"{point}:{n}"
            if code != 0:
                assert code == -signal.SIGKILL
                _drain(arena, f"{point}:{n}")
        if code == 0:
            return
        if n >= 2 and point != "start.spawned":
            return  # the rest is for `make chaos`
    pytest.fail("never clean")


@pytest.mark.parametrize("point", ["rescue.ended", "rescue.settled"])
def test_a_rescuer_killed_at_work_leaves_a_rescue_for_the_next(point: str) -> None:
    with Arena(worker_poll_interval="0.05", backoff_base="0") as arena:
        specs = [*_JOBS, Spec("long", "nap 0.3"), Spec("long once", "nap 0.3", 1)]
        specs[-1] = specs[-1]._replace(id="long-once")
        assert arena.enqueue(specs) == 0
        assert arena.start_worker(fault="start.spawned:3").wait(30) == -signal.SIGKILL
        assert arena.start_worker(fault=f"{point}:1").wait(30) == -signal.SIGKILL
        assert check(arena, specs, all_ended=False) == []
        _drain(arena, point, specs)


def _drain(arena: Arena, what: str, specs: list[Spec] | None = None) -> None:
    child = arena.start_worker()
    assert child.wait(30) == 0, what
    assert until(lambda: not arena.processes()), what
    assert check(arena, specs or _JOBS) == [], what
    assert arena.run("worker", "stop") == 0  # takes in the dead that had held nothing
    assert check_nothing_left(arena) == [], what


def test_an_enqueue_killed_at_any_change_of_a_file_added_all_or_nothing() -> None:
    with Arena() as arena:
        for n in range(1, 60):
            batch = [Spec(f"b{n}-{i}", "quick") for i in range(3)]
            code = arena.enqueue(batch, die=n)
            there = {row[0] for row in arena.query("SELECT id FROM jobs")}
            found = sum(spec.id in there for spec in batch)
            if code == 0:
                assert found == 3
                return
            assert code == -signal.SIGKILL
            assert found in (0, 3), f"killed at operation {n}"
    pytest.fail("never clean")
