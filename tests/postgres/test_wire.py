"""Statements that travel together, over libpq itself."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from postgres_server import PostgresServer
from queuectl.store.postgres.failures import NoAnswerError
from queuectl.store.postgres.wire import Connection, Trip
from tcp_proxy import tcp_proxy


@pytest.fixture
def connection(server: PostgresServer) -> Iterator[Connection]:
    with Connection.connect(server.url(), autocommit=True, prepare_threshold=None) as found:
        found.prepares = True
        yield found


def prepared(connection: Connection) -> list[str]:
    rows = connection.execute("SELECT statement FROM pg_prepared_statements ORDER BY 1")
    return [statement for (statement,) in rows.fetchall()]


def test_answers_come_in_any_order_they_are_asked_for(connection: Connection) -> None:
    with Trip(connection) as trip:
        one = trip.execute("SELECT $1::int", (1,))
        two = trip.execute("SELECT $1::text, $2::bytea[]", ("zwei", [b"\0", b"x"]))
        assert two.fetchall() == [("zwei", [b"\0", b"x"])]
        three = trip.execute("SELECT generate_series(1, 3)", ())
        assert one.fetchall() == [(1,)]
    assert three.fetchall() == [(1,), (2,), (3,)]
    assert three.rowcount == 3


def test_what_is_sent_is_prepared_by_statement_and_types(connection: Connection) -> None:
    for value in (1, 2, 3, 70_000, 80_000, None):
        with Trip(connection) as trip:
            assert trip.execute("SELECT $1::bigint", (value,)).fetchall() == [(value,)]
    a_type_each = ["SELECT $1::bigint"] * 3  # small, large, of no type
    assert prepared(connection) == a_type_each
    connection.prepares = False
    with Trip(connection) as trip:
        assert [trip.execute("SELECT 5", ()).fetchall() for _ in range(3)] == [[(5,)]] * 3
    assert prepared(connection) == a_type_each


def test_the_first_failure_is_raised_and_the_rest_is_left_undone(
    connection: Connection,
) -> None:
    connection.execute("CREATE TEMP TABLE seen (n int)")
    for _ in range(3):
        with pytest.raises(psycopg.errors.DivisionByZero), Trip(connection) as trip:
            trip.execute("SELECT 1 / $1::int", (0,))
            trip.execute("INSERT INTO seen VALUES (1)", ())
        with pytest.raises(psycopg.errors.DivisionByZero), Trip(connection) as trip:
            failing = trip.execute("SELECT 1 / $1::int", (0,))
            behind = trip.execute("INSERT INTO seen VALUES (2)", ())
            failing.fetchall()
    assert behind.result.status == psycopg.pq.ExecStatus.PIPELINE_ABORTED
    assert connection.execute("SELECT * FROM seen").fetchall() == []
    # Their preparation went under each time: nobody takes them for prepared.
    for _ in range(3):
        with Trip(connection) as trip:
            trip.execute("INSERT INTO seen VALUES (1)", ())
    assert connection.execute("SELECT count(*) FROM seen").fetchall() == [(3,)]


def test_an_error_of_the_caller_ends_the_trip_in_order(connection: Connection) -> None:
    with pytest.raises(KeyError), Trip(connection) as trip:
        trip.execute("SELECT 1", ())
        raise KeyError
    with Trip(connection) as trip:
        assert trip.execute("SELECT 2", ()).fetchall() == [(2,)]


def test_more_may_travel_than_the_sockets_hold(connection: Connection) -> None:
    load = "x" * 100_000
    with Trip(connection) as trip:
        answers = [trip.execute("SELECT $1::text || $2::int", (load, n)) for n in range(200)]
    for n, answer in enumerate(answers):
        assert answer.fetchall() == [(f"{load}{n}",)]


def test_a_trip_is_given_up_at_its_deadline(connection: Connection) -> None:
    connection.patience = 0.0
    with pytest.raises(NoAnswerError), Trip(connection) as trip:
        trip.execute("SELECT pg_sleep(10)", ()).fetchall()
    assert connection.closed


def test_each_leg_of_a_trip_has_the_whole_time(connection: Connection) -> None:
    """A server far away needs long for many, and is there all the time."""
    connection.patience = 2.0
    with Trip(connection) as trip:
        for n in range(5):
            answer = trip.execute("SELECT $1::int, pg_sleep(0.5)", (n,))
            assert answer.fetchall() == [(n, "")]


def test_a_long_answer_may_take_longer_as_long_as_it_goes_on(server: PostgresServer) -> None:
    with tcp_proxy(server.port) as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}/postgres"
        with Connection.connect(url, autocommit=True, prepare_threshold=None) as connection:
            connection.patience = 1.0
            proxy.rate = 4_000_000
            began = time.monotonic()
            with Trip(connection) as trip:
                answer = trip.execute("SELECT repeat('x', 8000000)", ())
                assert len(answer.fetchall()[0][0]) == 8_000_000
            assert time.monotonic() - began > connection.patience


def test_a_server_that_goes_away_is_told_apart(
    connection: Connection, server: PostgresServer
) -> None:
    pid = connection.info.backend_pid
    with pytest.raises(psycopg.errors.AdminShutdown), Trip(connection) as trip:
        trip.execute("SELECT 1", ()).fetchall()
        server.run_sql(f"SELECT pg_terminate_backend({pid}, 5000)")
        trip.execute("SELECT 2", ())
    assert connection.closed
