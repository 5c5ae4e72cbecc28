"""Claims of a fleet are leases: they last as long as the heartbeats, by the server's clock."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from postgres_server import PostgresServer, wait_until_somebody_waits
from queuectl.errors import Refused, WorkerGone
from queuectl.model import FAILED, PENDING, PROCESSING
from queuectl.store.postgres import PostgresStore
from queuectl.worker.rescue import rescue_all
from store.helpers import T0, LivingWorker, add, living_worker, states, the_end

ELSEWHERE = {"host": "elsewhere", "boot_id": "another", "pid_namespace": "pid:[7]"}

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def far_worker(store: PostgresStore) -> Iterator[LivingWorker]:
    """A worker on a host that is not this one."""
    with living_worker(store, "far", **ELSEWHERE) as worker:
        yield worker


def end_lease(run_sql: Sql) -> None:
    run_sql("UPDATE queuectl.workers SET lease_until = clock_timestamp() - interval '1 ms'")


def seconds_left(run_sql: Sql) -> float:
    ((left,),) = run_sql(
        "SELECT extract(epoch FROM lease_until - clock_timestamp()) FROM queuectl.workers"
    )
    return float(left)


def test_a_lease_lasts_for_lease_seconds_as_they_were_at_the_registration(
    store: PostgresStore, run_sql: Sql
) -> None:
    store.set_config("lease_seconds", "40")
    with living_worker(store, **ELSEWHERE) as worker:
        store.set_config("lease_seconds", "400")
        assert 30 < seconds_left(run_sql) <= 40
        run_sql("UPDATE queuectl.workers SET lease_until = clock_timestamp() + interval '5 s'")
        store.heartbeat(worker.id, T0)
        assert 30 < seconds_left(run_sql) <= 40


def test_a_heartbeat_goes_by_the_servers_clock_and_not_by_the_hosts(
    store: PostgresStore, far_worker: LivingWorker, run_sql: Sql
) -> None:
    store.heartbeat(far_worker.id, 1)
    assert seconds_left(run_sql) > 100


def test_a_worker_whose_lease_has_ended_may_neither_renew_nor_take_a_turn(
    store: PostgresStore, far_worker: LivingWorker, run_sql: Sql
) -> None:
    add(store, "a", "b")
    claim = far_worker.claim_one()
    end_lease(run_sql)
    with pytest.raises(WorkerGone):
        store.heartbeat(far_worker.id, T0)
    with pytest.raises(WorkerGone):
        far_worker.turn(the_end(claim), free=1)
    with pytest.raises(WorkerGone):
        far_worker.turn(free=1)
    assert states(store) == {"a": PROCESSING, "b": PENDING}


def test_others_see_that_a_lease_has_ended_and_take_the_jobs_back(
    store: PostgresStore, far_worker: LivingWorker, run_sql: Sql
) -> None:
    add(store, "a")
    far_worker.claim_one()
    assert store.lost_workers(T0 + 10**9) == []
    assert [w.alive for w in store.workers()] == [True]
    end_lease(run_sql)
    assert [w.id for w in store.lost_workers(T0)] == ["far"]
    assert [w.alive for w in store.workers()] == [False]
    assert store.rescue("far", None, T0) == ["a"]
    assert states(store) == {"a": FAILED}
    assert store.workers() == []


def test_a_worker_of_another_host_is_not_rescued_before_its_lease_has_ended(
    store: PostgresStore, far_worker: LivingWorker
) -> None:
    add(store, "a")
    claim = far_worker.claim_one()
    far_worker.die()  # which nobody here can know
    with pytest.raises(Refused):
        store.rescue("far", None, T0)
    assert far_worker.held() == {claim.token: claim.seq}


@pytest.mark.parametrize("other", ["host", "boot_id", "pid_namespace"])
def test_a_free_lock_proves_nothing_about_another_host_boot_or_container(
    store: PostgresStore, other: str
) -> None:
    with living_worker(store, **{other: "another"}) as worker:
        worker.die()
        assert [w.alive for w in store.workers()] == [True]
        with pytest.raises(Refused):
            store.rescue(worker.id, None, T0)


def test_nobody_begins_to_rescue_a_worker_of_another_boot_before_its_lease_has_ended(
    store: PostgresStore, run_sql: Sql
) -> None:
    """Its slot file is here, and free, once the host has booted anew."""
    add(store, "a")
    with living_worker(store, boot_id="another") as worker:
        worker.claim_one()
        worker.die()
        assert rescue_all(store, 0) == []
        assert os.path.exists(worker.slot_file)
        end_lease(run_sql)
        assert rescue_all(store, 0) == ["a"]
        assert not os.path.exists(worker.slot_file)


def test_the_rescuer_may_hold_the_lock_of_the_slot_file_itself(store: PostgresStore) -> None:
    with living_worker(store, pid=2**22 + 1) as worker:  # no such process; the file is locked
        add(store, "a")
        worker.claim_one()
        assert store.rescue(worker.id, None, T0) == ["a"]


def test_a_living_worker_with_its_slot_files_elsewhere_is_not_taken_for_dead(
    store: PostgresStore, server: PostgresServer, database: str, tmp_path: Any
) -> None:
    other_home = PostgresStore(server.url(database), str(tmp_path / "other"))
    with living_worker(other_home) as worker:
        assert [w.alive for w in store.workers()] == [True]
        with pytest.raises(Refused):
            store.rescue(worker.id, None, T0)
    other_home.close()


def test_a_dead_worker_whose_slot_file_cannot_be_seen_keeps_its_jobs_until_its_lease_ends(
    store: PostgresStore, server: PostgresServer, database: str, tmp_path: Any, run_sql: Sql
) -> None:
    """Another user's, or another home's: what it ran may live, and only its own can end it."""
    other_home = PostgresStore(server.url(database), str(tmp_path / "other"))
    with living_worker(other_home, pid=2**22 + 1) as worker:  # no such process
        add(store, "a")
        worker.claim_one()
        assert store.lost_workers(T0) == []
        with pytest.raises(Refused):
            store.rescue(worker.id, None, T0)
        end_lease(run_sql)
        assert [w.id for w in store.lost_workers(T0)] == [worker.id]
        assert store.rescue(worker.id, None, T0) == ["a"]
    other_home.close()


def test_a_rescue_waits_for_the_turn_that_is_under_way_and_takes_back_its_claims(
    store: PostgresStore,
    far_worker: LivingWorker,
    run_sql: Sql,
    open_store: Callable[[], PostgresStore],
) -> None:
    add(store, "a")
    settled: list[list[str]] = []
    with store._db.write():
        # A turn over the worker's connection, not committed yet.
        store._db.execute("SELECT queuectl.enter_turn('far', $1)", (store._db.session,))
        rows = store._claim("far", _want_one(), T0)
        assert rows is not None
        rows.fetchall()
        rescuer = open_store()
        run_sql_in_thread = threading.Thread(
            target=lambda: settled.append(_rescue_after_lease(rescuer, run_sql))
        )
        run_sql_in_thread.start()
        wait_until_somebody_waits(run_sql)
    run_sql_in_thread.join(20)
    assert settled == [["a"]]
    assert states(store) == {"a": FAILED}


def _want_one() -> Any:
    from queuectl.model import Want

    return Want(1)


def _rescue_after_lease(rescuer: PostgresStore, run_sql: Sql) -> list[str]:
    end_lease(run_sql)
    return rescuer.rescue("far", None, T0)


def test_a_heartbeat_and_a_rescue_cannot_both_win(
    store: PostgresStore,
    far_worker: LivingWorker,
    run_sql: Sql,
    server: PostgresServer,
    database: str,
) -> None:
    add(store, "a")
    far_worker.claim_one()
    end_lease(run_sql)
    # A rescue of another connection that has locked the worker and not committed.
    with psycopg.connect(server.url(database)) as rescuer:
        rescuer.execute("SELECT FROM queuectl.workers WHERE id = 'far' FOR UPDATE")
        outcome: list[BaseException | None] = []

        def beat() -> None:
            try:
                store.heartbeat("far", T0)
                outcome.append(None)
            except WorkerGone as error:
                outcome.append(error)

        beating = threading.Thread(target=beat)
        beating.start()
        rescuer.execute("DELETE FROM queuectl.workers WHERE id = 'far'")
        rescuer.commit()
    beating.join(20)
    assert isinstance(outcome[0], WorkerGone)


def test_a_rescue_waits_for_a_heartbeat_that_is_under_way_and_heeds_it(
    store: PostgresStore,
    far_worker: LivingWorker,
    run_sql: Sql,
    server: PostgresServer,
    database: str,
) -> None:
    add(store, "a")
    claim = far_worker.claim_one()
    answer: list[object] = []

    def rescue() -> None:
        try:
            answer.append(store.rescue("far", None, T0))
        except Refused as refusal:
            answer.append(refusal)

    end_lease(run_sql)  # which is what others see of it until the commit
    renew = "UPDATE queuectl.workers SET lease_until = clock_timestamp() + interval '100 s'"
    with psycopg.connect(server.url(database)) as beating:
        beating.execute(renew)  # in time, but its commit is slow
        rescuing = threading.Thread(target=rescue)
        rescuing.start()
        wait_until_somebody_waits(run_sql)
        beating.commit()
    rescuing.join(20)
    assert isinstance(answer[0], Refused)
    assert far_worker.held() == {claim.token: claim.seq}


# -- after a call of unknown outcome -----------------------------------------------------


def test_a_turn_that_arrives_after_the_worker_came_back_claims_nothing(
    store: PostgresStore, open_store: Callable[[], PostgresStore], run_sql: Sql
) -> None:
    add(store, "a")
    with living_worker(store, **ELSEWHERE) as worker:
        old = store._db.session
        come_back = open_store()
        assert come_back.held(worker.id) == {}
        with pytest.raises(psycopg.DatabaseError) as refusal:
            run_sql(f"SELECT queuectl.enter_turn('{worker.id}', {old})")
        assert refusal.value.sqlstate == "QC002"
    assert states(store) == {"a": PENDING}


def test_held_waits_for_a_turn_whose_reply_was_lost(
    store: PostgresStore, open_store: Callable[[], PostgresStore], run_sql: Sql
) -> None:
    add(store, "a")
    held: list[dict[int, int]] = []
    with living_worker(store, "w", **ELSEWHERE):
        other = open_store()
        asking = threading.Thread(target=lambda: held.append(other.held("w")))
        with store._db.write():
            store._db.execute("SELECT queuectl.enter_turn('w', $1)", (store._db.session,))
            rows = store._claim("w", _want_one(), T0)
            (claim,) = store._claims_of(rows.fetchall())
            asking.start()
            wait_until_somebody_waits(run_sql)
            assert held == []
        asking.join(20)
    assert held == [{claim.token: claim.seq}]


def test_a_worker_that_came_back_goes_on_as_before(
    store: PostgresStore, open_store: Callable[[], PostgresStore]
) -> None:
    add(store, "a", "b")
    with living_worker(store) as worker:
        claim = worker.claim_one()
        other = open_store()
        assert other.held(worker.id) == {claim.token: claim.seq}
        # Whichever connection the living client uses, its turn is taken.
        assert list(worker.turn(the_end(claim), free=1).refused) == []
        assert states(store)["b"] == PROCESSING
