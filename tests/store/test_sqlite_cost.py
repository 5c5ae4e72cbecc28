"""What an operation costs does not grow with what lies in the store (P7).

Cost is counted in steps of SQLite's virtual machine, which no load on the machine changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import apsw
import pytest

from queuectl.cli import status
from queuectl.cli.screens.layout import Look
from queuectl.model import (
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
    Chunk,
    Filter,
    OutputPart,
)
from queuectl.store.base import PROMOTED_A_TURN
from queuectl.store.sqlite.whole import SqliteStore

from .helpers import HOUR, T0, LivingWorker, a_job, add, living_worker, the_end

FEW, MANY = 20, 2_000


def filled(folder: Path, each: int) -> SqliteStore:
    """A store with this many jobs of each kind that must not matter, and four that are due."""
    store = SqliteStore(str(folder / f"{each}.db"), str(folder / "logs"))
    with living_worker(store) as worker:
        store.enqueue([a_job(queue="lone", priority=1)], T0)
        store.enqueue([a_job(max_retries=1, tags=("t",)) for _ in range(3 * each)], T0)
        claims = worker.claim(3 * each)
        kinds = (COMPLETED, FAILED, "cancelled")
        worker.turn(*[the_end(claim, kinds[n % 3]) for n, claim in enumerate(claims)])
        store.enqueue([a_job(base=1_000_000) for _ in range(each)], T0)
        worker.turn(*[the_end(claim, FAILED) for claim in worker.claim(each)])
        store.unregister(worker.id)
    store.enqueue([a_job(run_at=T0 + HOUR + n) for n in range(each)], T0)
    store.set_queue("paused", paused=True)
    store.enqueue([a_job(queue="paused", priority=10) for _ in range(each)], T0)
    store.set_queue("full", limit=1)
    store.enqueue([a_job(queue="full", priority=9) for _ in range(each)], T0)
    with_many = store.enqueue([a_job(queue="paused")], T0)[0]
    store.enqueue([a_job(after=(with_many,)) for _ in range(each)], T0)
    store.set_queue("late", paused=True)
    add(store, "late", queue="late")
    add(store, "x", "y", "z")
    return store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cost")


@pytest.fixture(scope="module")
def both(folder: Path) -> Iterator[dict[int, tuple[SqliteStore, LivingWorker]]]:
    """A store with few such jobs and one with many; a worker each, which runs one of `full`."""
    stores = {each: filled(folder, each) for each in (FEW, MANY)}
    workers = {each: LivingWorker(store) for each, store in stores.items()}
    for worker in workers.values():
        assert worker.claim_one().queue == "full"
    yield {each: (stores[each], workers[each]) for each in stores}
    for each, store in stores.items():
        workers[each].leave()
        store.close()


def steps(store: SqliteStore, operation: Callable[[], object]) -> int:
    """How many steps of the virtual machine this takes."""
    count = 0

    def step() -> bool:
        nonlocal count
        count += 1
        return False

    connection = store._db.connection
    connection.set_progress_handler(step, 1)
    try:
        operation()
    finally:
        connection.set_progress_handler(None)
    return count


Operation = Callable[[SqliteStore, LivingWorker], object]
OPERATIONS: dict[str, Operation] = {
    "enqueue": lambda store, _worker: store.enqueue([a_job()], T0),
    "enqueue with an id": lambda store, _worker: add(store, "new"),
    "claim": lambda _store, worker: worker.claim_one(),
    "claim and finish": lambda _store, worker: worker.run_one(),
    "idle turn": lambda _store, worker: worker.turn(),
    "status --json": lambda store, _worker: (store.stats(), store.workers()),
    "status": lambda store, _worker: status._whole_screen(store, Look()),
    "get": lambda store, _worker: store.get("z"),
    "list": lambda store, _worker: store.list_jobs(Filter(limit=10)),
    "list dead": lambda store, _worker: store.list_jobs(Filter(states=(DEAD,), limit=10)),
    "list running": lambda store, _worker: store.list_jobs(Filter(states=(PROCESSING,))),
    "list failed": lambda store, _worker: store.list_jobs(Filter(states=(FAILED,), limit=10)),
    "list a queue": lambda store, _worker: store.list_jobs(Filter(queue="late")),
    "list pending of a queue": lambda store, _worker: store.list_jobs(
        Filter(queue="late", states=(PENDING, FAILED))
    ),
    "list what a queue has none of": lambda store, _worker: store.list_jobs(
        Filter(queue="late", states=(COMPLETED,), limit=10)
    ),
    "ids that begin so": lambda store, _worker: store.ids_like("x", (), 10),
    "tags that begin so": lambda store, _worker: store.tags_like("t", 10),
    "list a tag": lambda store, _worker: store.list_jobs(Filter(tag="t", limit=10)),
    "history": lambda store, _worker: store.history("z"),
    "cancel": lambda store, _worker: store.cancel(["z"], T0),
    "retry": lambda store, _worker: store.retry(["z"], T0),
    "prune": lambda store, _worker: store.prune(T0 + 1, 5),
    "delete": lambda store, _worker: store.delete(["z"], T0),
    "held": lambda _store, worker: worker.held(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_cost_does_not_grow_with_what_lies_in_the_store(
    both: dict[int, tuple[SqliteStore, LivingWorker]], name: str
) -> None:
    cost = {
        each: steps(store, lambda s=store, w=worker: OPERATIONS[name](s, w))
        for each, (store, worker) in both.items()
    }
    assert cost[FEW] > 10
    assert cost[MANY] <= cost[FEW] * 1.05 + 20, cost


@pytest.mark.parametrize(
    "which",
    [Filter(), Filter(states=(PENDING, FAILED, DEAD)), Filter(tag="t")],
)
def test_a_part_far_down_a_list_costs_what_the_first_one_does(
    both: dict[int, tuple[SqliteStore, LivingWorker]], which: Filter
) -> None:
    store, _worker = both[MANY]
    whole = store.list_jobs(which)
    last = whole[-20]
    first_part = which.replace(limit=10)
    cost = steps(store, lambda: store.list_jobs(first_part))
    far_down = first_part.replace(beyond=(last.finished_at or 0, last.seq))
    assert store.list_jobs(far_down) == whole[-19:-9]
    assert steps(store, lambda: store.list_jobs(far_down)) <= cost * 1.3 + 20


def test_made_up_ids_cost_no_more_than_they_have_digits(
    both: dict[int, tuple[SqliteStore, LivingWorker]],
) -> None:
    store, _worker = both[MANY]
    assert steps(store, lambda: store.ids_like("j", (), 10)) < MANY * 3


def test_made_up_ids_are_looked_for_among_so_many_chosen_ones_and_no_more(
    tmp_path: Path,
) -> None:
    with SqliteStore(str(tmp_path / "q.db"), "") as store:
        store.enqueue([a_job(f"run-{n}") for n in range(25_000)], T0)
        before = steps(store, lambda: store.ids_like("j", (), 10))
        store.enqueue([a_job(f"more-{n}") for n in range(10_000)], T0)
        assert steps(store, lambda: store.ids_like("j", (), 10)) <= before + 20


def test_a_workers_turns_compile_no_statement_anew(tmp_path: Path) -> None:
    with SqliteStore(str(tmp_path / "q.db"), "") as store, living_worker(store) as worker:
        add(store, *map(str, range(300)))

        def turn_of_64() -> None:
            worker.turn(*map(the_end, worker.claim(64)))

        compiled: list[object] = []

        def note(*what: object) -> int:
            compiled.append(what)
            return apsw.SQLITE_OK

        store._db.connection.authorizer = note  # asked whenever a statement is compiled
        turn_of_64()
        assert compiled
        compiled.clear()
        for _ in range(3):
            turn_of_64()
        assert compiled == []


def statements(store: SqliteStore, operation: Callable[[], object]) -> int:
    """How many statements this executes: each holds the writer for Python's part of it."""
    count = 0

    def note(*_what: object) -> bool:
        nonlocal count
        count += 1
        return True

    store._db.connection.exec_trace = note
    try:
        operation()
    finally:
        store._db.connection.exec_trace = None
    return count


@pytest.mark.parametrize("verb", ["finish", "fail", "cancel", "delete"])
def test_as_many_as_wait_for_one_job_are_settled_in_the_same_few_statements(
    tmp_path: Path, verb: str
) -> None:
    with SqliteStore(str(tmp_path / "q.db"), "") as store, living_worker(store) as worker:
        count = {}
        for each in (FEW, MANY):
            add(store, f"need{each}", max_retries=1)
            store.enqueue([a_job(after=(f"need{each}",)) for _ in range(each)], T0)
            if verb in ("finish", "fail"):
                end = the_end(worker.claim_one(), COMPLETED if verb == "finish" else FAILED)
                count[each] = statements(store, lambda end=end: worker.turn(end))
                store.set_queue("default", paused=True)
                left = store.list_jobs(Filter(states=(PENDING,)))
                assert len(left) == (each if verb == "finish" else 0)
                store.delete([job.id for job in left], T0)
                store.set_queue("default", paused=False)
            else:
                do = getattr(store, verb)
                count[each] = statements(store, lambda do=do, n=each: do([f"need{n}"], T0))
                assert not store.list_jobs(Filter(states=(PENDING,)))
        assert count[MANY] == count[FEW]


def test_a_claim_costs_no_statement_for_queues_with_nothing_to_claim(tmp_path: Path) -> None:
    with SqliteStore(str(tmp_path / "q.db"), "") as store, living_worker(store) as worker:
        add(store, "a", "b", "c", "d", "e")
        count = statements(store, worker.run_one)
        done = store.enqueue([a_job(queue=f"q{n}", run_at=T0 + HOUR) for n in range(200)], T0)
        store.cancel(done, T0)
        assert statements(store, worker.run_one) <= count
        worker.claim(3)
        drained = statements(store, worker.turn)
        assert drained <= count


def test_what_falls_due_in_many_queues_is_made_ready_in_measure(tmp_path: Path) -> None:
    with SqliteStore(str(tmp_path / "q.db"), "") as store, living_worker(store) as worker:
        store.enqueue([a_job(queue=f"q{n % 50}", run_at=T0 + HOUR) for n in range(2_000)], T0)
        assert len(worker.claim(20, now=T0 + HOUR)) == 20
        ready = store._db.execute("SELECT count(*) FROM jobs WHERE ready = 1").get
        assert ready <= PROMOTED_A_TURN


@pytest.mark.parametrize("verb", ["delete", "prune"])
def test_jobs_that_are_gone_leave_nothing_behind(tmp_path: Path, verb: str) -> None:
    with SqliteStore(str(tmp_path / "q.db"), "") as store, living_worker(store) as worker:
        add(store, "a", "b", max_retries=2, base=0, tags=("t", "u"), env={"A": "1"})
        add(store, "c", "d", after=("a", "b"), tags=("t",))
        for claim in worker.claim(2):
            output = OutputPart(claim.token, [Chunk(1, 1, 0, b"out"), Chunk(2, 2, 0, b"err")])
            worker.turn(the_end(claim, FAILED, output=output))
        worker.run_one(FAILED)
        worker.run_one(FAILED)
        if verb == "prune":
            assert store.prune(T0 + 1, 10) == 4
        else:
            store.delete(["a", "c", "b", "d"], T0)
        tables = ("jobs", "specs", "tags", "waits", "attempts", "output")
        left = {
            table: store._db.connection.execute(f"SELECT count(*) FROM {table}").get  # noqa: S608 - names above
            for table in tables
        }
        assert left == dict.fromkeys(tables, 0)
