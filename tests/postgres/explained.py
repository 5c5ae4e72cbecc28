"""What statements read, as PostgreSQL tells it."""

from __future__ import annotations

from typing import Any

from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.database import sql

END = 2**63 - 1
"""What a list that begins at its beginning goes on after."""

OF_A_CLAIM = "text, bigint, bigint, bigint, bigint, bigint, integer[], integer, bigint, bigint"
"""Types of the values of claim.sql."""

OF_ENDS = (
    "text, bigint[], bigint[], integer[], text[], integer[], bigint[], boolean[], text[],"
    " integer[], text[], text[], bigint[], bigint[], double precision[], text[]"
)
"""Of finish.sql."""


class Cost:
    """What a statement read, by EXPLAIN ANALYZE."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.pages = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
        self.rows = 0
        self.whole_tables: set[str] = set()
        self._add(plan["Plan"])

    def _add(self, node: dict[str, Any]) -> None:
        loops = node["Actual Loops"]
        if "Relation Name" in node and loops:
            removed = node.get("Rows Removed by Filter", 0)
            self.rows += round(loops * (node["Actual Rows"] + removed))
            if node["Node Type"] == "Seq Scan":
                self.whole_tables.add(node["Relation Name"])
        for part in node.get("Plans", ()):
            self._add(part)


def explain(store: PostgresStore, name: str, values: tuple[Any, ...]) -> Cost:
    """Run the statement as a turn would, prepared or not, and roll it back."""
    with store._db.write_in_bulk():
        statement = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql(name)
        ((found,),) = store._db.execute(statement, values).fetchall()
        store._db.execute("ROLLBACK")
        store._db.execute("BEGIN")
    return Cost(found[0])


def explain_prepared(store: PostgresStore, name: str, types: str, values: str) -> Cost:
    """The same by the plan that a statement prepared for any values gets."""
    with store._db.write_in_bulk():
        store._db.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        store._db.execute(f"PREPARE measured ({types}) AS {sql(name)}")
        statement = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE measured ({values})"
        ((found,),) = store._db.execute(statement).fetchall()
        store._db.execute("DEALLOCATE measured")
        store._db.execute("ROLLBACK")
        store._db.execute("BEGIN")
    return Cost(found[0])
