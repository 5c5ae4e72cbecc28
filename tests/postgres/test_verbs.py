"""What is done to many jobs takes no more statements than what is done to a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from queuectl.model import CANCELLED, PENDING
from queuectl.store.postgres import PostgresStore
from store.helpers import T0, a_job, counted

MANY = 500


def _chains() -> Iterable[Sequence[str]]:
    return [(f"{n - 1}",) if n % 50 else () for n in range(MANY)]


def _fan_out() -> Iterable[Sequence[str]]:
    return [("0",) if n else () for n in range(MANY)]


def _fan_in() -> Iterable[Sequence[str]]:
    return [tuple(map(str, range(MANY - 1))) if n == MANY - 1 else () for n in range(MANY)]


@pytest.mark.parametrize("shape", [_chains, _fan_out, _fan_in])
def test_jobs_that_wait_for_each_other_are_cancelled_revived_and_deleted_in_a_few_statements(
    store: PostgresStore, shape: Callable[[], Iterable[Sequence[str]]]
) -> None:
    store.enqueue([a_job(str(n), after=tuple(a)) for n, a in enumerate(shape())], T0)
    newest_first = [str(n) for n in reversed(range(MANY))]
    sent = _count_statements(store)
    for verb, left in (
        (store.cancel, {CANCELLED: MANY}),
        (store.retry, {PENDING: MANY}),
        (store.delete, {}),
    ):
        sent.clear()
        changes = verb(newest_first, T0)
        assert {change.result for change in changes} == {"done"}
        assert len(sent) <= 15, sent
        assert counted(store) == left


def _count_statements(store: PostgresStore) -> list[str]:
    """What the store sends from now on."""
    sent: list[str] = []
    execute = store._db.execute

    def counting(statement: str, values: Sequence[Any] = ()) -> Any:
        sent.append(statement)
        return execute(statement, values)

    store._db.execute = counting  # type: ignore[method-assign]
    return sent
