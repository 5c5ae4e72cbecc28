"""Records: immutable values with named fields, cheap to import."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import pytest

from queuectl import model
from queuectl.model import Outcome
from queuectl.records import Record


class Point(Record):
    x: int
    y: int
    name: str = "origin"
    tags: tuple[str, ...] = ()

    @property
    def sum(self) -> int:
        return self.x + self.y


class Empty(Record):
    pass


def test_fields_are_given_by_place_or_by_name() -> None:
    expected = (1, 2, "a", ("t",))
    for point in (
        Point(1, 2, "a", ("t",)),
        Point(1, 2, tags=("t",), name="a"),
        Point(tags=("t",), name="a", y=2, x=1),
        Point.make([1, 2, "a", ("t",)]),
    ):
        assert isinstance(point, Point)
        assert (point.x, point.y, point.name, point.tags) == expected


def test_fields_with_defaults_may_be_left_out() -> None:
    assert Point(1, 2) == Point(1, 2, "origin", ())
    assert Point(1, y=2, tags=("t",)) == Point(1, 2, "origin", ("t",))
    assert Empty() == Empty()


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((), {}),
        ((1,), {}),
        ((1,), {"name": "a"}),
        ((1, 2, "a", (), "more"), {}),
        ((1, 2), {"x": 3}),
        ((1, 2), {"z": 3}),
        ((1, 2, "a", ()), {"name": "b"}),
    ],
)
def test_fields_missing_unknown_or_given_twice_are_refused(
    values: tuple[object, ...], named: dict[str, object]
) -> None:
    with pytest.raises(TypeError):
        Point(*values, **named)  # type: ignore[arg-type]


def test_the_error_names_the_field_that_is_missing() -> None:
    with pytest.raises(TypeError, match="Point needs y"):
        Point(1)  # type: ignore[call-arg]


def test_records_cannot_be_changed_and_take_no_new_attributes() -> None:
    point = Point(1, 2)
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.z = 3  # type: ignore[attr-defined]
    assert point.x == 1


def test_replace_makes_a_changed_copy_and_leaves_the_original() -> None:
    point = Point(1, 2)
    moved = point.replace(y=5, name="b")
    assert (moved, point) == (Point(1, 5, "b"), Point(1, 2))
    assert isinstance(moved, Point)
    with pytest.raises(TypeError, match="Point has no z"):
        point.replace(z=1)


def test_records_are_equal_and_hashed_by_value() -> None:
    assert Point(1, 2) == Point(1, 2) != Point(2, 1)
    assert len({Point(1, 2), Point(1, 2), Point(2, 1)}) == 2


def test_records_keep_properties_and_match_by_place() -> None:
    assert Point(1, 2).sum == 3
    match Point(1, 2, "a"):
        case Point(x, _, name):
            assert (x, name) == (1, "a")


def test_records_show_their_fields() -> None:
    assert repr(Point(1, 2)) == "Point(x=1, y=2, name='origin', tags=())"
    assert dict(Point(1, 2).items()) == {"x": 1, "y": 2, "name": "origin", "tags": ()}


def test_records_survive_pickling_and_copying() -> None:
    outcome = Outcome("failed", 5, exit_code=1)
    for twin in (
        pickle.loads(pickle.dumps(outcome)),  # noqa: S301 - our own bytes
        copy.copy(outcome),
        copy.deepcopy(outcome),
    ):
        assert twin == outcome
        assert type(twin) is Outcome


def test_no_record_of_the_model_carries_a_dictionary() -> None:
    records = [kind for kind in vars(model).values() if _is_record(kind)]
    assert len(records) > 10
    for kind in records:
        assert not hasattr(kind.make([None] * len(kind._fields)), "__dict__")


def _is_record(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Record) and kind is not Record


def test_the_model_imports_no_slow_modules() -> None:
    script = (
        "import sys; before = set(sys.modules); import queuectl.model, queuectl.transitions;"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    outsiders = [name for name in loaded if not name.startswith("queuectl")]
    assert set(outsiders) <= {"_collections", "__future__"}
