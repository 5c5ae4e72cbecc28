"""Plans from when there was nothing serve as well when there is much."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from postgres_server import PostgresServer
from queuectl.model import COMPLETED
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.arrays import columns
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.engine import _end_of
from store.helpers import HOUR, T0, a_job, living_worker, the_end

from .explained import END, OF_A_CLAIM, OF_ENDS, Cost

_OF_TURNS_AND_SCREENS = {
    "claim": OF_A_CLAIM,
    "finish": OF_ENDS,
    "refused": "bigint[], text[], bigint[]",
    "line_up": "text, bigint, bigint, bigint, bigint",
    "look": "text",
    "give_back": "text, bigint[], bigint",
    "handed": "text, integer[]",
    "held_by": "text",
    "settle_waiting": "bigint[], bigint, text",
    "list_all": "text, bigint, bigint, bigint, bigint",
    "list_states": "text, bigint, bigint, bigint, text[], bigint",
    "list_tag": "text, bigint, bigint, bigint, text[], bigint, text",
    "list_dead": "text, bigint, bigint, bigint, text, bigint, bigint",
    "recent_runs": "bigint",
}


@pytest.mark.parametrize("analyzed", [False, True])
def test_a_plan_made_while_the_store_was_empty_does_when_it_is_full(
    server: PostgresServer, tmp_path: Path, analyzed: bool
) -> None:
    """A worker keeps its plans, and the statistics may be a minute behind."""
    name = server.new_database()
    with (
        PostgresStore(server.url(name), str(tmp_path / "home")) as store,
        living_worker(store, "w") as worker,
        psycopg.connect(
            server.url(name),
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.RawCursor,
        ) as connection,
    ):
        connection.execute(sql("begin"), ("60s", "60s", "60s", False))
        if analyzed:
            connection.execute("ANALYZE")
        for statement, types in _OF_TURNS_AND_SCREENS.items():
            connection.execute(f"PREPARE {statement} ({types}) AS {sql(statement)}".encode())
            nothing = ", ".join(["NULL"] * len(types.split(",")))
            connection.execute(f"EXECUTE {statement} ({nothing})".encode())
        flood = f"EXECUTE line_up ('w', {T0 + HOUR}, 0, 20, 96)"  # more is due than those 0
        for _ in range(10):  # then the plan is for any values
            connection.execute(flood.encode())
        store.enqueue([a_job(priority=n % 10 + 1) for n in range(8_000)], T0)
        with living_worker(store) as other:
            other.turn(*[the_end(claim) for claim in other.claim(2_000)])
            other.claim(2_000)
            claims = worker.claim(8)
            ends = columns([_end_of(the_end(claim)) for claim in claims])
            tokens = [claim.token for claim in claims]
            connection.execute("UPDATE queuectl.workers SET handed = $1", tokens[:1])
            given = {
                "claim": f"'w', {T0}, 16, 16, 0, 80, '{{}}', 1, 5000, 0",
                "finish": ", ".join(f"'{value}'" for value in ("w", *ends)),
                "refused": f"ARRAY{tokens}, ARRAY{[COMPLETED] * 8}, ARRAY{[T0] * 8}",
                "line_up": f"'w', {T0}, 500, 20, 96",
                "give_back": f"'w', ARRAY{tokens}, {T0}",
                "handed": "'w', '{}'",
                "settle_waiting": f"ARRAY{[claim.seq for claim in claims]}, {T0}, NULL",
                "list_all": f"'default', 0, NULL, 50, {END}",
                "list_states": f"NULL, NULL, NULL, 50, '{{pending,completed}}', {END}",
                "list_tag": f"NULL, NULL, NULL, 50, '{{pending,completed}}', {END}, 'none'",
                "list_dead": f"NULL, NULL, NULL, 50, NULL, {END}, {END}",
                "recent_runs": "50",
            }
            for statement in _OF_TURNS_AND_SCREENS:
                values = given.get(statement, "'w'")
                explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {statement}"
                with connection.transaction(force_rollback=True):
                    ((found,),) = connection.execute(f"{explain} ({values})".encode())
                cost = Cost(found[0])
                assert cost.rows < 500, statement  # the unfolded counts among them
                assert cost.pages < 1_000, statement
            later = [a_job(priority=n % 3 + 1, run_at=T0 + HOUR) for n in range(8_000)]
            store.enqueue(later, T0)
            with connection.transaction(force_rollback=True):
                explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {flood}"
                ((found,),) = connection.execute(explain.encode())
            assert Cost(found[0]).pages < 1_000
        worker.turn(*[the_end(claim) for claim in claims])
    server.drop_database(name)
