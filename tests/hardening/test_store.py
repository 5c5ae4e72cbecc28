"""The same of the stores themselves, below every check: texts are values, never SQL."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl.errors import QueuectlError
from queuectl.model import (
    FAILED,
    STDERR,
    STDOUT,
    Chunk,
    Filter,
    Finish,
    OutputPart,
    Want,
)
from queuectl.store.base import Store
from store.conftest import backend, pytest_generate_tests, store  # noqa: F401 - its fixtures
from store.helpers import T0, LivingWorker, a_job, a_worker, states, the_end

from .hostile import SPEAKABLE, SPELLS

SHORT = {name: spell for name, spell in SPEAKABLE.items() if name != "long"}
"""What may also be a name, which an index holds."""


def tables(of: Store) -> Any:
    anything: Any = of
    if type(of).__name__ == "SqliteStore":
        look = "SELECT name, sql FROM sqlite_master ORDER BY name"
        assert anything._db.connection.execute("PRAGMA integrity_check").get == "ok"
        return anything._db.connection.execute(look).fetchall()
    with anything._db.read():
        return anything._db.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'queuectl' ORDER BY 1"
        ).fetchall()


@pytest.mark.parametrize("spell", SHORT.values(), ids=SHORT)
def test_a_store_keeps_every_text_to_the_byte(store: Store, spell: str) -> None:  # noqa: F811
    before = tables(store)
    fields: dict[str, Any] = {
        "command": spell,
        "queue": spell,
        "cwd": spell,
        "created_by": spell,
        "env": {spell: spell},
        "captured": {spell: spell},
        "tags": (spell,),
    }
    store.enqueue([a_job(spell, **fields), a_job("b", command=("echo", spell))], T0)
    store.enqueue([a_job("c", after=(spell,), max_retries=1)], T0)
    job = store.get(spell)
    assert {name: getattr(job, name) for name in fields if name != "captured"} == {
        name: value for name, value in fields.items() if name != "captured"
    }
    for which in (Filter(queue=spell), Filter(tag=spell), Filter(queue=spell, tag=spell)):
        assert [found.id for found in store.list_jobs(which)] == [spell]
    worker = LivingWorker(store, "w1", queues=(spell,), host=spell, version=spell)
    claim = worker.claim_one()
    assert (claim.id, claim.env, claim.captured) == (spell, {spell: spell}, {spell: spell})
    chunks = [Chunk(0, STDOUT, 0, spell.encode()), Chunk(1, STDERR, 0, bytes(range(256)))]
    part = OutputPart(claim.token, chunks)
    worker.finish(claim, FAILED, error=spell, signal=spell, output=part)
    assert store.get(spell).error == store.get(spell).signal == spell
    assert store.history(spell)[0].error == spell
    assert [chunk.data for chunk in store.read_output(claim.token)] == [c.data for c in chunks]
    store.set_queue(spell, paused=True, limit=3)
    (queue,) = [queue for queue in store.stats().queues if queue.name == spell]
    assert (queue.paused, queue.limit) == (True, 3)
    assert store.metrics(10).recent[0].error == spell
    assert [w.host for w in store.workers()] == [spell]
    worker.leave()
    assert [change.result for change in store.cancel([spell], T0)] == ["done"]
    assert [change.result for change in store.retry([spell], T0)] == ["done"]
    assert [change.result for change in store.delete([spell], T0)] == ["done"]
    assert set(states(store)) == {"b", "c"}
    assert tables(store) == before


def test_what_is_not_there_is_not_found_however_it_is_called(store: Store) -> None:  # noqa: F811
    before = tables(store)
    store.enqueue([a_job("a", tags=("t",))], T0)
    for spell in SPELLS.values():
        _is_not_found(store, spell)
        assert states(store) == {"a": "pending"}
    assert tables(store) == before


def _is_not_found(store: Store, spell: str) -> None:  # noqa: F811
    calls: dict[str, Any] = {
        "get": lambda: store.get(spell),
        "history": lambda: store.history(spell),
        "cancel": lambda: store.cancel([spell], T0),
        "retry": lambda: store.retry([spell], T0, again=True),
        "delete": lambda: store.delete([spell], T0),
        "after": lambda: store.enqueue([a_job(after=(spell,))], T0),
        "turn": lambda: store.turn(spell, [_finish(spell)], [], Want(9), T0),
        "heartbeat": lambda: store.heartbeat(spell, T0),
    }
    for name, call in calls.items():
        with pytest.raises((QueuectlError, UnicodeError)):
            call()
            pytest.fail(name)
    quiet: dict[str, Any] = {
        "list by queue": lambda: store.list_jobs(Filter(queue=spell)),
        "list by tag": lambda: store.list_jobs(Filter(tag=spell)),
        "list by state": lambda: store.list_jobs(Filter(states=(spell,))),
        "held": lambda: store.held(spell),
        "release": lambda: store.release(spell, [1], T0),
        "rescue": lambda: store.rescue(spell, [1], T0),
        "unregister": lambda: store.unregister(spell),
        "ask to stop": lambda: store.ask_stop([spell], 1),
    }
    for name, call in quiet.items():
        try:
            assert not call(), name
        except (QueuectlError, UnicodeError):
            continue


def _finish(spell: str) -> Finish:
    claim: Any = a_claim_that_never_was()
    return the_end(claim, FAILED, error=spell)


def a_claim_that_never_was() -> Any:
    from types import SimpleNamespace

    return SimpleNamespace(token=7, seq=1, attempt=1, attempts=0, policy=a_job().policy)


def test_a_worker_may_be_called_anything(store: Store) -> None:  # noqa: F811
    for spell in SHORT.values():
        store.register(a_worker(spell, host=spell, queues=(spell,)))
        (worker,) = store.workers()
        assert (worker.id, worker.queues) == (spell, (spell,))
        store.ask_stop([spell], 1)
        store.unregister(spell)
        assert store.workers() == []
