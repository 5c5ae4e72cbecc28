"""What becomes of jobs and workers when somebody stands still, or their slot file is gone."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from queuectl.errors import STORE_FAILED
from queuectl.model import COMPLETED, LOST
from queuectl.worker.stopping import stop

from .helpers import Shop, kill, lives, time_passes, wait_until
from .witness import Witness


def test_a_worker_that_stands_still_is_killed_and_its_jobs_run_elsewhere(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(lease_seconds=3)
    supervisor = shop.start()
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    first = witness.wait("job")
    stuck = shop.worker().pid
    kill(stuck, signal.SIGSTOP)
    began = time.monotonic()
    job = shop.wait_for("job")
    assert time.monotonic() - began > 2
    assert (job.state, shop.outcomes("job")) == (COMPLETED, [LOST, COMPLETED])
    assert not lives(first)
    assert not lives(stuck)
    assert "stuck" in supervisor.log


def test_a_supervisor_that_was_stopped_itself_kills_nobody_for_it(shop: Shop) -> None:
    shop.configure(lease_seconds=3)
    supervisor = shop.start()
    worker = shop.worker().pid
    group = [supervisor.pid, worker]
    for pid in group:
        kill(pid, signal.SIGSTOP)
    time_passes(3.5)
    for pid in group:
        kill(pid, signal.SIGCONT)
    assert shop.run("true").state == COMPLETED
    assert shop.worker().pid == worker


def test_a_longer_lease_is_no_reason_to_kill_workers_that_run(shop: Shop) -> None:
    shop.configure(lease_seconds=3, worker_poll_interval=0.1)
    supervisor = shop.start()
    worker = shop.worker().pid
    shop.configure(lease_seconds=600)
    time_passes(3.8)
    assert shop.worker().pid == worker, supervisor.log


def test_nobody_reading_what_workers_say_is_no_reason_to_stop_working(shop: Shop) -> None:
    read, write = os.pipe()
    try:
        shop.start(stderr=write)
        ids = shop.add_all([shop.job("true " + "x" * 200, max_retries=1)] * 500)
        assert Counter(shop.wait_for_all().values()) == {COMPLETED: len(ids)}
    finally:
        os.close(read)
        os.close(write)


def test_a_slot_file_that_was_removed_ends_its_worker_and_charges_what_ran(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(worker_poll_interval=0.1)
    shop.start()
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    first = witness.wait("job")
    before = shop.worker()
    os.unlink(os.path.join(shop.store.slot_dir, before.id))
    job = shop.wait_for("job")
    assert (job.state, job.attempts) == (COMPLETED, 1)
    assert shop.outcomes("job") == [LOST, COMPLETED]
    assert not lives(first)
    wait_until(lambda: not lives(before.pid))
    witness.check()


def test_a_slot_file_that_was_emptied_costs_its_own_worker_and_no_other(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(worker_poll_interval=0.1, lease_seconds=3)
    supervisor = shop.start(count=2)
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    witness.wait("job")
    (busy,) = [worker for worker in shop.workers() if worker.jobs]
    (other,) = [worker for worker in shop.workers() if not worker.jobs]
    os.truncate(os.path.join(shop.store.slot_dir, busy.id), 0)
    wait_until(lambda: not lives(busy.pid))
    assert shop.wait_for("job").state == COMPLETED
    wait_until(lambda: len(shop.workers()) == 2)
    assert supervisor.process.poll() is None, supervisor.log
    assert other.pid in [worker.pid for worker in shop.workers()]
    witness.check()


def test_a_folder_of_slot_files_that_was_removed_is_the_same(
    shop: Shop, witness: Witness
) -> None:
    shop.configure(worker_poll_interval=0.1)
    shop.start(count=2)
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    witness.wait("job")
    shutil.rmtree(shop.store.slot_dir)
    assert shop.wait_for("job").state == COMPLETED
    witness.check()


def test_workers_leave_a_store_that_was_removed(shop: Shop, witness: Witness) -> None:
    shop.configure(worker_poll_interval=0.1)
    supervisor = shop.start(count=2)
    shop.add(witness.line("sleep 30"), "job")
    ran = witness.wait("job")
    before = [worker.pid for worker in shop.workers()]
    for end in ("", "-wal", "-shm"):
        os.unlink(shop.url + end)
    assert supervisor.wait() == STORE_FAILED
    assert "was removed" in supervisor.log
    assert "is another store than before" in supervisor.log
    assert not any(map(lives, [ran, *before]))


def test_what_is_no_file_of_ours_among_them_costs_no_worker_its_jobs(shop: Shop) -> None:
    shop.configure(worker_poll_interval=0.1)
    shop.start()
    shop.add("sleep 0.7", "job")
    shop.wait_for_run("job")
    strangers = [Path(shop.store.slot_dir), Path(f"{shop.store.slot_dir}-supervisors")]
    for folder in strangers:
        (folder / "stranger").mkdir()
    try:
        assert shop.wait_for("job").state == COMPLETED
        assert shop.outcomes("job") == [COMPLETED]
        assert stop(shop.store, (), 5.0, now=False, all_hosts=False) != []
    finally:
        for folder in strangers:
            (folder / "stranger").rmdir()
            folder.rmdir()
