"""Two connections at once: one operation runs whole at every statement boundary of another.

Each race is run both ways round. Where the second operation would have to wait for the
first (a lock), it runs after it instead, as it would in life.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from queuectl.errors import QueuectlError, StoreError
from queuectl.model import Chunk, Claim, OutputPart
from queuectl.store.base import Store

from .backends import SqliteBackend
from .helpers import LivingWorker, add, audit, the_end


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


# -- what several races are made of --------------------------------------------------------


def a_runs_x(scene: Scene) -> None:
    """Worker a runs job x, for which `child` waits."""
    add(scene.one, "x", base=0)
    add(scene.one, "child", after=("x",))
    scene.claims = scene.a.claim(1)


def finish_x(kind: str) -> Operation:
    def operation(scene: Scene) -> Any:
        claim = scene.claims[0]
        output = OutputPart(claim.token, [Chunk(1, 1, 0, b"out")])
        return scene.a.turn(the_end(claim, kind, output=output))

    return operation
