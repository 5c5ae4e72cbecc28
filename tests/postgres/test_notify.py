"""Ringing across hosts: heard at once, never trusted, sent outside everybody's way."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from postgres_server import PostgresServer
from queuectl.errors import StoreError
from queuectl.store.postgres import PostgresStore, notify
from queuectl.store.postgres.notify import Listener
from queuectl.store.postgres.wire import Connection
from store.helpers import add
from tcp_proxy import tcp_proxy

Open = Callable[..., PostgresStore]


@pytest.fixture
def listener(store: PostgresStore) -> Iterator[Listener]:
    listener = store.listen()
    assert listener is not None
    yield listener
    listener.close()


def hears(listener: Listener) -> bool:
    """Wait until somebody rings; whether anybody did."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if select.select([listener.fileno()], [], [], 0.05)[0] and listener.drain():
            return True
    return False


def passes_its_test(listener: Listener) -> bool:
    """Test it, and give the answer time to come."""
    return hears_nothing(listener) and listener.test()


def hears_nothing(listener: Listener) -> bool:
    """Whether nobody has rung: what is sent first comes first, and its own test comes."""
    listener.proven = False
    assert listener.test()
    deadline = time.monotonic() + 20
    while not listener.proven and time.monotonic() < deadline:
        select.select([listener.fileno()], [], [], 0.05)
        if listener.drain():
            return False
    return listener.proven


def test_a_ring_is_heard_over_another_connection(listener: Listener, open_store: Open) -> None:
    assert not listener.drain()
    open_store().announce()
    assert hears(listener)
    assert not listener.drain()


def test_rings_close_to_each_other_are_held_back_and_one_is_sent_in_the_end(
    listener: Listener, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "_LEAST_PAUSE", 3600)
    other = open_store()
    other.announce()
    assert hears(listener)
    for _ in range(50):
        other.announce()
    assert hears_nothing(listener)
    other.close()
    assert hears(listener)
    assert hears_nothing(listener)


def test_a_store_is_not_woken_by_another(
    listener: Listener, server: PostgresServer, home: str
) -> None:
    name = server.new_database()
    try:
        with PostgresStore(server.url(name), home) as other:
            other.announce()
            assert hears_nothing(listener)
    finally:
        server.drop_database(name)


def test_an_enqueue_does_not_notify_in_its_transaction(
    listener: Listener, store: PostgresStore
) -> None:
    add(store, "a")
    assert hears_nothing(listener)


def test_the_listener_proves_that_it_hears(listener: Listener) -> None:
    assert not listener.proven
    assert passes_its_test(listener)
    assert listener.proven


def test_a_test_is_not_taken_for_a_ring_by_others(listener: Listener, open_store: Open) -> None:
    other = open_store().listen()
    assert other is not None
    assert passes_its_test(other)
    assert hears_nothing(listener)
    other.close()


def test_a_half_open_connection_is_found_by_the_test(
    server: PostgresServer, database: str, open_store: Open
) -> None:
    with tcp_proxy(server.port) as proxy:
        store = open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}")
        listener = store.listen()
        assert listener is not None
        assert hears_nothing(listener)
        proxy.stalled = True
        assert listener.test()
        assert not listener.test()
        assert not listener.alive
        proxy.stalled = False


def test_no_listener_waits_for_a_network_that_falls_silent_after_the_login(
    server: PostgresServer, database: str, open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tcp_proxy(server.port) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}"
        store = open_store(url, wait_seconds=0.5)
        connect = Connection.connect

        def then_silence(*given: Any, **named: Any) -> Any:
            connection = connect(*given, **named)
            proxy.stalled = True
            return connection

        monkeypatch.setattr(Connection, "connect", then_silence)
        with pytest.raises(StoreError, match="listen"):
            store.listen()
        proxy.stalled = False


def test_a_connection_that_ends_wakes_its_owner(
    listener: Listener, server: PostgresServer
) -> None:
    server.run_sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )
    assert hears(listener)
    assert not listener.alive
    assert not listener.test()


def test_ringing_never_fails(server: PostgresServer, database: str, open_store: Open) -> None:
    with tcp_proxy(server.port) as proxy:
        store = open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}", 1.0)
        proxy.refuse = True
        proxy.cut()
        store.announce()
        store.announce()
