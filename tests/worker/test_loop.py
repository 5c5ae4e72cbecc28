"""Workers at work: what runs when, where, how often, and what they hear meanwhile."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, PENDING, PROCESSING
from queuectl.worker.slots import Watch

from .helpers import NEVER, PATIENCE, Shop, lines_of, lives, time_passes, wait_until

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


CLOCK_THAT_IS_SET = """
import os, time
real, real_ns = time.time, time.time_ns
ahead = lambda: 3600 if os.path.exists({flag!r}) else 0
time.time = lambda: real() + ahead()
time.time_ns = lambda: real_ns() + ahead() * 1_000_000_000
"""


def test_a_job_for_later_starts_soon_when_the_clock_is_set_past_its_time(
    shop: Shop, site: Callable[[str], dict[str, str]]
) -> None:
    """As when the machine has slept."""
    shop.configure(worker_poll_interval=0.1)
    flag = shop.folder / "set"
    shop.start(env=site(CLOCK_THAT_IS_SET.format(flag=str(flag))))
    job_id = shop.add("true", run_at=now_ms() + 3_000_000)
    shop.run("true")
    watch = Watch(shop.store.slot_dir, shop.worker().id)

    def is_at_rest() -> bool:
        before = watch.turns()
        time_passes(0.5)
        return watch.turns() == before

    wait_until(is_at_rest)
    watch.close()
    flag.touch()
    # A loop that nothing wakes turns every 20 s.
    shop.wait_for(job_id, COMPLETED, seconds=10)


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


def test_idle_workers_hear_of_what_anothers_job_has_set_free(shop: Shop) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start(count=3)
    shop.add("sleep 0.2", "first")
    children = ["c1", "c2", "c3"]
    meeting = "; ".join(f"while [ ! -e {child} ]; do sleep 0.02; done" for child in children)
    for child in children:
        shop.add(f"touch {child}; {meeting}", child, after=("first",))
    for child in children:
        assert shop.wait_for(child).state == COMPLETED


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


# -- the store ---------------------------------------------------------------------------


def test_a_store_that_is_locked_delays_no_time_limit_and_loses_nothing(shop: Shop) -> None:
    witness = shop.folder / "witness"
    shop.configure(lease_seconds=3)
    shop.start(concurrency=3)
    shop.run("true")
    worker = shop.worker().id
    shop.add("for i in 1 2 3 4; do echo $i; sleep 0.7; done", "talks")
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
    assert shop.output("talks") == "1\n2\n3\n4\n"
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
