"""Workers at work: what runs when, where, how often; what they hear, and when they leave."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING, RELEASED
from queuectl.worker.stopping import stop

from .helpers import PATIENCE, Shop, lines_of, lives, time_passes, wait_until, workers_of

NEVER = 3600
"""A poll interval (seconds) by which nothing in a test is ever seen."""


# -- what runs when ----------------------------------------------------------------------


def test_higher_priority_runs_first_then_first_come(shop: Shop) -> None:
    witness = shop.folder / "order"
    for id, priority in (("a3", 3), ("b10", 10), ("c5", 5), ("d10", 10), ("e5", 5), ("f1", 1)):
        shop.add(f"echo {id} >> {witness}", id, priority=priority)
    assert shop.start(drain=True, ready=False).wait() == 0
    assert lines_of(witness) == ["b10", "d10", "c5", "e5", "a3", "f1"]


def test_a_job_that_fails_is_run_again_after_its_backoff_until_it_is_dead(shop: Shop) -> None:
    shop.start()
    job = shop.wait_for(shop.add("exit 1", max_retries=3, base=0.4))
    assert (job.state, job.attempts) == (DEAD, 3)
    first, second, third = shop.history(job.id)
    for earlier, later, pause in ((first, second, 400), (second, third, 160)):
        assert earlier.finished_at is not None
        assert later.started_at is not None
        assert pause <= later.started_at - earlier.finished_at
    assert [run.charged for run in (first, second, third)] == [True] * 3


def test_a_job_that_succeeds_at_its_second_run_is_completed(shop: Shop) -> None:
    shop.start()
    job = shop.wait_for(shop.add("exit $((2 - QUEUECTL_ATTEMPT))", base=0))
    assert (job.state, job.attempts) == (COMPLETED, 1)
    assert shop.outcomes(job.id) == [FAILED, COMPLETED]


def test_a_job_for_later_starts_when_it_is_due_and_not_before(shop: Shop) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start()
    due = now_ms() + 700
    job = shop.wait_for(shop.add("true", run_at=due))
    assert job.started_at is not None
    assert due <= job.started_at


def test_an_idle_worker_starts_a_job_at_once_without_waiting_for_its_poll(shop: Shop) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start()
    shop.run("true")
    shop.run("true")


def test_a_job_that_nobody_rang_for_is_found_by_the_poll(shop: Shop) -> None:
    shop.configure(worker_poll_interval=0.1)
    shop.start()
    shop.run("true")
    shop.store.enqueue([shop.job("true", "unheard")], now_ms())
    shop.wait_for("unheard")


def test_a_job_that_waits_for_another_follows_it(shop: Shop) -> None:
    witness = shop.folder / "order"
    shop.start(count=2)
    shop.add(f"sleep 0.2; echo first >> {witness}", "first")
    shop.add(f"echo second >> {witness}", "second", after=("first",))
    shop.wait_for("second")
    assert lines_of(witness) == ["first", "second"]


def test_workers_take_only_from_their_queues(shop: Shop) -> None:
    shop.add("true", "mine", queue="mail")
    shop.add("true", "other")
    assert shop.start(queues=["mail", "sms"], drain=True, ready=False).wait() == 0
    assert shop.states() == {"mine": COMPLETED, "other": PENDING}


def test_five_jobs_share_three_workers_and_none_runs_twice(shop: Shop) -> None:
    """No job ends before three have begun; never do more run than there are workers."""
    begun = shop.folder / "begun"
    line = f"echo >> {begun}; until [ $(wc -l < {begun}) -ge 3 ]; do sleep 0.1; done"
    shop.start(count=3)
    ids = shop.add_all([shop.job(line)] * 5)
    assert set(shop.wait_for_all().values()) == {COMPLETED}
    assert [len(shop.history(id)) for id in ids] == [1] * 5
    runs = [run for id in ids for run in shop.history(id)]
    for one in runs:
        assert one.started_at is not None
        beside = [r for r in runs if r.started_at <= one.started_at < r.finished_at]
        assert len(beside) <= 3


def test_ten_workers_run_each_of_500_jobs_once(shop: Shop) -> None:
    witness = shop.folder / "witness"
    shop.start(count=10, ready=False)
    shop.add_all([shop.job(f"echo {n} >> {witness}") for n in range(500)])
    assert Counter(shop.wait_for_all(60).values()) == {COMPLETED: 500}
    assert Counter(lines_of(witness)) == {str(n): 1 for n in range(500)}


def test_slots_are_distinct_among_all_workers_of_one_start(shop: Shop) -> None:
    shop.start(count=2, concurrency=3)
    ids = shop.add_all([shop.job("echo $QUEUECTL_SLOT; sleep 30")] * 7)
    wait_until(lambda: sum(state == PROCESSING for state in shop.states().values()) == 6)
    running = [id for id in ids if shop.state(id) == PROCESSING]
    shop.cancel(*ids)
    shop.wait_for_all()
    assert sorted(shop.output(id).strip() for id in running) == list("012345")


# -- claimed ahead -----------------------------------------------------------------------


def test_a_job_claimed_ahead_does_not_wait_behind_a_long_one(shop: Shop) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start(count=2)
    shop.add_all([shop.job("true")] * 150)  # both are in the swing of very short jobs
    shop.wait_for_all()
    for attempt in range(4):
        long = f"long{attempt}"
        ids = shop.add_all([shop.job("sleep 30", long), *[shop.job("true")] * 20])
        for id in ids[1:]:
            shop.wait_for(id)
        shop.cancel(long)
        shop.wait_for(long)


def test_what_was_claimed_ahead_goes_back_within_a_moment(shop: Shop) -> None:
    shop.start()
    shop.add_all([shop.job("true")] * 100)
    shop.wait_for_all()
    shop.add_all(
        [shop.job("sleep 30", "long"), *(shop.job("true", f"next{n}") for n in range(20))]
    )
    shop.wait_for("long", PROCESSING)
    wait_until(
        lambda: Counter(shop.states().values())[PENDING] == 20, what="for the claims to go back"
    )
    assert shop.state("long") == PROCESSING
    assert shop.history("next0") == []
    assert shop.get("next0").attempts == 0
    shop.cancel("long")
    assert set(shop.wait_for_all().values()) == {COMPLETED, CANCELLED}


def test_jobs_that_may_run_once_only_are_never_claimed_ahead(shop: Shop) -> None:
    shop.start()
    shop.add_all([shop.job("true")] * 100)
    shop.wait_for_all()
    shop.add_all([shop.job("sleep 0.02", max_retries=1) for n in range(30)])

    def over() -> bool:
        counts = shop.store.stats().counts
        assert counts[PROCESSING] <= 1
        return counts[PENDING] + counts[PROCESSING] == 0

    wait_until(over)


# -- cancel ------------------------------------------------------------------------------


def test_a_cancelled_job_never_runs(shop: Shop) -> None:
    witness = shop.folder / "ran"
    shop.add(f"touch {witness}", "waiting")
    assert shop.cancel("waiting") == ["done"]
    assert shop.start(drain=True, ready=False).wait() == 0
    assert (shop.state("waiting"), witness.exists()) == (CANCELLED, False)


def test_a_running_job_is_cancelled_at_once_however_slow_the_poll(shop: Shop) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start()
    id = shop.add("sleep 30")
    shop.wait_for(id, PROCESSING)
    assert shop.cancel(id) == ["asked"]
    assert shop.wait_for(id).state == CANCELLED
    assert shop.run("true").state == COMPLETED


def test_a_job_claimed_ahead_can_be_cancelled(shop: Shop) -> None:
    shop.start()
    shop.add_all([shop.job("true")] * 100)
    shop.wait_for_all()
    ran = shop.folder / "ran"
    jobs = [shop.job(f"sleep 0.04; echo {n} >> {ran}", f"s{n}") for n in range(30)]
    shop.add_all(jobs)
    wait_until(lambda: shop.state("s0") != PENDING)
    shop.cancel(*(f"s{n}" for n in range(1, 30)))
    states = shop.wait_for_all()
    for n in range(30):
        ended = COMPLETED if str(n) in lines_of(ran) else CANCELLED
        assert states[f"s{n}"] == ended


# -- leaving -----------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_what_runs_finish_and_takes_nothing_new(shop: Shop, number: int) -> None:
    supervisor = shop.start()
    shop.add("sleep 0.4; echo finished", "runs")
    shop.wait_for("runs", PROCESSING)
    supervisor.send(number)
    wait_until(lambda: "stopping" in supervisor.log)
    shop.add("true", "new")
    assert supervisor.wait() == 0
    assert shop.states() == {"runs": COMPLETED, "new": PENDING}
    assert shop.output("runs") == "finished\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_means_now(shop: Shop, number: int) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for("runs", PROCESSING)
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
    shop.wait_for("runs", PROCESSING)
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
    shop.wait_for("runs", PROCESSING)
    stop(shop.store, (), None, now=True, all_hosts=False)
    assert (shop.state("runs"), shop.get("runs").attempts) == (PENDING, 0)
    assert supervisor.wait() == 0


def test_a_stop_may_be_hastened_by_another(shop: Shop) -> None:
    shop.configure(shutdown_timeout=60)
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for("runs", PROCESSING)
    supervisor.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in supervisor.log)
    stop(shop.store, (), 0.1, now=False, all_hosts=False)
    assert supervisor.wait() == 0


def test_a_worker_that_stops_by_a_signal_is_shown_as_stopping(shop: Shop) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for("runs", PROCESSING)
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
    shop.add("sleep 0.5", "runs")
    shop.wait_for("runs", PROCESSING)
    supervisor.process.kill()
    wait_until(lambda: "stopping: waiting for runs\n" in supervisor.log)
    assert shop.wait_for("runs").state == COMPLETED
    wait_until(lambda: not workers_of(shop.uid))


def test_a_job_can_be_cancelled_while_its_worker_stops(shop: Shop) -> None:
    supervisor = shop.start()
    shop.add("sleep 30", "runs")
    shop.wait_for("runs", PROCESSING)
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


# -- the store ---------------------------------------------------------------------------


def test_a_store_that_is_locked_delays_no_time_limit_and_loses_nothing(shop: Shop) -> None:
    witness = shop.folder / "witness"
    shop.configure(lease_seconds=3)
    shop.start(concurrency=2)
    shop.run("true")
    worker = shop.worker().id
    shop.add(f"echo long >> {witness}; exec sleep 30", "long", timeout_seconds=1, max_retries=1)
    shop.add(f"echo short >> {witness}; exec sleep 0.2", "short")
    wait_until(lambda: len(lines_of(witness)) == 2)
    pids = [int(pid) for pid in _children(shop)]
    shop.add("echo $QUEUECTL_ATTEMPT", "waiting")
    with shop.locked():
        wait_until(lambda: not any(map(lives, pids)), what="for the time limit")
        time_passes(3.4)  # more than a lease
    states = shop.wait_for_all()
    assert states["long"] == DEAD
    assert shop.outcomes("long") == ["timeout"]
    assert (states["short"], states["waiting"]) == (COMPLETED, COMPLETED)
    assert sorted(lines_of(witness)) == ["long", "short"]
    assert shop.output("waiting") == "1\n"
    assert shop.worker().id == worker


def _children(shop: Shop) -> list[str]:
    pid = shop.worker().pid
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


def test_a_change_of_config_reaches_workers_that_run(shop: Shop) -> None:
    shop.configure(worker_poll_interval=0.1, kill_grace=60)
    shop.start()
    assert shop.output(shop.run("seq 1 99").id) != ""
    shop.configure(output_limit=4, kill_grace=0.1)
    wait_until(lambda: shop.output(shop.run("echo 1234567890").id) == "120\n")
    job = shop.run("trap '' TERM; while :; do sleep 0.02; done", timeout_seconds=0.1)
    assert job.outcome == "timeout"


def test_a_shorter_poll_is_taken_up_by_workers_that_run(shop: Shop) -> None:
    shop.configure(worker_poll_interval=2)
    shop.start()
    shop.run("true")
    shop.configure(worker_poll_interval=0.05)
    pauses = []
    deadline = time.monotonic() + PATIENCE
    while not (len(pauses) > 2 and max(pauses[-3:]) < 1):
        assert time.monotonic() < deadline, pauses
        began = time.monotonic()
        (id,) = shop.store.enqueue([shop.job("true")], now_ms())
        shop.wait_for(id)
        pauses.append(time.monotonic() - began)


def test_what_ended_long_enough_ago_is_pruned(shop: Shop) -> None:
    shop.configure(worker_poll_interval=0.1)
    shop.start()
    ended = shop.run("true", id="old").finished_at
    shop.add("true", "waits", run_at=now_ms() + 3_600_000)
    assert ended is not None
    wait_until(lambda: now_ms() > ended + 1000)
    shop.configure(retention=1)
    wait_until(lambda: "old" not in shop.states(), what="for the job to be pruned")
    assert shop.states() == {"waits": PENDING}


def test_an_idle_worker_uses_no_time_of_the_processor(shop: Shop) -> None:
    shop.start()
    shop.run("true")
    pid = shop.worker().pid
    before = _ticks(pid)
    time_passes(1)
    assert _ticks(pid) - before <= 0.03 * os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    fields = text[text.rfind(")") + 2 :].split()
    return int(fields[11]) + int(fields[12])
