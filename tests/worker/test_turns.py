"""What a worker may ask of its store while other calls are under way or have failed."""

from __future__ import annotations

from pathlib import Path
from select import select
from typing import Any

import pytest

from queuectl.errors import StoreError
from queuectl.model import STDOUT, Turn, Want
from queuectl.store import open_store
from queuectl.worker.doorbell import Doorbell
from queuectl.worker.output import OutputBuffer
from queuectl.worker.report import Report
from queuectl.worker.turns import Turns
from store.helpers import T0, a_job, living_worker, the_end

from .helpers import AtOnce


class Calls:
    """In place of the store's thread: a call ends when and how the test says."""

    def __init__(self) -> None:
        self._made: list[Any] = []
        self._standing_by: list[Any] = []

    def call(self, _work: Any, done: Any) -> None:
        self._made.append(done)

    def end(self, result: object = None, error: StoreError | None = None) -> None:
        """The oldest call ends."""
        self._made.pop(0)(result, error)

    def stand_by(self, _work: Any, done: Any) -> None:
        self._standing_by.append(done)

    def stand_down(self) -> bool:
        return bool(self._standing_by and self._standing_by.pop())

    def ring(self) -> None:
        """What stands by begins."""
        self._made.append(self._standing_by.pop())

    def __len__(self) -> int:
        return len(self._made)


def turns_over(calls: Calls, report: Report | None = None) -> Turns:
    def ignored(*_what: object) -> None:
        return

    report = report or Report(2)
    return Turns("worker", calls, report, ignored, ignored, ignored)  # type: ignore[arg-type]


def is_due(turns: Turns) -> bool:
    return turns.is_due(hungry=True, low=False, stopping=False)


def test_a_release_that_fails_while_a_turn_is_under_way_lets_no_other_call_begin() -> None:
    """What that turn claims is known only when it is answered: asked before, what is held
    would be given back while it is started."""
    calls = Calls()
    turns = turns_over(calls)
    turns.release([1])
    turns.take(Want(1), set)
    calls.end(error=StoreError("locked"))
    turns.paused_until = 0.0
    assert not is_due(turns)
    assert not turns.settled
    calls.end(Turn((), (), (), None, None, False))
    assert is_due(turns)
    turns.take(Want(1), set)  # asks what is held
    calls.end()
    assert turns.settled


def test_nothing_is_taken_while_what_is_held_is_asked_whatever_fails_meanwhile() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.take(Want(1), set)
    calls.end(error=StoreError("cut"))
    turns.paused_until = 0.0
    turns.take(Want(1), set)
    turns.release([1])
    assert len(calls) == 2
    assert not is_due(turns)
    calls.end()
    calls.end(error=StoreError("cut"))
    turns.paused_until = 0.0
    assert is_due(turns)
    assert not turns.settled


def test_what_is_printed_while_the_store_is_away_grows_no_larger_than_what_is_kept() -> None:
    class Keeping(Calls):
        def call(self, work: Any, done: Any) -> None:
            self.work = work
            super().call(work, done)

    class Hearing:
        def turn(self, *asked: Any) -> Turn:
            self.output = asked[2]
            return Turn(())

    calls, heard = Keeping(), Hearing()
    turns = turns_over(calls)
    buffer, other = OutputBuffer(7, 4096), OutputBuffer(8, 4096)
    for second in range(300):
        for run in (buffer, other):
            run.take(STDOUT, b"%6d" % second * 500)
            part = run.changes()
            assert part is not None
            turns.add_output(part)
        if second == 5:
            turns.take(Want(0), set)  # and is away until its answer comes
        if second == 200:
            calls.end(error=StoreError("away"))
            turns.paused_until = 0.0
            turns.take(Want(0), set)
            calls.end()  # what is held
            turns.take(Want(0), set)
            calls.end(error=StoreError("away"))
    turns.paused_until = 0.0
    turns.take(Want(0), set)
    calls.end()
    turns.take(Want(0), set)
    calls.work(heard)
    first, second_part = heard.output
    assert (first.token, second_part.token) == (7, 8)
    kept = b"".join(chunk.data for chunk in sorted(first.put))
    assert len(kept) == 4096
    assert kept.endswith(b"   299" * 341)


def test_a_turn_that_stands_by_gives_way_to_one_that_is_due() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.stand_by(Want(1))
    turns.take(Want(1), set)
    assert len(calls) == 1
    with pytest.raises(IndexError):
        calls.ring()


def test_no_other_call_begins_beside_a_turn_that_the_bell_has_begun() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.stand_by(Want(1))
    calls.ring()
    turns.take(Want(1), set)
    turns.stand_by(Want(2))
    assert len(calls) == 1
    assert not is_due(turns)
    calls.end(Turn((), (), (), None, None, False))
    assert is_due(turns)


def test_a_worker_does_not_leave_while_a_turn_may_claim() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.stand_by(Want(1))
    assert not turns.settled
    calls.ring()
    turns.stand_down()
    assert not turns.settled
    calls.end(Turn((), (), (), None, None, False))
    assert turns.settled


def test_a_turn_that_stands_by_knows_how_many_jobs_are_wanted_now() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.stand_by(Want(1))
    turns.stand_by(Want(2))
    calls.ring()
    with pytest.raises(IndexError):
        calls.ring()


def test_nothing_stands_by_once_nothing_is_wanted() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.stand_by(Want(1))
    turns.stand_by(Want(0))
    with pytest.raises(IndexError):
        calls.ring()


def test_nothing_stands_by_while_it_is_unknown_what_is_held() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.take(Want(1), set)
    calls.end(error=StoreError("cut"))
    turns.stand_by(Want(1))
    with pytest.raises(IndexError):
        calls.ring()


def test_nothing_stands_by_during_a_pause() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.stand_by(Want(1))
    turns.pause(60)
    turns.stand_by(Want(1))
    with pytest.raises(IndexError):
        calls.ring()


def test_what_helps_against_trouble_is_said_once(capfd: pytest.CaptureFixture[str]) -> None:
    calls = Calls()
    report = Report(2)
    turns = turns_over(calls, report)
    for _ in range(2):
        turns.release([7])
        calls.end(error=StoreError("cut", "mend it"))
    report.flush()
    said = capfd.readouterr().err
    assert (said.count("cut; trying again"), said.count("try: mend it")) == (2, 1)


def test_trouble_makes_what_stands_by_stand_down() -> None:
    calls = Calls()
    turns = turns_over(calls)
    turns.release([7])
    turns.stand_by(Want(1))
    calls.end(error=StoreError("cut"))
    with pytest.raises(IndexError):
        calls.ring()


@pytest.mark.parametrize("want", [Want(0), Want(1)], ids=["none", "one"])
def test_who_frees_jobs_and_does_not_take_them_all_calls_others(
    tmp_path: Path, want: Want
) -> None:
    """It may be stopping, or busy; and others have nothing to do."""
    store = open_store(str(tmp_path / "queue.db"))
    store.enqueue([a_job("first")], T0)
    store.enqueue([a_job(after=("first",)) for _ in range(2)], T0)
    other = Doorbell(store.uid, "other")
    with living_worker(store) as worker:
        thread: Any = AtOnce(store)
        turns = Turns(worker.id, thread, Report(2), *[lambda *_what: None] * 3)
        turns.add(the_end(worker.claim_one()))
        turns.take(want, set)
        assert select([other.fileno()], [], [], 0)[0]
    other.close()
    store.close()
