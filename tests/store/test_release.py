"""What a worker holds, and what it gives back before it has started it (P3)."""

from __future__ import annotations

from queuectl.model import FAILED
from queuectl.store.base import Store

from .helpers import T0, LivingWorker, add, everything, some_output


def test_held_names_every_claim_of_this_worker_and_no_other(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, *"abcd")
    mine = worker.claim(2)
    theirs = other_worker.claim(2)
    worker.finish(mine[0])
    assert worker.held() == {mine[1].token: mine[1].seq}
    assert other_worker.held() == {claim.token: claim.seq for claim in theirs}
    assert store.held("nobody") == {}


def test_a_released_claim_leaves_no_trace(store: Store, worker: LivingWorker) -> None:
    add(store, "a", "b", max_retries=1)
    before = everything(store)
    claims = worker.claim(2)
    worker.turn(output=[some_output(claims[0].token)])
    store.release(worker.id, [claim.token for claim in claims], T0)
    assert store.history("a") == []
    assert store.read_output(claims[0].token) == []
    assert everything(store) == before
    assert worker.held() == {}


def test_a_released_claim_keeps_its_place_and_its_number(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", "b")
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    again, other = worker.claim(2)
    assert (again.id, again.attempt, again.attempts, other.id) == ("a", 1, 0, "b")
    assert again.token > claim.token


def test_a_released_retry_keeps_what_it_was_charged_and_its_history(
    store: Store, worker: LivingWorker
) -> None:
    add(store, "a", base=0)
    worker.run_one(FAILED, exit_code=7)
    before = store.get("a"), store.history("a")
    claim = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    job = store.get("a")
    assert job.attempts == 1
    assert (job.outcome, job.exit_code, job.error) == (FAILED, 7, before[0].error)
    assert (job.started_at, job.finished_at, job.duration) == (
        before[0].started_at,
        before[0].finished_at,
        before[0].duration,
    )
    assert store.history("a") == before[1]
    assert worker.claim_one().attempt == 2


def test_release_passes_over_tokens_that_are_not_current(
    store: Store, worker: LivingWorker, other_worker: LivingWorker
) -> None:
    add(store, "a", "b", "c")
    done, foreign = worker.claim_one(), other_worker.claim_one()
    worker.finish(done)
    before = everything(store)
    store.release(worker.id, [done.token, foreign.token, 999_999], T0)
    store.release("nobody", [foreign.token], T0)
    assert everything(store) == before


def test_release_twice_is_release_once(store: Store, worker: LivingWorker) -> None:
    add(store, "a")
    claim = worker.claim_one()
    store.release(worker.id, [claim.token, claim.token], T0)
    again = worker.claim_one()
    store.release(worker.id, [claim.token], T0)
    assert worker.held() == {again.token: again.seq}
