"""Workers that leave: by a signal, through the store, or because nothing is left to do."""

from __future__ import annotations

import signal

import pytest

from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, PENDING, PROCESSING, RELEASED
from queuectl.worker.stopping import stop

from .helpers import NEVER, Shop, lines_of, lives, wait_until, workers_of


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_what_runs_finish_and_takes_nothing_new(shop: Shop, number: int) -> None:
    supervisor = shop.start()
    shop.add("sleep 0.4; echo finished", "runs")
    shop.wait_for_run("runs")
    supervisor.send(number)
    wait_until(lambda: "stopping" in supervisor.log)
    shop.add("true", "new")
    assert supervisor.wait() == 0
    assert shop.states() == {"runs": COMPLETED, "new": PENDING}
    assert shop.output("runs") == "finished\n"
    shop.start()
    shop.wait_for("new")
    (run,) = shop.history("new")
    assert run.token == 2, "it was claimed before, and given back"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_means_now(shop: Shop, number: int) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for_run("runs")
    supervisor.send(number)
    wait_until(lambda: "stopping" in supervisor.log)
    supervisor.send(number)
    assert supervisor.wait() == 0
    assert shop.state("runs") == PENDING


def test_what_the_shutdown_timeout_cuts_off_goes_back_uncharged(shop: Shop) -> None:
    shop.configure(shutdown_timeout=0.3)
    ticks = shop.folder / "ticks"
    supervisor = shop.start(concurrency=2)
    line = f"while :; do echo $$ >> {ticks}; sleep 0.02; done"
    shop.add(line, "twice", max_retries=2)
    shop.add(line, "once", max_retries=1)
    for id in ("twice", "once"):
        shop.wait_for(id, PROCESSING)
    wait_until(lambda: len(set(lines_of(ticks))) == 2)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
    assert not any(lives(int(pid)) for pid in set(lines_of(ticks)))
    twice, once = shop.get("twice"), shop.get("once")
    assert (twice.state, twice.attempts) == (PENDING, 0)
    assert (once.state, once.attempts) == (DEAD, 1)
    assert shop.outcomes("twice") == shop.outcomes("once") == [RELEASED]
    assert [run.charged for run in shop.history("twice") + shop.history("once")] == [
        False,
        True,
    ]


def test_a_worker_is_stopped_through_the_store(shop: Shop) -> None:
    shop.configure(worker_poll_interval=NEVER)
    supervisor = shop.start(count=2)
    shop.add("sleep 0.4", "runs")
    shop.wait_for_run("runs")
    ids = sorted(worker.id for worker in shop.workers())
    assert sorted(stop(shop.store, (), None, now=False, all_hosts=False)) == ids
    assert shop.state("runs") == COMPLETED
    assert supervisor.wait() == 0


def test_one_of_two_workers_is_stopped_and_not_replaced(shop: Shop) -> None:
    supervisor = shop.start(count=2)
    one, other = shop.workers()
    assert stop(shop.store, (one.id,), None, now=False, all_hosts=False) == [one.id]
    assert [worker.id for worker in shop.workers()] == [other.id]
    assert shop.run("true").state == COMPLETED
    assert supervisor.process.poll() is None


def test_stopping_now_gives_what_runs_no_time(shop: Shop) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for_run("runs")
    stop(shop.store, (), None, now=True, all_hosts=False)
    assert (shop.state("runs"), shop.get("runs").attempts) == (PENDING, 0)
    assert supervisor.wait() == 0


def test_a_stop_may_be_hastened_by_another(shop: Shop) -> None:
    shop.configure(shutdown_timeout=60)
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for_run("runs")
    supervisor.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in supervisor.log)
    stop(shop.store, (), 0.1, now=False, all_hosts=False)
    assert supervisor.wait() == 0


def test_a_worker_that_stops_by_a_signal_is_shown_as_stopping(shop: Shop) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for_run("runs")
    assert shop.worker().state == "running"
    supervisor.send(signal.SIGTERM)
    wait_until(lambda: shop.worker().state == "stopping")
    wait_until(lambda: "30 s for runs, then it goes back" in supervisor.log)
    supervisor.send(signal.SIGINT)
    assert supervisor.wait() == 0


def test_a_worker_without_a_supervisor_says_that_it_waits_as_long_as_it_takes(
    shop: Shop,
) -> None:
    supervisor = shop.start()
    shop.add("sleep 2", "runs")
    shop.wait_for_run("runs")
    supervisor.process.kill()
    wait_until(lambda: "stopping: waiting for runs\n" in supervisor.log)
    assert shop.wait_for("runs").state == COMPLETED
    wait_until(lambda: not workers_of(shop.uid))


def test_a_job_can_be_cancelled_while_its_worker_stops(shop: Shop) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for_run("runs")
    supervisor.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in supervisor.log)
    assert shop.cancel("runs") == ["asked"]
    assert supervisor.wait() == 0
    assert shop.state("runs") == CANCELLED


def test_draining_ends_when_nothing_is_due_failed_or_running(shop: Shop) -> None:
    shop.add("exit $((2 - QUEUECTL_ATTEMPT))", "fails", base=0.3)
    shop.add("sleep 0.1", "runs")
    shop.add("true", "later", run_at=now_ms() + 3_600_000)
    shop.store.set_queue("resting", paused=True)
    shop.add("true", "paused", queue="resting")
    supervisor = shop.start(count=2, drain=True, ready=False)
    assert supervisor.wait() == 0
    assert shop.states() == {
        "fails": COMPLETED,
        "runs": COMPLETED,
        "later": PENDING,
        "paused": PENDING,
    }


def test_draining_workers_end_with_the_last_of_them_not_at_their_next_look(
    shop: Shop,
) -> None:
    shop.configure(worker_poll_interval=NEVER)
    for number in range(8):
        shop.add("true", f"short{number}")
    shop.add("sleep 0.5", "long")
    assert shop.start(count=4, drain=True, ready=False).wait() == 0
    assert set(shop.states().values()) == {COMPLETED}


def test_draining_an_empty_store_ends_at_once(shop: Shop) -> None:
    assert shop.start(count=3, drain=True, ready=False).wait() == 0
