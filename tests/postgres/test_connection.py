"""Connections that break, stall and come back."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from postgres_server import PostgresServer
from queuectl.cli.main import command_line
from queuectl.errors import StoreError
from queuectl.model import (
    COMPLETED,
    PENDING,
    PROCESSING,
    STDOUT,
    Chunk,
    Finish,
    OutputPart,
    Want,
)
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.database import sql
from store.helpers import T0, a_job, add, living_worker, states, the_end
from tcp_proxy import TcpProxy, tcp_proxy

Open = Callable[..., PostgresStore]
Sql = Callable[[str], list[tuple[Any, ...]]]
MB = 1024 * 1024


@pytest.fixture
def proxy(server: PostgresServer) -> Iterator[TcpProxy]:
    with tcp_proxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def proxied(proxy: TcpProxy, database: str, open_store: Open) -> PostgresStore:
    """A store behind the proxy that gives up after a second."""
    return open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}", 1.0)


def test_a_lost_connection_is_an_error_once_and_then_forgotten(
    store: PostgresStore, run_sql: Sql
) -> None:
    add(store, "a")
    run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with pytest.raises(StoreError):
        store.stats()
    assert store.stats().counts["pending"] == 1
    add(store, "b")


def test_a_worker_goes_on_after_the_server_restarted(home: str) -> None:
    server = PostgresServer()
    try:
        with PostgresStore(server.url(server.new_database()), home) as store:
            add(store, "a", "b")
            with living_worker(store) as worker:
                claim = worker.claim_one()
                server.stop(signal.SIGQUIT)
                with pytest.raises(StoreError):
                    worker.turn(the_end(claim), free=1)
                with pytest.raises(StoreError):
                    store.held(worker.id)
                server.start()
                assert worker.held() == {claim.token: claim.seq}
                turn = worker.turn(the_end(claim), free=1)
                assert ([c.id for c in turn.claims], list(turn.refused)) == (["b"], [])
                assert states(store) == {"a": COMPLETED, "b": PROCESSING}
    finally:
        server.remove()


def test_a_cut_network_is_an_error_and_the_next_call_finds_its_way(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    add(proxied, "a")
    proxy.cut()
    with pytest.raises(StoreError):
        proxied.get("a")
    assert proxied.get("a").id == "a"


def test_no_call_waits_longer_than_its_deadline_for_a_network_that_says_nothing(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    add(proxied, "a")
    proxy.stalled = True
    for call in (
        proxied.stats,
        lambda: proxied.enqueue([a_job()], T0),
        lambda: proxied.enqueue([a_job()] * 100, T0),
        lambda: proxied.turn("w", [], [], Want(1), T0),
    ):
        proxy.stalled = False
        proxied.stats()
        proxy.stalled = True
        began = time.monotonic()
        with pytest.raises(StoreError, match="no answer"):
            call()
        assert time.monotonic() - began < 15
    proxy.stalled = False
    assert proxied.get("a").id == "a"


def test_a_look_for_changes_waits_but_briefly_however_patient_the_store_is(
    proxy: TcpProxy, database: str, open_store: Open
) -> None:
    store = open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}", 60.0)
    proxy.stalled = True
    began = time.monotonic()
    assert store.change_mark() != store.change_mark()
    assert time.monotonic() - began < 30
    proxy.stalled = False


def test_no_call_waits_for_a_server_that_is_stopped(open_store: Open, run_sql: Sql) -> None:
    store = open_store(wait_seconds=1.0)
    add(store, "a")
    pid = store._db._connection.info.backend_pid  # type: ignore[union-attr]
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(StoreError):
            store.get("a")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert store.get("a").id == "a"


def test_a_statement_that_waits_for_a_lock_gives_up_and_says_so(
    open_store: Open, run_sql: Sql
) -> None:
    patient, hasty = open_store(), open_store(wait_seconds=0.5)
    add(patient, "a")
    with patient._db.write():
        patient._db.execute(sql("lock_jobs"), ([1],)).fetchall()
        with pytest.raises(StoreError, match="locked"):
            hasty.cancel(["a"], T0)
    assert hasty.cancel(["a"], T0)[0].result == "done"


def test_who_stops_in_the_middle_of_something_holds_no_locks_for_long(open_store: Open) -> None:
    """A command that was suspended, a host that froze."""
    stuck, other = open_store(wait_seconds=0.5), open_store()
    add(other, "a")
    cancelled = []
    with pytest.raises(StoreError), stuck._db.write():
        stuck._db.execute(sql("lock_jobs"), ([1],)).fetchall()
        cancelled += other.cancel(["a"], T0)
        stuck._db.execute(sql("lock_jobs"), ([1],)).fetchall()
    assert [change.result for change in cancelled] == ["done"]


def test_a_turn_costs_one_round_trip_however_much_it_does(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    proxied.enqueue([a_job() for _ in range(96)], T0)
    with living_worker(proxied, slots=16) as worker:
        claims = worker.claim(16)
        proxy.delay = 0.15

        def trips(*finishes: Finish, free: int = 0) -> float:
            nonlocal claims
            began = time.monotonic()
            claims = list(worker.turn(*finishes, free=free).claims)
            assert len(claims) == free
            return (time.monotonic() - began) / (2 * proxy.delay)

        # The best of a few: a busy machine may delay some.
        assert any(trips(*map(the_end, claims), free=16) < 1.9 for _ in range(5))
        assert any(trips() < 1.9 for _ in range(5))
        proxy.delay = 0


def test_what_is_much_may_take_longer_as_long_as_it_goes_on(
    proxied: PostgresStore, proxy: TcpProxy, store: PostgresStore
) -> None:
    """A turn that is given up is sent again as it was, and would be given up for ever."""
    add(proxied, "a")
    with living_worker(proxied) as worker:
        claim = worker.claim_one()
        printed = [Chunk(n, STDOUT, n * MB, b"x" * MB) for n in range(4)]
        proxy.rate = 4 * MB
        began = time.monotonic()
        worker.turn(the_end(claim), output=[OutputPart(claim.token, printed)])
        assert time.monotonic() - began > proxied._db.wait_seconds
        proxy.rate = float("inf")
    assert store.read_output(claim.token) == printed


def test_much_output_of_many_runs_travels_in_parcels_that_the_server_takes(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message of 1 GB it does not, and the turn would fail however often it is tried."""
    add(store, "a", "b")
    sizes = []
    execute = store._db.execute

    def weighed(statement: str, values: Sequence[Any] = ()) -> Any:
        sizes.append(sum(len(value) for value in values if isinstance(value, str)))
        return execute(statement, values)

    with living_worker(store, slots=2) as worker:
        claims = worker.claim(2)
        printed = {
            claim.token: [Chunk(n, STDOUT, n * MB, b"x" * MB) for n in range(16)]
            for claim in claims
        }
        monkeypatch.setattr(store._db, "execute", weighed)
        output = [OutputPart(token, chunks) for token, chunks in printed.items()]
        worker.turn(*map(the_end, claims), output=output)
    assert {token: store.read_output(token) for token in printed} == printed
    assert max(sizes) < 5 * MB


def test_after_a_turn_whose_reply_was_lost_the_worker_learns_what_it_holds(
    proxied: PostgresStore, proxy: TcpProxy
) -> None:
    add(proxied, "a", "b")
    with living_worker(proxied) as worker:
        finish = the_end(worker.claim_one())
        proxy.muted = True
        with pytest.raises(StoreError, match="no answer"):
            worker.turn(finish, free=1)
        proxy.muted = False
        ((token, seq),) = worker.held().items()
        assert seq == proxied.get("b").seq
        assert list(worker.turn(finish).refused) == []
        assert len(proxied.history("a")) == 1
        proxied.release(worker.id, [token], T0)
        assert states(proxied) == {"a": COMPLETED, "b": PENDING}


def test_an_enqueue_whose_reply_was_lost_is_there_whole_or_not_at_all(
    proxied: PostgresStore, proxy: TcpProxy, store: PostgresStore
) -> None:
    add(proxied, "before")
    proxy.muted = True
    for jobs in ([a_job("x"), a_job("y")], [a_job() for _ in range(60)]):
        with pytest.raises(StoreError):
            proxied.enqueue(jobs, T0)
        proxy.cut()
    proxy.muted = False
    assert len(states(store)) in (1, 3, 61, 63)


@pytest.mark.parametrize("number", [1, 60])
def test_it_is_said_whether_what_failed_may_have_been_done(
    number: int, proxied: PostgresStore, proxy: TcpProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who enqueues again what is in already has it run twice."""
    jobs = [a_job() for _ in range(number)]
    for call in (proxied.stats, lambda: proxied.enqueue(jobs, T0)):
        proxied.stats()
        proxy.cut()
        with pytest.raises(StoreError) as told:
            call()
        assert "may have been done" not in told.value.message
    add_total = proxied._add_total

    def mute_at_last(event: str, n: int) -> None:
        add_total(event, n)
        proxy.muted = True

    monkeypatch.setattr(proxied, "_add_total", mute_at_last)
    with pytest.raises(StoreError, match="may have been done") as told:
        proxied.enqueue(jobs, T0)
    assert "before you repeat it" in str(told.value.hint)


def test_a_job_that_was_accepted_is_told_of_though_the_connection_is_lost_then(
    server: PostgresServer,
    database: str,
    run_sql: Sql,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lose_connections(*_of: object) -> None:
        run_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    monkeypatch.setattr("queuectl.cli.enqueue.call", lose_connections)
    assert command_line(["enqueue", "--json", "--db", server.url(database), "true"]) == 0
    assert json.loads(capsys.readouterr().out)["id"] == "j1"


def test_an_interrupt_ends_a_wait_at_once(open_store: Open) -> None:
    store, other = open_store(), open_store()
    add(store, "a")
    with store._db.write():
        store._db.execute(sql("lock_jobs"), ([1],)).fetchall()
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            other.cancel(["a"], T0)
        assert time.monotonic() - began < 15
    assert other.cancel(["a"], T0)[0].result == "done"
