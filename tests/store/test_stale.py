"""Stale ends of runs: who holds the run no longer is refused and changes nothing (P3)."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl.errors import WorkerGone
from queuectl.model import CANCELLED, COMPLETED, FAILED, LOST, PROCESSING, Claim, Finish
from queuectl.store.base import Store

from .helpers import (
    T0,
    LivingWorker,
    a_job,
    add,
    everything,
    ids,
    living_worker,
    some_output,
    states,
    the_end,
)


def released(store: Store, worker: LivingWorker) -> Finish:
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    return the_end(claim)


def rescued(store: Store, worker: LivingWorker) -> Finish:
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        store.rescue(late.id, None, T0)
    return the_end(claim)


def rescued_unstarted(store: Store, worker: LivingWorker) -> Finish:
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        store.rescue(late.id, [claim.token], T0)
    return the_end(claim)


def never_given(store: Store, worker: LivingWorker) -> Finish:
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    return the_end(claim.replace(token=claim.token + 1_000))


def deleted(store: Store, worker: LivingWorker) -> Finish:
    finish = released(store, worker)
    store.delete(["a"], T0)
    return finish


STALE = [released, rescued, rescued_unstarted, never_given, deleted]


@pytest.mark.parametrize("make_stale", STALE)
@pytest.mark.parametrize("kind", [COMPLETED, FAILED, CANCELLED])
def test_a_stale_finish_is_refused_and_changes_nothing(
    store: Store, worker: LivingWorker, make_stale: Any, kind: str
) -> None:
    add(store, "a", base=0)
    stale = make_stale(store, worker)
    outcome = the_end(_claim_like(stale), kind)
    stale = stale.replace(outcome=outcome.outcome, verdict=outcome.verdict)
    before = everything(store)
    assert list(worker.turn(stale).refused) == [stale.token]
    assert everything(store) == before


def _claim_like(finish: Finish) -> Any:
    job = a_job()
    return Claim(
        finish.seq, finish.token, "a", finish.attempt, 0, job.policy, job.command, job.queue,
        job.timeout_seconds, job.cwd, False, {}, {}, job.created_by,
    )  # fmt: skip


@pytest.mark.parametrize("make_stale", [released, rescued, rescued_unstarted])
def test_a_stale_finish_is_refused_while_the_job_runs_elsewhere(
    store: Store, worker: LivingWorker, other_worker: LivingWorker, make_stale: Any
) -> None:
    add(store, "a", base=0)
    stale = make_stale(store, worker)
    stale = stale.replace(output=some_output(stale.token))
    claim = other_worker.claim_one()
    before = everything(store)
    assert list(worker.turn(stale).refused) == [stale.token]
    assert everything(store) == before
    other_worker.finish(claim)
    assert states(store) == {"a": COMPLETED}
    assert list(worker.turn(stale).refused) == [stale.token]


def test_a_stale_finish_does_not_keep_the_good_ones_of_its_turn_from_counting(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    a, b, c = worker.claim(3)
    store.release(worker.id, [b.token], T0)
    turn = worker.turn(the_end(a), the_end(b), the_end(c), free=1)
    assert list(turn.refused) == [b.token]
    assert ids(turn.claims) == ["b"]
    assert states(store) == {"a": COMPLETED, "b": PROCESSING, "c": COMPLETED}


def test_turn_and_heartbeat_are_refused_after_rescue_and_nothing_is_recorded(
    store: Store, other_worker: LivingWorker
) -> None:
    add(store, "a", "b")
    with living_worker(store) as late:
        claim = late.claim_one()
        late.die()
        assert other_worker.store.rescue(late.id, None, T0) == ["a"]
        before = everything(store)
        with pytest.raises(WorkerGone) as gone:
            late.turn(the_end(claim), free=1)
        assert gone.value.exit_code == 4
        with pytest.raises(WorkerGone):
            late.turn(free=1)
        with pytest.raises(WorkerGone):
            late.turn(output=[some_output(claim.token)])
        with pytest.raises(WorkerGone):
            store.heartbeat(late.id, T0 + 1)
        assert late.held() == {}
    assert everything(store) == before
    assert store.get("a").outcome == LOST
