"""Lists of very many jobs are read some at a time, and tell what one list would."""

from __future__ import annotations

import pytest

from queuectl.model import COMPLETED, DEAD, FAILED, LAST_DIED, PENDING, STATES, Filter
from queuectl.store import base
from queuectl.store.base import Store

from .helpers import HOUR, T0, LivingWorker, a_job, add, ids


@pytest.fixture(autouse=True)
def some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_READ_AT_ONCE", 2)


@pytest.fixture
def mixed(store: Store, worker: LivingWorker) -> Store:
    """Fifteen jobs: three completed, five died at two moments, one runs, six wait."""
    for n in range(15):
        tags = ("red",) if n % 3 else ()
        add(store, f"a{n}", queue="mail" if n % 2 else "default", tags=tags, max_retries=1)
    for n in range(8):
        worker.run_one(FAILED if n < 5 else COMPLETED, now=T0 + (n < 2) * HOUR)
    worker.claim_one()
    return store


@pytest.mark.parametrize("order", ["", LAST_DIED])
@pytest.mark.parametrize(
    "which",
    [
        Filter(),
        Filter(limit=0),
        Filter(limit=3),
        Filter(limit=4),
        Filter(limit=100),
        Filter(states=(PENDING,)),
        Filter(states=(DEAD, COMPLETED)),
        Filter(states=STATES),
        Filter(queue="mail"),
        Filter(queue="mail", states=(PENDING,)),
        Filter(tag="red"),
        Filter(tag="red", queue="mail", limit=3),
        Filter(tag="none"),
        Filter(ended_before=T0 + HOUR),
    ],
)
def test_a_list_in_parts_is_the_same_list(mixed: Store, which: Filter, order: str) -> None:
    which = which.replace(order=order or which.order)
    assert ids(mixed.each_job(which)) == ids(mixed.list_jobs(which))


def test_what_is_removed_meanwhile_makes_none_come_twice_nor_be_left_out(
    mixed: Store,
) -> None:
    found = []
    for job in mixed.each_job(Filter(order=LAST_DIED)):
        found.append(job.id)
        mixed.delete([job.id], T0)
    assert found == ["a1", "a0", "a4", "a3", "a2"]


def test_the_states_are_told_of_those_jobs_that_there_are(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    (made_up,) = store.enqueue([a_job()], T0)
    worker.run_one()
    asked = ["a", "b", made_up, "ghost", "j99", "", "a\x00b", "j" + "9" * 40, "a"]
    assert store.states(asked) == {"a": COMPLETED, "b": PENDING, made_up: PENDING}
    assert store.states([]) == {}
