"""What becomes of jobs and workers when somebody dies: a worker, its supervisor, everybody."""

from __future__ import annotations

import signal
import struct
import time
from pathlib import Path

import pytest

from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, LOST, PENDING, PROCESSING
from queuectl.worker.rescue import rescue_all

from .helpers import (
    NEVER,
    Shop,
    Supervisor,
    kill,
    lines_of,
    lives,
    state_of,
    wait_until,
    workers_of,
)
from .witness import Witness

# -- a worker dies -----------------------------------------------------------------------


def test_a_worker_that_is_killed_is_replaced_and_its_jobs_rescued_at_once(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start()
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    first = witness.wait("job")
    killed = shop.worker()
    kill(killed.pid)
    job = shop.wait_for("job")
    assert not lives(first)
    assert (job.state, job.attempts) == (COMPLETED, 1)
    assert shop.outcomes("job") == [LOST, COMPLETED]
    assert shop.history("job")[0].worker_id == killed.id
    assert shop.worker().id != killed.id
    witness.check()


def test_only_what_had_started_is_charged(shop: Shop, witness: Witness) -> None:
    shop.start()
    shop.add_all([shop.job("true")] * 100)  # it will claim ahead
    shop.wait_for_all()
    waiting = [shop.job(witness.line("true"), f"w{n}") for n in range(20)]
    shop.add_all([shop.job(witness.line("sleep 30"), "runs", base=100), *waiting])
    witness.wait("runs")
    kill(shop.worker().pid)
    for n in range(20):
        job = shop.wait_for(f"w{n}")
        assert (job.state, job.attempts, len(witness.begun(job.id))) == (COMPLETED, 0, 1)
    assert shop.wait_for("runs", FAILED).attempts == 1
    shop.cancel("runs")


def test_a_run_that_may_happen_once_only_is_dead_with_its_worker(
    shop: Shop, witness: Witness
) -> None:
    shop.start()
    shop.add(witness.line("sleep 30"), "once", max_retries=1)
    witness.wait("once")
    kill(shop.worker().pid)
    assert shop.wait_for("once").state == DEAD
    assert len(witness.begun("once")) == 1
    witness.check()


def test_a_dead_workers_whole_trees_are_ended_before_their_jobs_run_again(
    shop: Shop, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    stubborn = f'trap "" TERM; echo $$ >> {pids}; while :; do sleep 0.02; done'
    # The second run fails if any process of the first is left.
    tree = f"setsid sh -c '{stubborn}' & sh -c '{stubborn}' & {stubborn}"
    look = (
        f"for p in $(cat {pids}); do ! grep -q 'State:.[^ZX]' /proc/$p/status || exit 9; done"
    )
    shop.start()
    shop.add(f"if [ $QUEUECTL_ATTEMPT = 1 ]; then {tree}; else {look}; fi", "job", base=0)
    wait_until(lambda: len(lines_of(pids)) == 3)
    kill(shop.worker().pid)
    assert shop.wait_for("job").state == COMPLETED, shop.history("job")


def test_a_job_cancelled_as_its_worker_dies_does_not_run_again(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(worker_poll_interval=NEVER)
    shop.start()
    shop.add(witness.line("sleep 30"), "job")
    witness.wait("job")
    shop.store.cancel(["job"], now_ms())  # and nobody rings: the worker does not know
    assert shop.state("job") == PROCESSING
    kill(shop.worker().pid)
    assert shop.wait_for("job").state == CANCELLED
    assert len(witness.begun("job")) == 1


def test_a_worker_rescues_what_another_start_left_behind(shop: Shop, witness: Witness) -> None:
    shop.configure(worker_poll_interval=0.1)
    doomed = shop.start(queues=["doomed"])
    shop.add(
        witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", queue="doomed", base=0
    )
    witness.wait("job")
    victims = [worker.pid for worker in shop.workers(doomed)]
    shop.start()
    kill(doomed.pid)
    doomed.wait()
    for pid in victims:
        kill(pid)
    assert shop.wait_for("job").attempts == 1
    witness.check()


def _add_one_that_will_not_end_and_one_for_its_slot(shop: Shop, pids: Path) -> None:
    shop.add(
        f'trap "" TERM; echo $$ >> {pids}; while :; do sleep 0.02; done', "stubborn", base=1000
    )
    wait_until(lambda: lines_of(pids))
    see = f"! grep -q 'State:.[^ZX]' /proc/$(cat {pids})/status"
    shop.add(f"[ $QUEUECTL_SLOT = 0 ] && {see}", "next", max_retries=1)


@pytest.mark.parametrize("others", [0, 1])
def test_nothing_is_started_in_a_slot_while_a_dead_workers_run_lives_on_in_it(
    shop: Shop, tmp_path: Path, witness: Witness, others: int
) -> None:
    shop.configure(kill_grace=1, worker_poll_interval=0.1)
    shop.start(count=1)
    first = shop.worker()
    _add_one_that_will_not_end_and_one_for_its_slot(shop, tmp_path / "pids")
    if others:  # it rescues, and has no time for more
        shop.add(witness.line("while [ ! -e go ]; do sleep 0.02; done"), "busy", queue="other")
        shop.start(queues=["other"])
        witness.wait("busy")
    kill(first.pid)
    assert shop.wait_for("next").state == COMPLETED, shop.logs
    shop.cancel("stubborn")
    (shop.folder / "go").touch()
    assert shop.wait_for_all()["stubborn"] == CANCELLED


def test_nor_is_it_when_the_next_worker_dies_of_the_same(shop: Shop, tmp_path: Path) -> None:
    shop.configure(kill_grace=1)
    shop.start()
    _add_one_that_will_not_end_and_one_for_its_slot(shop, tmp_path / "pids")
    first = shop.worker()
    kill(first.pid)
    (second,) = wait_until(lambda: [w for w in shop.workers() if w.id != first.id])
    kill(second.pid)
    assert shop.wait_for("next").state == COMPLETED, shop.logs
    shop.cancel("stubborn")


def test_a_worker_that_dies_again_and_again_is_started_with_pauses(shop: Shop) -> None:
    supervisor = shop.start()
    seen: list[int] = []
    for _ in range(2):
        worker = wait_until(lambda: [w.pid for w in shop.workers() if w.pid not in seen])[0]
        seen.append(worker)
        died = time.monotonic()
        kill(worker)
    wait_until(lambda: [w for w in shop.workers() if w.pid not in seen])
    assert time.monotonic() - died > 1.5
    assert supervisor.log.count("starting another") == 2


# -- everything dies ---------------------------------------------------------------------


def test_a_supervisor_that_is_to_stop_takes_back_what_its_dead_worker_ran(
    shop: Shop, witness: Witness
) -> None:
    supervisor = shop.start()
    shop.add(witness.line("sleep 30"), "job", base=100)
    first = witness.wait("job")
    worker = shop.worker()
    supervisor.send(signal.SIGSTOP)
    kill(worker.pid)
    wait_until(lambda: state_of(worker.pid) == "Z")
    supervisor.send(signal.SIGTERM)  # both are news to it at the same time
    supervisor.send(signal.SIGCONT)
    assert supervisor.wait() == 0
    assert not lives(first)
    assert (shop.state("job"), shop.outcomes("job")) == (FAILED, [LOST])


def test_after_the_death_of_every_process_the_next_start_finishes_all_jobs(
    shop: Shop, witness: Witness
) -> None:
    """Scene 9 of the transcripts."""
    supervisor = shop.start(count=2)
    long = witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30")
    ids = [f"job{n}" for n in range(5)]
    shop.add_all([shop.job(long, id, base=0) for id in ids[:2]])
    shop.add_all([shop.job(witness.line("true"), id, base=0) for id in ids[2:]])
    pids = [witness.wait(id) for id in ids[:2]]
    kill_all(shop, supervisor)
    assert all(map(lives, pids))
    shop.start(count=2)
    assert shop.wait_for_all() == dict.fromkeys(ids, COMPLETED)
    assert [shop.outcomes(id) for id in ids] == [[LOST, COMPLETED]] * 2 + [[COMPLETED]] * 3
    assert [shop.get(id).attempts for id in ids] == [1, 1, 0, 0, 0]
    assert [len(witness.begun(id)) for id in ids] == [2, 2, 1, 1, 1]
    witness.check()


def kill_all(shop: Shop, supervisor: Supervisor) -> None:
    """kill -9 of the supervisor and its workers; what they ran lives on."""
    for pid in (supervisor.pid, *workers_of(shop.uid)):
        kill(pid)
    supervisor.wait()
    wait_until(lambda: not workers_of(shop.uid) and not shop.workers())


def test_what_was_left_behind_is_rescued_at_the_next_start_whatever_the_poll(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(worker_poll_interval=NEVER)
    supervisor = shop.start()
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    witness.wait("job")
    kill_all(shop, supervisor)
    shop.start()
    assert shop.wait_for("job").state == COMPLETED


@pytest.mark.parametrize(
    "fields", [("boot", 24, b"00000000-0000-0000-0000-000000000000"), ("ns", 64, b"pid:[1]")]
)
def test_after_another_boot_nothing_is_signalled_and_everything_charged(
    shop: Shop, witness: Witness, fields: tuple[str, int, bytes]
) -> None:
    supervisor = shop.start()
    shop.add_all([shop.job("true")] * 100)
    shop.wait_for_all()
    ids = [f"job{n}" for n in range(4)]
    shop.add_all([shop.job(witness.line("exec sleep 30"), id, base=1000) for id in ids])
    witness.wait("job0")
    kill_all(shop, supervisor)
    held = [id for id in ids if shop.state(id) == PROCESSING]
    _name, place, value = fields
    (file,) = Path(shop.store.slot_dir).iterdir()
    with file.open("r+b") as slots:
        slots.seek(place)
        slots.write(struct.pack("40s", value))
    assert sorted(rescue_all(shop.store, 0.1)) == held
    assert all(shop.get(id).attempts == 1 for id in held)
    (still_there,) = witness.begun("job0")
    assert lives(still_there)
    kill(still_there)
    wait_until(lambda: not lives(still_there))
    shop.cancel(*ids)


# -- the supervisor dies -----------------------------------------------------------------


def test_without_their_supervisor_workers_finish_what_runs_and_leave(
    shop: Shop, witness: Witness
) -> None:
    supervisor = shop.start(count=2)
    shop.add(witness.line("sleep 0.4"), "runs")
    witness.wait("runs")
    workers = [worker.pid for worker in shop.workers()]
    kill(supervisor.pid)
    supervisor.wait()
    wait_until(lambda: len(shop.workers()) < 2)  # the idle one
    shop.add("true", "new")
    wait_until(lambda: not any(map(lives, workers)))
    assert shop.states() == {"runs": COMPLETED, "new": PENDING}
    assert len(witness.begun("runs")) == 1
