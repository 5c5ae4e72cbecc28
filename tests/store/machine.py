"""Steps that Hypothesis takes with a real store and with a plain model, side by side: each
answer of the store is compared with the model's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from queuectl.errors import JobNotFound, QueuectlError, Refused, WorkerGone
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    FAILED,
    PENDING,
    PROCESSING,
    RELEASED,
    TIMEOUT,
    Claim,
    Filter,
    Finish,
    Settings,
    Turn,
    Want,
)
from queuectl.retry import RetryPolicy

from .backends import SqliteBackend
from .helpers import SECOND, T0, LivingWorker, a_job, audit, the_end
from .plain import PlainQueue, PlainStore, PlainWorker

QUEUES = ("default", "mail", "slow")
CHOSEN_IDS = ("a", "b", "c", "d", "e", "j2", "j5", "j9")
KINDS = (COMPLETED, FAILED, TIMEOUT, CANCELLED, RELEASED)

new_jobs = st.builds(
    lambda id, queue, priority, retries, base, later, after: (
        id,
        {
            "queue": queue,
            "priority": priority,
            "policy": RetryPolicy(retries, base, 3600, 0),
            "later": later,
            "after": after,
        },
    ),
    st.one_of(st.none(), st.sampled_from(CHOSEN_IDS)),
    st.sampled_from(QUEUES),
    st.sampled_from((1, 5, 5, 10)),
    st.integers(0, 3),
    st.sampled_from((0, 1, 2)),
    st.sampled_from((None, None, None, -5, 0, 1, 4)),
    # Places among the jobs there are; beyond them, in the batch; -1: nowhere.
    st.one_of(st.just([]), st.lists(st.integers(0, 20), max_size=3), st.just([-1])),
)
new_settings = st.none() | st.builds(
    Settings,
    st.sampled_from((None, 0, 60)),
    st.sampled_from((None, 0, 1, 4)),
    st.sampled_from((None, 1, 10)),
)
picks = st.lists(st.integers(0, 30), min_size=1, max_size=3)
connections = st.integers(0, 1)
places = st.integers(0, 9)


class Steps(RuleBasedStateMachine):
    """Two connections to one store, workers that live and die, and time that passes."""

    def __init__(self, backend: SqliteBackend) -> None:
        super().__init__()
        self.backend = backend
        self.url = backend.new_url()
        self.stores = [backend.open(self.url), backend.open(self.url)]
        self.plain = PlainStore()
        self.now = T0
        self.alive: list[LivingWorker] = []
        self.gone: list[LivingWorker] = []
        self.claims: dict[int, Claim] = {}
        self.sent: list[Finish] = []

    def teardown(self) -> None:
        audit(self.stores[0])
        for worker in self.alive + self.gone:
            worker.leave()
        for store in self.stores:
            store.close()
        self.backend.remove(self.url)

    # -- jobs in -------------------------------------------------------------------------

    @rule(specs=st.lists(new_jobs, min_size=1, max_size=4), on=connections)
    def enqueue(self, specs: list[tuple[str | None, dict[str, Any]]], on: int) -> None:
        ids = list(self.plain.jobs)
        batch = []
        for id, fields in specs:
            later = fields.pop("later")
            known = [*ids, *[job.id for job in batch if job.id]]
            after = tuple(
                known[place % len(known)] if place >= 0 and known else "nowhere"
                for place in fields.pop("after")
            )
            run_at = None if later is None else self.now + later * SECOND
            batch.append(a_job(id, after=after, run_at=run_at, **fields))
            fields |= {"later": later, "after": []}
        wrong = self.plain.refuses(batch)
        store = self.stores[on]
        if wrong:
            with pytest.raises(QueuectlError) as refusal:
                store.enqueue(batch, self.now)
            assert type(refusal.value).__name__ in wrong
            return
        given = store.enqueue(batch, self.now)
        self.plain.enqueue(batch, given, [store.get(id).seq for id in given], self.now)
        if store.handed_to is not None:
            (id,) = given
            token = store.history(id)[-1].token
            self.plain.hand_over(self.plain.jobs[id], token, store.handed_to, self.now)

    # -- workers -------------------------------------------------------------------------

    @initialize()
    def first_worker(self) -> None:
        self.worker_comes((), 0)

    @precondition(lambda self: len(self.alive) < 3)
    @rule(queues=st.sampled_from(((), ("mail",), ("default", "slow"))), on=connections)
    def worker_comes(self, queues: tuple[str, ...], on: int) -> None:
        worker = LivingWorker(self.stores[on], queues=queues)
        self.alive.append(worker)
        self.plain.workers[worker.id] = PlainWorker(worker.id, queues)

    @precondition(lambda self: self.alive)
    @rule(
        who=places,
        free=st.integers(0, 3),
        ahead=st.integers(0, 2),
        plenty=st.sampled_from((0, 0, 1, 5)),
        waits=st.booleans(),
        ends=st.lists(st.tuples(places, st.sampled_from(KINDS)), max_size=3),
        repeats=st.lists(places, max_size=2),
    )
    def turn(
        self,
        who: int,
        free: int,
        ahead: int,
        plenty: int,
        waits: bool,
        ends: list[tuple[int, str]],
        repeats: list[int],
    ) -> None:
        worker = self.alive[who % len(self.alive)]
        finishes = [
            finish
            for place, kind in ends
            if (finish := self._finish_of_its_own(worker, place, kind)) is not None
        ]
        finishes += [self.sent[-1 - place] for place in repeats if place < len(self.sent)]
        self.sent += [finish for finish in finishes if finish not in self.sent]
        plain = self.plain.workers[worker.id]
        at_once = not finishes and worker.id in getattr(worker.store, "_waiters", ())
        turn = worker.turn(
            *finishes, free=free, ahead=ahead, plenty=plenty, waits=waits, now=self.now
        )
        if plain.handed is not None:
            told = len(turn.claims)
            turn = self._take_handed(plain, turn)
            if at_once and free + ahead + plenty and len(turn.claims) < told:
                assert not turn.claims
                return

        refused = [f.token for f in finishes if not self.plain.finish(f)]
        assert list(turn.refused) == refused
        expected = self.plain.next_claims(worker.id, free, ahead, plenty, self.now)
        assert [claim.id for claim in turn.claims] == [job.id for job in expected]
        for job, claim in zip(expected, turn.claims, strict=True):
            self.plain.claim(job, claim, worker.id)
            self.claims[claim.token] = claim
        assert sorted(turn.cancels) == sorted(self.plain.cancels(worker.id))
        assert turn.stop == plain.stop
        assert turn.drained == self.plain.drained(worker.id, self.now)
        self._check_next_due(worker, turn.next_due)
        if free + ahead + plenty:
            plain.waits = waits and len(expected) < free

    @precondition(lambda self: self.alive)
    @rule(who=places, queue=st.sampled_from(QUEUES), once=st.booleans(), on=connections)
    def a_job_comes_while_a_worker_waits(
        self, who: int, queue: str, once: bool, on: int
    ) -> None:
        self.turn(who, 1, 0, 0, True, [], [])
        fields = {"queue": queue, "max_retries": 1 if once else 3, "later": None, "after": []}
        self.enqueue([(None, fields)], on)

    def _take_handed(self, plain: PlainWorker, turn: Turn) -> Turn:
        """The turn without what an enqueue had claimed."""
        assert plain.handed is not None
        token, plain.handed = plain.handed, None
        job = self.plain.job_of(token)
        handed = [claim for claim in turn.claims if claim.token == token]
        if job is None or job.run.worker != plain.id:
            assert not handed
            return turn
        (claim,) = handed
        self.plain.check(job, claim)
        assert claim.attempt == len(job.runs)
        self.claims[token] = claim
        return turn.replace(claims=[other for other in turn.claims if other is not claim])

    def _finish_of_its_own(self, worker: LivingWorker, place: int, kind: str) -> Finish | None:
        """The end of a run that it holds, or else of one that nobody holds any more."""
        held = [token for token in self.plain.held(worker.id) if token in self.claims]
        tokens = held or [token for token in self.claims if not self.plain.job_of(token)]
        if not tokens:
            return None
        return the_end(self.claims[tokens[place % len(tokens)]], kind, self.now)

    def _check_next_due(self, worker: LivingWorker, next_due: int | None) -> None:
        scheduled = [job for job in self.plain.jobs.values() if job.is_scheduled(self.now)]
        assert next_due is None or next_due in {job.due_at for job in scheduled}
        open_queues = self.plain.open_queues(worker.id)
        mine = [job.due_at for job in scheduled if job.queue in open_queues]
        assert not mine or (next_due is not None and next_due <= min(mine))

    @precondition(lambda self: self.alive)
    @rule(who=places)
    def a_worker_asks_what_it_holds(self, who: int) -> None:
        worker = self.alive[who % len(self.alive)]
        assert worker.held() == self.plain.held(worker.id)
        plain = self.plain.workers[worker.id]
        plain.waits, plain.handed = False, None

    @precondition(lambda self: self.claims and self.alive)
    @rule(who=places, which=picks)
    def release(self, who: int, which: list[int]) -> None:
        worker = self.alive[who % len(self.alive)]
        tokens = list(self.plain.held(worker.id)) + list(self.claims)[-3:]
        chosen = [tokens[place % len(tokens)] for place in which]
        worker.store.release(worker.id, chosen, self.now)
        self.plain.release(worker.id, chosen, self.now)

    @precondition(lambda self: self.alive)
    @rule(who=places, on=connections, proof=st.none() | st.lists(places, max_size=3))
    def worker_dies_and_is_rescued(self, who: int, on: int, proof: list[int] | None) -> None:
        worker = self.alive.pop(who % len(self.alive))
        worker.die()
        held = list(self.plain.held(worker.id))
        unstarted = None
        if proof is not None:
            unstarted = {held[place % len(held)] for place in proof} if held else {1}
        settled = self.stores[on].rescue(worker.id, unstarted, self.now)
        assert sorted(settled) == sorted(self.plain.rescue(worker.id, unstarted, self.now))
        self.gone.append(worker)

    @precondition(lambda self: self.gone)
    @rule(who=places, on=connections)
    def a_rescued_worker_comes_back_to_life(self, who: int, on: int) -> None:
        """A stopped process goes on: whatever it tries is refused and changes nothing."""
        ghost = self.gone[who % len(self.gone)]
        store = self.stores[on]
        late = [the_end(claim, now=self.now) for claim in list(self.claims.values())[-2:]]
        with pytest.raises(WorkerGone):
            store.turn(ghost.id, late, [], Want(3, 3), self.now)
        with pytest.raises(WorkerGone):
            store.heartbeat(ghost.id, self.now)
        store.release(ghost.id, list(self.claims), self.now)
        assert store.rescue(ghost.id, None, self.now) == []
        assert store.held(ghost.id) == {}

    @precondition(lambda self: self.alive)
    @rule(who=places)
    def worker_leaves(self, who: int) -> None:
        worker = self.alive[who % len(self.alive)]
        if self.plain.held(worker.id):
            with pytest.raises(Refused):
                worker.store.unregister(worker.id)
            return
        worker.store.unregister(worker.id)
        worker.leave()
        self.alive.remove(worker)
        del self.plain.workers[worker.id]

    @precondition(lambda self: self.alive)
    @rule(who=places, seconds=st.sampled_from((0, 30)))
    def worker_is_asked_to_stop(self, who: int, seconds: float) -> None:
        worker = self.alive[who % len(self.alive)]
        self.stores[0].ask_stop([worker.id], seconds)
        plain = self.plain.workers[worker.id]
        plain.stop = seconds if plain.stop is None else min(plain.stop, seconds)

    # -- people --------------------------------------------------------------------------

    def _some_ids(self, which: list[int]) -> list[str]:
        ids = list(self.plain.jobs)
        return list(dict.fromkeys(ids[place % len(ids)] for place in which))

    @precondition(lambda self: self.plain.jobs)
    @rule(which=picks, on=connections, only=st.sampled_from(((), (PENDING,), (PROCESSING,))))
    def cancel(self, which: list[int], on: int, only: tuple[str, ...]) -> None:
        ids = self._some_ids(which)
        changes = self.stores[on].cancel(ids, self.now, only)
        assert changes == self.plain.cancel(ids, self.now, only)

    @precondition(lambda self: self.plain.jobs)
    @rule(which=picks, on=connections, again=st.booleans(), settings=new_settings)
    def retry(self, which: list[int], on: int, again: bool, settings: Settings | None) -> None:
        ids = self._some_ids(which)
        changes = self.stores[on].retry(ids, self.now, again=again, settings=settings)
        assert changes == self.plain.retry(ids, self.now, again, settings)

    @precondition(lambda self: self.plain.jobs)
    @rule(which=picks, on=connections)
    def delete(self, which: list[int], on: int) -> None:
        ids = self._some_ids(which)
        assert self.stores[on].delete(ids, self.now) == self.plain.delete(ids, self.now)

    @rule(which=picks, verb=st.sampled_from(("cancel", "retry", "delete")))
    def a_verb_with_an_unknown_id_changes_nothing(self, which: list[int], verb: str) -> None:
        ids = self._some_ids(which) if self.plain.jobs else []
        with pytest.raises(JobNotFound):
            getattr(self.stores[0], verb)([*ids, "nowhere"], self.now)

    @rule(age=st.integers(0, 5), limit=st.integers(1, 3), on=connections)
    def prune(self, age: int, limit: int, on: int) -> None:
        before = self.now - age * SECOND + 1
        may_go = self.plain.ended(before)
        pruned = self.stores[on].prune(before, limit)
        assert pruned == min(limit, len(may_go))
        left = {job.id for job in self.stores[on].list_jobs(Filter())}
        went = set(self.plain.jobs) - left
        assert len(went) == pruned
        assert went <= may_go
        for id in went:
            del self.plain.jobs[id]

    @rule(
        name=st.sampled_from(QUEUES),
        paused=st.none() | st.booleans(),
        limit=st.none() | st.integers(0, 2),
        on=connections,
    )
    def set_queue(self, name: str, paused: bool | None, limit: int | None, on: int) -> None:
        self.stores[on].set_queue(name, paused=paused, limit=limit)
        queue = self.plain.queues.setdefault(name, PlainQueue())
        if paused is not None:
            queue.paused = paused
        if limit is not None:
            queue.limit = limit or None

    @rule(seconds=st.sampled_from((1, 1, 2, 5, 60)))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(which=connections)
    def connection_is_opened_anew(self, which: int) -> None:
        old = self.stores[which]
        self.stores[which] = self.backend.open(self.url)
        for worker in self.alive:
            if worker.store is old:
                worker.store = self.stores[which]
                self.a_worker_asks_what_it_holds(self.alive.index(worker))
        old.close()
