"""What a claim touches does not grow with what there was, what will be, or what is paused.

A million finished jobs and 200,000 scheduled ones, made by SQL. `QUEUECTL_TEST_ROWS` is the
number of finished ones (a fifth of it are scheduled); the bounds are the same for any.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from postgres_server import PostgresServer, shared_server
from queuectl.model import Filter
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.arrays import columns
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.engine import _end_of
from store.helpers import T0, LivingWorker, a_job, living_worker, the_end

from .explained import END, OF_A_CLAIM, OF_ENDS, explain, explain_prepared

FINISHED = int(os.environ.get("QUEUECTL_TEST_ROWS", "1000000"))

_MANY = """
ALTER TABLE queuectl.jobs DISABLE TRIGGER USER;
INSERT INTO queuectl.jobs (seq, queue, priority, state, ready, due_at, max_retries,
    backoff_base, backoff_max, backoff_jitter, timeout_seconds, created_at, updated_at,
    finished_at, attempts, runs)
SELECT nextval('queuectl.seqs'), CASE WHEN kind.ready THEN 2 ELSE 1 + n % 2 END, 1 + n % 10,
    kind.state, kind.ready,
    CASE WHEN NOT kind.ready THEN {later} + n END, 3, 2, 3600, 0, 300, {t0}, {t0},
    CASE WHEN kind.ready IS NULL THEN {t0} - n END, 0, 1
FROM (VALUES ('completed', NULL::boolean, {finished}), ('dead', NULL, {dead}),
        ('pending', false, {scheduled}), ('pending', true, {paused}))
        AS kind (state, ready, how_many),
    LATERAL generate_series(1, kind.how_many) AS n;
ALTER TABLE queuectl.jobs ENABLE TRIGGER USER;
INSERT INTO queuectl.counts SELECT queue, state, count(*) FROM queuectl.jobs GROUP BY 1, 2;
"""


@pytest.fixture(scope="module")
def server() -> PostgresServer:
    return shared_server()


@pytest.fixture(scope="module")
def full_store(
    server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PostgresStore]:
    """Filled, with statistics from when it was empty, as after a rush; one queue paused."""
    name = server.new_database()
    with PostgresStore(server.url(name), str(tmp_path_factory.mktemp("home"))) as store:
        store.set_queue("closed", paused=True)
        server.run_sql("ANALYZE queuectl.jobs", name)
        script = _MANY.format(
            t0=T0,
            later=T0 + 10**9,
            finished=FINISHED,
            scheduled=FINISHED // 5,
            paused=FINISHED // 100,
            dead=FINISHED // 20,
        )
        server.run_sql(script, name)
        yield store
    server.drop_database(name)


@pytest.fixture(params=["old statistics", "fresh statistics"])
def store(request: pytest.FixtureRequest, full_store: PostgresStore) -> PostgresStore:
    if request.param == "fresh statistics":
        with full_store._db.write_in_bulk():
            full_store._db.execute("ANALYZE queuectl.jobs")
    return full_store


@pytest.fixture
def worker(store: PostgresStore) -> Iterator[LivingWorker]:
    with living_worker(store) as worker:
        yield worker
        store.release(worker.id, worker.held(), T0)
        store.unregister(worker.id)


SMALL_TABLES = {
    "queues", "workers", "counts", "count_changes", "total_changes", "captures",
}  # fmt: skip


@pytest.mark.parametrize("prepared", [False, True])
def test_a_claim_reads_what_it_takes(
    store: PostgresStore, worker: LivingWorker, prepared: bool
) -> None:
    store.enqueue([a_job(priority=n % 10 + 1) for n in range(300)], T0)
    if prepared:
        cost = explain_prepared(
            store,
            "claim",
            OF_A_CLAIM,
            f"'{worker.id}', {T0}, 16, 16, 0, 80, '{{}}', 1, 5000, 0",
        )
    else:
        cost = explain(store, "claim", (worker.id, T0, 16, 16, 0, 80, [], 1, 5_000, None))
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 400
    assert cost.pages < 3_000


def test_a_claim_that_finds_nothing_reads_nothing(
    store: PostgresStore, worker: LivingWorker
) -> None:
    while worker.claim(300):
        pass
    cost = explain(store, "claim", (worker.id, T0, 16, 16, 0, 80, [], 1, 5_000, None))
    assert cost.rows < 40
    assert cost.whole_tables <= SMALL_TABLES


@pytest.mark.parametrize("name", ["look", "line_up", "queue_counts", "oldest_due"])
def test_looking_round_reads_a_handful_of_rows(
    store: PostgresStore, worker: LivingWorker, name: str
) -> None:
    store._fold()
    line_up = (worker.id, T0, 500, 20, 96)
    values: dict[str, tuple[Any, ...]] = {"look": (worker.id,), "line_up": line_up}
    cost = explain(store, name, values.get(name, ()))
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 400
    assert cost.pages < 600


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", ["list_running", "list_dead", "list_states"])
def test_the_screens_lists_read_what_they_show(
    store: PostgresStore, worker: LivingWorker, name: str, prepared: bool
) -> None:
    store.enqueue([a_job() for _ in range(5)], T0)
    worker.claim(5)  # fewer than are asked for: whoever walks by seq goes on to the end
    types, last, values = {
        "list_running": ("text", "NULL", (None,)),
        "list_dead": ("text, bigint, bigint", f"NULL, {END}, {END}", (None, END, END)),
        "list_states": ("text[], bigint", f"'{{processing}}', {END}", (["processing"], END)),
    }[name]
    if prepared:
        types = f"text, bigint, bigint, bigint, {types}"
        cost = explain_prepared(store, name, types, f"NULL, NULL, NULL, 8, {last}")
    else:
        cost = explain(store, name, (None, None, None, 8, *values))
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 200
    assert cost.pages < 600


@pytest.mark.parametrize("name", ["list_all", "list_states", "list_dead"])
def test_a_part_far_down_a_list_reads_what_it_shows(store: PostgresStore, name: str) -> None:
    far = (T0 - FINISHED // 50, 200)
    last: dict[str, tuple[Any, ...]] = {
        "list_all": (200,),
        "list_states": (["completed", "dead"], 200),
        "list_dead": (None, *far),
    }
    cost = explain(store, name, (None, None, None, 100, *last[name]))
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 1_000
    assert cost.pages < 3_000


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", ["list_all", "list_states"])
def test_the_list_of_a_queue_reads_no_further_than_its_last_job(
    store: PostgresStore, name: str, prepared: bool
) -> None:
    store.set_queue("late", paused=True)
    store.enqueue([a_job(queue="late") for _ in range(5)], T0)
    states = name == "list_states"
    if prepared:
        types = "text, bigint, bigint, bigint" + ", text[]" * states + ", bigint"
        last = "'{pending,failed,completed}', " * states + str(END)
        cost = explain_prepared(store, name, types, f"'late', NULL, NULL, NULL, {last}")
    else:
        given = (["pending", "failed", "completed"],) if states else ()
        cost = explain(store, name, ("late", None, None, None, *given, END))
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 400
    assert cost.pages < 1_000


def test_promotion_is_bounded_however_many_are_due(
    store: PostgresStore, worker: LivingWorker
) -> None:
    cost = explain(store, "promote", (T0 + 10**10, 500))
    assert cost.pages < 500 * 20  # with the indexes that each goes into
    cost = explain(store, "line_up", (worker.id, T0 + 10**10, 500, 100, 416))
    assert cost.pages < (500 + 100) * 20 + 2 * 416 * 4  # of two queues the candidates are read


# -- statistics of a quiet time ------------------------------------------------------------


@pytest.fixture
def rush(server: PostgresServer, tmp_path: Path) -> Iterator[PostgresStore]:
    """Thousands are ready and running, of which the statistics know nothing: they are of an
    hour when all had ended. Indexes of what is ready and what runs then look like nothing,
    and cheap to read from end to end."""
    name = server.new_database()
    with PostgresStore(server.url(name), str(tmp_path / "home")) as store:
        script = _MANY.format(
            t0=T0, later=T0 + 10**9, finished=20_000, scheduled=0, paused=0, dead=0
        )
        server.run_sql(script + "ANALYZE queuectl.jobs", name)
        store.enqueue([a_job(priority=n % 10 + 1) for n in range(8_000)], T0)
        with living_worker(store) as other:
            other.claim(2_000)
            yield store
    server.drop_database(name)


@pytest.mark.parametrize("prepared", [False, True])
def test_a_claim_reads_what_it_takes_after_a_quiet_time(
    rush: PostgresStore, prepared: bool
) -> None:
    with living_worker(rush) as worker:
        if prepared:
            types = OF_A_CLAIM
            values = f"'{worker.id}', {T0}, 16, 16, 0, 80, '{{}}', 1, 5000, 0"
            cost = explain_prepared(rush, "claim", types, values)
        else:
            cost = explain(rush, "claim", (worker.id, T0, 16, 16, 0, 80, [], 1, 5_000, None))
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 400
    assert cost.pages < 3_000


@pytest.mark.parametrize("prepared", [False, True])
@pytest.mark.parametrize("name", ["finish", "give_back"])
def test_an_end_touches_its_own_job_after_a_quiet_time(
    rush: PostgresStore, name: str, prepared: bool
) -> None:
    with living_worker(rush) as worker:
        claims = worker.claim(8)
        if name == "finish":
            ends = columns([_end_of(the_end(claim)) for claim in claims])
            values: tuple[Any, ...] = (worker.id, *ends)
            types, literals = OF_ENDS, ", ".join(f"'{value}'" for value in values)
        else:
            tokens = [claim.token for claim in claims]
            values = (worker.id, tokens, T0)
            types, literals = "text, bigint[], bigint", f"'{worker.id}', ARRAY{tokens}, {T0}"
        if prepared:
            cost = explain_prepared(rush, name, types, literals)
        else:
            cost = explain(rush, name, values)
    assert cost.whole_tables <= SMALL_TABLES
    assert cost.rows < 200


_READ = """
SELECT sum(pg_stat_get_xact_tuples_returned(c.oid))
FROM pg_class c WHERE c.relnamespace = 'queuectl'::regnamespace AND c.relkind IN ('r', 'i')
"""


@pytest.mark.parametrize(
    "name",
    ["enter_turn", "settle_waiting", "promote", "line_up", "claim", "look", "hand_over"],
)
@pytest.mark.parametrize("queue", ["default", "limited lanes"])
def test_functions_read_a_handful_however_much_is_ready(
    rush: PostgresStore, queue: str, name: str
) -> None:
    """EXPLAIN does not see the rows that are read within them."""
    lanes = ["default"] if queue == "default" else [f"lane-{n}" for n in range(10)]
    for lane in lanes[1:]:
        rush.set_queue(lane, limit=3)
    rush.enqueue([a_job(queue=lane) for lane in lanes for _ in range(8_000 // len(lanes))], T0)
    with living_worker(rush) as worker:
        given: dict[str, tuple[Any, ...]] = {
            "enter_turn": (worker.id, rush._db.session, 1),
            "settle_waiting": (list(range(100)), T0, None),
            "promote": (T0, 500),
            "line_up": (worker.id, T0, 500, 20, 96),
            "look": (worker.id,),
            "claim": (worker.id, T0, 2, 2, 0, 24, [], 1, 5_000, None),
            "hand_over": (rush.list_jobs(Filter(limit=1))[0].seq, [worker.id], T0),
        }
        with rush._db.write_in_bulk():
            rush._db.execute(sql("begin"), ("60s", "60s", "60s", True))
            rush._db.execute("UPDATE queuectl.workers SET waits = 1")
            for before in (name, "line_up"):  # it may step over what is long gone
                rush._db.execute(sql(before), given[before])
            ((before,),) = rush._db.execute(_READ).fetchall()
            rush._db.execute(sql(name), given[name])
            ((after,),) = rush._db.execute(_READ).fetchall()
    running = 0 if queue == "default" else 2_000  # for all limits together, counted once
    assert after - before < running + 600


def test_made_up_ids_are_found_by_how_they_begin_among_many(store: PostgresStore) -> None:
    values = (10**5, 10**6 - 1, ["completed", "pending"], 100)
    cost = explain(store, "made_up_ids", values)
    assert cost.whole_tables == set()
    assert cost.rows <= 2 * 10_000
    assert explain(store, "ids_like", ("run-", ["completed"], 100)).rows == 0
    assert explain(store, "tags_like", ("t", 100)).rows == 0
