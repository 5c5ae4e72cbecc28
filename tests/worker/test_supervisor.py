"""`worker start`: what becomes of jobs and workers when somebody dies, stops or is stuck."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from queuectl.clock import now_ms
from queuectl.model import CANCELLED, COMPLETED, DEAD, FAILED, LOST, PENDING, PROCESSING
from queuectl.worker.rescue import rescue_all
from queuectl.worker.slots import SlotFile
from queuectl.worker.supervisor import Plan
from queuectl.worker.supervisor import Supervisor as SupervisorItself

from .helpers import (
    Shop,
    Supervisor,
    kill,
    lines_of,
    lives,
    state_of,
    time_passes,
    wait_until,
    workers_of,
)

NEVER = 3600
"""A poll interval (seconds) by which nothing in a test is ever seen."""


class Witness:
    """A file into which runs write that they begin and end; it tells whether two overlap."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "witness"

    def line(self, body: str) -> str:
        """A line of shell that does `body` between the two notes."""
        note = f"$QUEUECTL_JOB_ID $$ >> {self._file}"
        return f"echo begin {note}; {body}; echo end {note}"

    def begun(self, id: str) -> list[int]:
        """The pids of the runs of a job that have begun."""
        return [int(pid) for what, job, pid in self._notes() if (what, job) == ("begin", id)]

    def _notes(self) -> list[list[str]]:
        return [line.split() for line in lines_of(self._file)]

    def wait(self, id: str, runs: int = 1) -> int:
        """The pid of that run, once it has begun."""
        wait_until(lambda: len(self.begun(id)) >= runs, what=f"for run {runs} of {id}")
        return self.begun(id)[runs - 1]

    def check(self) -> None:
        """No run is alive (none overlaps when each begins after the one before is gone)."""
        assert not [pid for _what, _job, pid in self._notes() if lives(int(pid))]


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path)


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


# -- somebody is stuck -------------------------------------------------------------------


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


def test_a_folder_of_slot_files_that_was_removed_is_the_same(
    shop: Shop, witness: Witness
) -> None:
    import shutil

    shop.configure(worker_poll_interval=0.1)
    shop.start(count=2)
    shop.add(witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || sleep 30"), "job", base=0)
    witness.wait("job")
    shutil.rmtree(shop.store.slot_dir)
    assert shop.wait_for("job").state == COMPLETED
    witness.check()


# -- beginning and leaving ---------------------------------------------------------------


def test_a_worker_that_has_left_before_the_supervisor_looked_is_no_error(shop: Shop) -> None:
    with shop.locked():  # the worker can't say that it is there
        supervisor = shop.start(drain=True, ready=False)
        (worker,) = wait_until(lambda: workers_of(shop.uid))
        kill(supervisor.pid, signal.SIGSTOP)
    wait_until(lambda: state_of(worker) in ("Z", ""))
    kill(supervisor.pid, signal.SIGCONT)
    assert supervisor.wait() == 0, supervisor.log


def test_a_worker_that_cannot_start_ends_the_start_with_its_reason(shop: Shop) -> None:
    slots = Path(shop.store.slot_dir)
    slots.write_text("not a folder")
    try:
        supervisor = shop.start(count=2, ready=False)
        assert supervisor.wait() == 5
        assert "no slot file can be kept" in supervisor.log
    finally:
        slots.unlink()


def test_a_start_ends_only_when_none_of_its_workers_can_start(shop: Shop) -> None:
    """What keeps one from starting may pass: a disk that is full for a moment."""
    plan = Plan(shop.url, 2, 1, (), drain=False)
    supervisor = SupervisorItself(plan, lambda _pids: None)
    first, second = supervisor._children
    supervisor._ended(first, 5 << 8)
    assert not first.done
    assert not second.done
    supervisor._ended(second, 5 << 8)
    assert first.done
    assert second.done
    assert supervisor._exit_code == 5


def test_a_signal_while_workers_begin_stops_them_cleanly(shop: Shop) -> None:
    for _ in range(4):
        supervisor = shop.start(count=2, ready=False)
        wait_until(lambda: workers_of(shop.uid))
        supervisor.send(signal.SIGTERM)
        assert supervisor.wait() == 0, supervisor.log


def test_two_signals_while_workers_begin_stop_them_cleanly(shop: Shop) -> None:
    for _ in range(4):
        supervisor = shop.start(count=2, ready=False)
        wait_until(lambda: workers_of(shop.uid))
        supervisor.stop_now()
        assert supervisor.wait() == 0, supervisor.log


def test_workers_that_come_while_the_last_ones_leave_find_their_folders(shop: Shop) -> None:
    for _ in range(4):
        leaving = shop.start()
        coming = shop.start(ready=False)
        leaving.send(signal.SIGTERM)
        assert leaving.wait() == 0
        shop.wait_ready(coming, 1)
        assert shop.stop(coming) == 0


def test_slot_files_made_while_the_last_is_removed_find_their_folder(tmp_path: Path) -> None:
    code = (
        "import sys; from queuectl.worker.slots import SlotFile\n"
        "for n in range(1500): SlotFile(sys.argv[1], f'{sys.argv[2]}{n}', 4).remove()"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "slots"), name])
        for name in "ab"
    ]
    assert [process.wait() for process in started] == [0, 0]
    assert not (tmp_path / "slots").exists()
    assert SlotFile  # the name that the code above imports


def test_two_starts_serve_one_store_side_by_side(shop: Shop) -> None:
    one, two = shop.start(), shop.start(count=2)
    assert len(shop.workers()) == 3
    assert shop.stop(one) == 0
    assert len(shop.workers()) == 2
    assert shop.run("true").state == COMPLETED
    assert shop.stop(two) == 0


def test_a_locale_that_is_not_utf_8_stops_no_worker(shop: Shop) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shop.start(env=ascii_only)
    job = shop.run("echo caf\u00e9 $X", env={"X": "\u20ac"})
    assert (job.state, shop.output(job.id)) == (COMPLETED, "caf\u00e9 \u20ac\n")
    job = shop.run(["echo", "\u4f60\u597d"], cwd=str(_made(shop.folder / "d\u00e9")))
    assert (job.state, shop.output(job.id)) == (COMPLETED, "\u4f60\u597d\n")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_module_of_the_users_directory_does_not_stand_in_for_ours(shop: Shop) -> None:
    for name in ("json", "queuectl", "selectors"):
        (shop.folder / f"{name}.py").write_text("raise SystemExit('hijacked')")
    shop.start(cwd=str(shop.folder))
    assert shop.run("true").state == COMPLETED


def test_what_workers_say_is_a_line_for_each_start_and_end(shop: Shop) -> None:
    supervisor = shop.start()
    shop.run("true", id="good")
    shop.run("echo oh no; exit 3", id="bad")
    shop.stop(supervisor)
    lines = [json.dumps(line[9:]) for line in supervisor.log.splitlines()]
    text = "\n".join(lines)
    assert "good start" in text
    assert "good done" in text
    assert "bad start" in text
    assert "exit 3: oh no" in text
