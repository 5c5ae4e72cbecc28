"""Ringing across hosts: heard at once, never trusted, sent outside everybody's way."""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator

import pytest

from postgres_server import PostgresServer
from queuectl.store.postgres import PostgresStore
from queuectl.store.postgres.notify import Listener
from store.helpers import add
from tcp_proxy import tcp_proxy

Open = Callable[..., PostgresStore]


@pytest.fixture
def listener(store: PostgresStore) -> Iterator[Listener]:
    listener = store.listen()
    assert listener is not None
    yield listener
    listener.close()


def hears(listener: Listener, within: float = 10.0) -> bool:
    """Wait until something has come; whether it was a ring."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if select.select([listener.fileno()], [], [], 0.05)[0] and listener.drain():
            return True
    return False


def passes_its_test(listener: Listener) -> bool:
    """Test it, and give the answer time to come."""
    assert listener.test()
    deadline = time.monotonic() + 10
    while not listener.proven and time.monotonic() < deadline:
        select.select([listener.fileno()], [], [], 0.05)
        assert not listener.drain()
    return listener.test()


def test_a_ring_is_heard_over_another_connection(listener: Listener, open_store: Open) -> None:
    assert not listener.drain()
    open_store().announce()
    assert hears(listener)
    assert not listener.drain()


def test_several_rings_are_one_wake_up(listener: Listener, store: PostgresStore) -> None:
    for _ in range(50):
        store.announce()
    assert hears(listener)
    store.close()
    time.sleep(0.05)
    listener.drain()
    assert not listener.drain()


def test_a_ring_that_was_held_back_is_sent_in_the_end(
    listener: Listener, open_store: Open
) -> None:
    other = open_store()
    other.announce()
    assert hears(listener)
    for _ in range(3):
        other.announce()
    listener.drain()
    other.close()
    assert hears(listener) or listener.drain() is False


def test_a_store_is_not_woken_by_another(
    listener: Listener, server: PostgresServer, home: str
) -> None:
    name = server.new_database()
    try:
        with PostgresStore(server.url(name), home) as other:
            other.announce()
            assert not hears(listener, 0.2)
    finally:
        server.drop_database(name)


def test_an_enqueue_does_not_notify_in_its_transaction(
    listener: Listener, store: PostgresStore
) -> None:
    add(store, "a")
    assert not hears(listener, 0.2)


def test_the_listener_proves_that_it_hears(listener: Listener) -> None:
    assert not listener.proven
    assert passes_its_test(listener)
    assert listener.proven


def test_a_test_is_not_taken_for_a_ring_by_others(listener: Listener, open_store: Open) -> None:
    other = open_store().listen()
    assert other is not None
    assert passes_its_test(other)
    assert not hears(listener, 0.2)
    other.close()


def test_a_half_open_connection_is_found_by_the_test(
    server: PostgresServer, database: str, open_store: Open
) -> None:
    with tcp_proxy(server.port) as proxy:
        store = open_store(f"postgresql://postgres@127.0.0.1:{proxy.port}/{database}")
        listener = store.listen()
        assert listener is not None
        assert passes_its_test(listener)
        proxy.stalled = True
        began = time.monotonic()
        while listener.test():
            assert time.monotonic() - began < 10
        assert not listener.alive
        assert time.monotonic() - began < 1
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
