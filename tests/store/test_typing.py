"""What somebody who types an id or a tag is offered."""

from __future__ import annotations

import pytest

from queuectl.model import CANCELLED, PENDING
from queuectl.store.base import Store

from .helpers import T0, a_job, add


def test_ids_are_found_by_how_they_begin(store: Store) -> None:
    add(store, "run-1", "run-2", "ran", "Run-1", "run", "j1x")
    assert sorted(store.ids_like("run-", (), 9)) == ["run-1", "run-2"]
    assert sorted(store.ids_like("run", (), 9)) == ["run", "run-1", "run-2"]
    assert store.ids_like("runs", (), 9) == []
    assert store.ids_like("j1", (), 9) == ["j1x"]


@pytest.mark.parametrize(
    ("typed", "numbers"),
    [
        ("j", range(1, 131)),
        ("j1", [1, *range(10, 20), *range(100, 131)]),
        ("j12", [12, *range(120, 130)]),
        ("j0", []),
        ("j131", []),
        ("j1a", []),
        ("j" + "9" * 40, []),
        ("k", []),
    ],
)
def test_made_up_ids_are_found_by_how_they_begin(
    store: Store, typed: str, numbers: list[int]
) -> None:
    store.enqueue([a_job() for _ in range(130)], T0)
    found = store.ids_like(typed, (), 200)
    assert sorted(found) == sorted([f"j{n}" for n in numbers])


def test_ids_are_those_of_jobs_in_the_states(store: Store) -> None:
    add(store, "a1", "a2", "a3")
    made_up = store.enqueue([a_job() for _ in range(3)], T0)
    store.cancel(["a2", made_up[1]], T0)
    assert store.ids_like("a", (CANCELLED,), 9) == ["a2"]
    assert store.ids_like("j", (CANCELLED,), 9) == [made_up[1]]
    assert sorted(store.ids_like("a", (PENDING, CANCELLED), 9)) == ["a1", "a2", "a3"]


def test_of_too_many_the_first_and_the_last_are_found(store: Store) -> None:
    """So that what all begin with can be told by them."""
    store.enqueue([a_job(f"run-{n:03}") for n in range(300)], T0)
    store.enqueue([a_job() for _ in range(100)], T0)
    found = store.ids_like("run-", (), 5)
    assert {"run-000", "run-299"} < set(found)
    assert len(found) == 6
    assert {"j310", "j319"} < set(store.ids_like("j31", (), 5))


def test_a_job_that_was_deleted_is_not_found(store: Store) -> None:
    add(store, "a", "b", tags=("t",))
    made_up = store.enqueue([a_job(tags=("u",))], T0)
    store.delete(["a", *made_up], T0)
    assert store.ids_like("a", (), 9) == store.ids_like("j", (), 9) == []
    assert store.tags_like("", 9) == ["t"]


def test_tags_are_found_once_each_by_how_they_begin(store: Store) -> None:
    store.enqueue([a_job(tags=("lr=0.1", "last", "night")) for _ in range(3)], T0)
    add(store, "a", tags=("lr=0.2",))
    assert sorted(store.tags_like("l", 9)) == ["last", "lr=0.1", "lr=0.2"]
    assert sorted(store.tags_like("lr=0.", 9)) == ["lr=0.1", "lr=0.2"]
    assert sorted(store.tags_like("", 9)) == ["last", "lr=0.1", "lr=0.2", "night"]
    assert store.tags_like("x", 9) == []


def test_of_too_many_tags_the_first_and_the_last_are_found(store: Store) -> None:
    store.enqueue([a_job(tags=(f"t{n:02}",)) for n in range(40)], T0)
    found = store.tags_like("t", 3)
    assert {"t00", "t39"} < set(found)
    assert len(found) == 4
