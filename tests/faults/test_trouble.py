"""One trouble at a time, and what must hold through it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import apsw
import pytest

from queuectl import host
from queuectl.store import open_store
from worker.helpers import lives

from .arena import Arena, Spec, can_mount, until
from .checker import check, check_nothing_left, check_now


@pytest.fixture
def arena() -> Iterator[Arena]:
    with Arena() as arena:
        yield arena


def _all_ended(arena: Arena) -> bool:
    with arena.store() as store:
        counts = store.stats().counts
    return not (counts["pending"] + counts["processing"] + counts["failed"])


def _outcomes(arena: Arena, job_id: str) -> list[str]:
    with arena.store() as store:
        return [attempt.outcome for attempt in store.history(job_id)]


def _ready(arena: Arena, count: int) -> bool:
    """Whether so many workers are alive, and told their supervisor that they are ready."""
    with open(arena.log, encoding="utf-8") as log:
        said = log.read()
    with arena.store() as store:
        alive = [worker.id for worker in store.workers() if worker.alive]
    return len(alive) == count and all(f"worker {w} ready on" in said for w in alive)


def _end(arena: Arena, specs: list[Spec]) -> None:
    assert until(lambda: _all_ended(arena), 40), arena.query("SELECT id, state FROM jobs")
    assert arena.stop_all()
    assert check(arena, specs) == []
    assert check_nothing_left(arena) == []


# -- processes that stand still


def test_a_frozen_tree_loses_charges_and_doubles_nothing(arena: Arena) -> None:
    specs = [Spec(f"short-{n}", "nap 0.2") for n in range(6)]
    specs += [Spec("long", "nap 1.5"), Spec("once", "nap 1.5", 1)]
    arena.enqueue(specs)
    arena.start_tree()
    assert until(lambda: arena.starts("once") + arena.starts("long") == 2)
    pids = arena.pids("supervisor", "worker")
    arena.signal(signal.SIGSTOP, pids)
    frozen_until = time.monotonic() + 3.6  # lease_seconds is 3
    assert not until(lambda: time.monotonic() > frozen_until, 3.5)
    arena.signal(signal.SIGCONT, reversed(pids))
    _end(arena, specs)
    assert all(_outcomes(arena, spec.id) == ["completed"] for spec in specs)


def test_a_run_that_ended_in_time_while_its_worker_stood_still_has_not_timed_out(
    arena: Arena,
) -> None:
    specs = [Spec("in-time", "nap 0.6", 1, timeout=1.5)]
    arena.enqueue(specs)
    arena.start_tree(1, 1)
    assert until(lambda: arena.starts("in-time") == 1)
    pids = arena.pids("supervisor", "worker")
    arena.signal(signal.SIGSTOP, pids)
    thaw_at = time.monotonic() + 2.0
    assert until(lambda: time.monotonic() > thaw_at)
    arena.signal(signal.SIGCONT, pids)
    _end(arena, specs)
    assert _outcomes(arena, "in-time") == ["completed"]


def test_a_frozen_worker_is_ended_with_its_jobs_which_run_again(arena: Arena) -> None:
    specs = [Spec("stuck", "nap 30", 2, timeout=0), Spec("ends", "quick")]
    arena.enqueue(specs[:1])
    arena.start_tree(1, 1)
    assert until(lambda: arena.starts("stuck") == 1)
    (worker,) = arena.pids("worker")
    (job,) = [int(line[3]) for line in arena.lines() if line[0] == "start"]
    arena.signal(signal.SIGSTOP, [worker])
    assert until(lambda: not lives(worker))
    assert until(lambda: not lives(job))
    assert until(lambda: arena.starts("stuck") == 2)
    assert check_now(arena) == []
    arena.run("cancel", "stuck")
    assert _outcomes(arena, "stuck") == ["lost", "cancelled"]
    arena.enqueue(specs[1:])
    _end(arena, specs)


def test_a_worker_that_freezes_before_it_is_ready_is_replaced(arena: Arena) -> None:
    specs = [Spec("a", "quick")]
    arena.enqueue(specs)
    with _locked(arena):  # it can't tell the store that it is there
        arena.start_tree(1, 1)
        assert until(lambda: arena.pids("worker"))
        (worker,) = arena.pids("worker")
        arena.signal(signal.SIGSTOP, [worker])
    assert until(lambda: not lives(worker))
    _end(arena, specs)


def test_workers_whose_supervisor_is_killed_finish_what_runs_and_leave(arena: Arena) -> None:
    specs = [Spec("runs", "nap 1"), Spec("waits", "quick")]
    arena.enqueue(specs[:1])
    arena.start_tree(2, 1)
    assert until(lambda: arena.starts("runs") == 1 and _ready(arena, 2))
    arena.signal(signal.SIGKILL, arena.pids("supervisor"))
    arena.enqueue(specs[1:])
    assert until(lambda: not arena.processes(), 10)
    assert _outcomes(arena, "runs") == ["completed"]
    assert check_nothing_left(arena) == []
    with arena.store() as store:
        assert store.get("waits").state in ("pending", "completed")


def test_worker_stop_ends_a_supervisor_that_waits_before_it_starts_another(
    arena: Arena,
) -> None:
    arena.start_tree(1, 1)
    assert until(lambda: _ready(arena, 1))
    deaths = 0
    while deaths < 3:  # the third is followed by a pause of some seconds
        assert until(lambda: arena.pids("worker"))
        if _ready(arena, 1):
            arena.signal(signal.SIGKILL, arena.pids("worker"))
            deaths += 1
    assert arena.run("worker", "stop") == 0
    assert not arena.pids("supervisor")


# -- a store that can't be used


@contextlib.contextmanager
def _locked(arena: Arena) -> Iterator[None]:
    """Nobody else can write to the store inside the block."""
    holder = apsw.Connection(arena.url)
    holder.set_busy_timeout(20_000)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        holder.close()


def test_time_limits_are_kept_while_the_database_is_locked(arena: Arena) -> None:
    specs = [Spec("late", "late", 1, timeout=0.7), Spec("stubborn", "stubborn", 1, timeout=0.7)]
    arena.enqueue(specs)
    arena.start_tree(1, 2)
    assert until(lambda: arena.starts("late") and arena.starts("stubborn"))
    with _locked(arena):
        assert until(lambda: not arena.pids("job"))
        said = {line[0]: float(line[4]) for line in arena.lines() if line[1] == "late"}
        assert said["term"] - said["start"] > 0.65
    _end(arena, specs)
    assert _outcomes(arena, "late") == ["timeout"]
    assert _outcomes(arena, "stubborn") == ["timeout"]


@pytest.mark.parametrize("kind", ["full", "error", "lost"])
def test_workers_outlive_a_disk_that_fails_for_a_while(arena: Arena, kind: str) -> None:
    specs = [Spec(f"j-{n}", "nap 0.05") for n in range(40)]
    arena.enqueue(specs)
    arena.start_tree(2, 2)
    assert until(lambda: len(arena.lines()) > 10)
    workers = arena.pids("worker")
    arena.set_faults(**{kind: 10_000})
    deadline = time.monotonic() + 1.5
    assert until(lambda: time.monotonic() > deadline)
    arena.set_faults()
    _end(arena, specs)
    assert all(_outcomes(arena, spec.id) == ["completed"] for spec in specs), workers


def test_an_idle_worker_outlives_a_disk_that_fails_for_a_while(arena: Arena) -> None:
    arena.start_tree(1, 1)
    assert until(lambda: _ready(arena, 1))
    arena.set_faults(error=10_000)
    deadline = time.monotonic() + 1.5
    assert until(lambda: time.monotonic() > deadline)
    arena.set_faults()
    specs = [Spec("a", "quick")]
    arena.enqueue(specs)
    _end(arena, specs)


def test_a_supervisor_goes_on_replacing_workers_when_the_disk_has_space_again(
    arena: Arena,
) -> None:
    arena.start_tree(1, 1)
    assert until(lambda: _ready(arena, 1))
    (supervisor,) = arena.pids("supervisor")
    (worker,) = arena.pids("worker")
    arena.set_faults(full=10_000)
    arena.signal(signal.SIGKILL, [worker])
    deadline = time.monotonic() + 1.5
    assert until(lambda: time.monotonic() > deadline)
    arena.set_faults()
    assert arena.pids("supervisor") == [supervisor]
    specs = [Spec("a", "quick")]
    arena.enqueue(specs)
    _end(arena, specs)


def test_a_slot_file_that_was_never_finished_is_swept_away(arena: Arena) -> None:
    os.mkdir(arena.slot_dir)
    old, young = (os.path.join(arena.slot_dir, name) for name in ("aa.new", "bb.new"))
    for path in (old, young):
        with open(path, "wb"):
            pass
    os.utime(old, (0, 0))
    assert arena.run("worker", "stop") == 0
    assert os.listdir(arena.slot_dir) == ["bb.new"]


@pytest.mark.skipif(not can_mount(), reason="needs root: a file system of its own")
def test_a_really_full_disk_refuses_jobs_and_loses_none() -> None:
    with Arena(small_disk=4) as arena:
        specs = [Spec(f"j-{n}", "nap 0.2") for n in range(20)]
        arena.enqueue(specs)
        arena.start_tree(2, 2)
        assert until(lambda: len(arena.lines()) > 4 and _ready(arena, 2))
        ballast = os.path.join(arena.disk, "ballast")
        with open(ballast, "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while file.write(bytes(4096)):
                pass
        assert arena.enqueue([Spec("refused", "quick")]) == 5
        arena.signal(signal.SIGKILL, arena.pids("worker"))
        deadline = time.monotonic() + 2
        assert until(lambda: time.monotonic() > deadline)
        assert arena.pids("supervisor")
        os.unlink(ballast)
        assert until(lambda: _all_ended(arena), 40)
        assert arena.stop_all()
        assert check(arena, specs, refused=["refused"]) == []
        assert check_nothing_left(arena) == []
        assert not os.path.exists(arena.slot_dir)


def test_a_second_connection_of_a_process_costs_the_first_none_of_its_locks(
    arena: Arena,
) -> None:
    """Closing any descriptor of a file ends all of the process's POSIX locks on it
    (https://www.sqlite.org/howtocorrupt.html, 2.2): then a foreign program that leaves
    takes the WAL with it, and what is written there after."""
    with open_store(arena.url), open_store(arena.url):
        words = [sys.executable, "-c", _TRY_LOCK, arena.url]
        assert subprocess.run(words, check=True, capture_output=True).stdout == b"locked\n"


_TRY_LOCK = """
import fcntl, sys
SHARED_FIRST, SHARED_SIZE = 0x40000002, 510  # of sqlite/src/os.h
with open(sys.argv[1], "r+b") as file:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, SHARED_SIZE, SHARED_FIRST)
        print("free")
    except BlockingIOError:
        print("locked")
"""


def test_a_mark_that_cannot_be_read_counts_as_changed(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_statement: str) -> None:
        raise apsw.IOError("injected")

    with arena.store() as store:
        monkeypatch.setattr(store._db, "execute", fail)  # type: ignore[attr-defined]
        assert store.change_mark() != store.change_mark()


# -- clocks, boots


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_steps_disturbs_nothing_that_runs_or_is_due(
    arena: Arena, hours: int
) -> None:
    specs = [Spec("runs", "nap 1", 1, timeout=3), Spec("late", "late", 1, timeout=1)]
    arena.enqueue(specs)
    arena.start_tree(2, 1)
    assert until(lambda: arena.starts("runs") and arena.starts("late"))
    arena.set_faults(clock=3600.0 * hours)
    specs += [Spec(f"next-{n}", "quick") for n in range(5)]
    arena.enqueue(specs[2:])
    assert until(lambda: _all_ended(arena), 40)
    arena.set_faults()
    _end(arena, specs)
    assert _outcomes(arena, "runs") == ["completed"]
    assert _outcomes(arena, "late") == ["timeout"]


def test_after_a_reboot_everything_runs_that_had_not_ended(arena: Arena) -> None:
    specs = [Spec(f"j-{n}", "nap 0.5", 2) for n in range(6)] + [Spec("once", "nap 0.5", 1)]
    arena.enqueue(specs)
    arena.start_tree(2, 2)
    assert until(lambda: len(arena.lines()) >= 6)
    arena.reboot()
    arena.start_tree(2, 2)
    _end(arena, specs)


# -- what jobs leave behind


def test_a_process_whose_parent_left_the_session_is_ended_with_the_run(arena: Arena) -> None:
    """It ignores TERM and has closed its output: only its session tells whose it is."""
    script = os.path.join(arena.folder, "leaver.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(_LEAVER)
    arena.start_tree(1, 1)
    arena.run("enqueue", "--id", "leaver", "--", sys.executable, "-S", script)
    assert until(lambda: _all_ended(arena), 20)
    with open(os.path.join(arena.folder, "child"), encoding="utf-8") as file:
        child = int(file.read())
    assert host.start_ticks(child) is None


def test_a_group_of_its_own_in_the_session_is_ended_with_the_run(arena: Arena) -> None:
    """It ignores TERM and has closed its output, and the group of the run is empty."""
    script = os.path.join(arena.folder, "apart.py")
    with open(script, "w", encoding="utf-8") as file:
        file.write(_APART)
    arena.start_tree(1, 1)
    arena.run("enqueue", "--id", "apart", "--", sys.executable, "-S", script)
    assert until(lambda: _all_ended(arena), 20)
    with open(os.path.join(arena.folder, "child"), encoding="utf-8") as file:
        child = int(file.read())
    assert host.start_ticks(child) is None


def test_what_comes_into_being_while_a_run_is_killed_is_killed_too(arena: Arena) -> None:
    """It starts one after the other, each in a session of its own."""
    specs = [Spec("hydra", "hydra", 1, timeout=0.5), Spec("next", "quick")]
    arena.enqueue(specs)
    arena.start_tree(1, 1)
    _end(arena, specs)


_APART = """
import os, signal, time
read, write = os.pipe()
if os.fork() == 0:
    os.close(read)
    os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with open(os.environ["ARENA"] + "/child", "w") as file:
        file.write(str(os.getpid()))
    for number in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), number)
    os.close(write)
    time.sleep(60)
os.close(write)
os.read(read, 1)
"""
_LEAVER = """
import os, signal, time
read, write = os.pipe()
if os.fork() == 0:
    os.close(read)
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    else:
        os.setsid()
        with open(os.environ["ARENA"] + "/child", "w") as file:
            file.write(str(child))
    for number in (0, 1, 2):
        os.dup2(os.open("/dev/null", os.O_RDWR), number)
    os.write(write, b"!")
    os.close(write)
    time.sleep(60)
os.close(write)
os.read(read, 1)
os.read(read, 1)
"""
