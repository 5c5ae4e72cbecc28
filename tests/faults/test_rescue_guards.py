"""Who may be rescued, by whom, and which processes may be ended for it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pid_namespace import pid_namespace
from queuectl import host
from queuectl.store.slotlock import is_locked, try_lock
from queuectl.worker.census import Census
from queuectl.worker.process import MARK
from queuectl.worker.report import Report
from queuectl.worker.rescue import Gone, Rescue, Rescues
from queuectl.worker.slots import SlotFile

from .arena import Arena, Spec, until
from .checker import check

UID = os.urandom(6).hex()
"""Of this process alone: others run these tests at the same time."""


@pytest.fixture
def folder(tmp_path: os.PathLike[str]) -> str:
    return os.path.join(tmp_path, "slots")


def _left_by(
    folder: str, name: str, *, pid: int = 0, earliest: int = 0, latest: int = 0
) -> None:
    """The slot file of a worker that is dead, with one run in it."""
    child = os.fork()
    if child == 0:
        file = SlotFile(folder, name, 4)
        number = file.begin(7, earliest)
        if pid:
            file.started(number, 7, pid, earliest, latest)
        os._exit(0)
    os.waitpid(child, 0)


def test_a_worker_that_lives_is_not_rescued(folder: str) -> None:
    file = SlotFile(folder, "alive", 4)
    assert Rescue.begin(folder, "alive", UID) is None
    assert is_locked(folder, "alive")
    file.remove()


def test_a_worker_is_rescued_by_one_at_a_time(folder: str) -> None:
    _left_by(folder, "dead")
    first = Rescue.begin(folder, "dead", UID)
    assert first is not None
    assert Rescue.begin(folder, "dead", UID) is None
    assert is_locked(folder, "dead"), "others must take it for alive meanwhile"
    first.close(done=False)
    again = Rescue.begin(folder, "dead", UID)
    assert again is not None
    again.close(done=True)


def test_a_look_at_a_dead_workers_file_does_not_put_off_its_rescue(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else `worker stop`, which looks but once, would leave its jobs as they are."""
    _left_by(folder, "dead")
    look = try_lock(os.path.join(folder, "dead"), shared=True)
    assert look is not None

    def the_look_is_over(_seconds: float) -> None:
        monkeypatch.undo()
        os.close(look)

    monkeypatch.setattr(time, "sleep", the_look_is_over)
    rescue = Rescue.begin(folder, "dead", UID)
    assert rescue is not None
    rescue.close(done=True)


@contextmanager
def descriptors(more: int) -> Iterator[None]:
    """This process can open so many more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    spare: list[int] = []
    while not spare or len(spare) < more or spare[-1] <= highest:
        spare.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare[-1] + 1, before[1]))
    try:
        for _ in range(more):
            os.close(spare.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in spare:
            os.close(descriptor)


@pytest.mark.parametrize("more", [0, 1])
def test_who_is_short_of_descriptors_begins_a_rescue_later(folder: str, more: int) -> None:
    _left_by(folder, "dead")
    rescues = Rescues(None, UID, Report())  # type: ignore[arg-type]
    gone = [Gone("dead", (), has_file=True)]
    with descriptors(more):
        rescues.begin(folder, gone)
    assert not rescues
    assert not is_locked(folder, "dead"), "it would look alive to everybody"
    rescues.begin(folder, gone)
    assert rescues


def test_a_rescue_that_was_just_done_is_not_begun_again(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lock may be got on a file that its rescuer has removed meanwhile."""
    from queuectl.worker import rescue

    _left_by(folder, "dead")
    real = rescue.try_lock

    def too_late(path: str) -> int | None:
        lock = real(path)
        os.unlink(path)
        return lock

    monkeypatch.setattr(rescue, "try_lock", too_late)
    assert Rescue.begin(folder, "dead", UID) is None


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_process_that_has_the_pid_of_a_run_by_chance_is_not_ended(
    folder: str, bystander: subprocess.Popen[bytes], when: str
) -> None:
    start = host.start_ticks(bystander.pid)
    assert start is not None
    earliest, latest = (start + 5, start + 9) if when == "before" else (start - 9, start - 5)
    _left_by(folder, "dead", pid=bystander.pid, earliest=earliest, latest=latest)
    rescue = Rescue.begin(folder, "dead", UID)
    assert rescue is not None
    while rescue.step(0) is not None:
        pass
    rescue.close(done=True)
    assert bystander.poll() is None


def test_the_process_of_a_run_is_ended_by_its_pid_and_start(
    folder: str, bystander: subprocess.Popen[bytes]
) -> None:
    start = host.start_ticks(bystander.pid)
    assert start is not None
    _left_by(folder, "dead", pid=bystander.pid, earliest=start, latest=start + 1)
    rescue = Rescue.begin(folder, "dead", UID)
    assert rescue is not None
    assert rescue.step(0) is not None
    assert bystander.wait(5) == -signal.SIGTERM
    rescue.close(done=True)


def test_the_grace_of_a_rescue_ends_where_others_may_run_the_jobs(
    folder: str, request: pytest.FixtureRequest
) -> None:
    stubborn = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; while :; do sleep 0.02; done"], env={MARK: f"{UID}.7"}
    )
    request.addfinalizer(stubborn.kill)
    assert until(lambda: stubborn.pid in Census(UID).marked(7))
    child = os.fork()
    if child == 0:
        file = SlotFile(folder, "dead", 4)
        file.set_fence(time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 300_000_000)
        file.begin(7, 0)
        os._exit(0)
    os.waitpid(child, 0)
    rescue = Rescue.begin(folder, "dead", UID)
    assert rescue is not None
    assert until(lambda: rescue.step(3600) is None)
    assert stubborn.wait(1) == -signal.SIGKILL
    rescue.close(done=True)


def test_one_look_that_finds_nobody_is_not_enough(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker was just starting has no mark for the moment of its exec."""
    from queuectl.worker import rescue as module

    looks = iter([False, False, True, False, False, False])

    class Picture:
        def __init__(self, _uid: str) -> None:
            self.found = next(looks)

        def signal_marked(self, _token: int, _number: int, _told: object) -> bool:
            return self.found

    monkeypatch.setattr(module, "Census", Picture)
    _left_by(folder, "dead")
    rescue = Rescue.begin(folder, "dead", UID)
    assert rescue is not None
    for _ in range(5):
        assert rescue.step(10) is not None
    assert rescue.step(10) is None
    assert not list(looks)
    rescue.close(done=True)


def test_who_cannot_be_looked_at_is_not_given_up(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from queuectl.worker import rescue as module

    def short_of_descriptors(_uid: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "Census", short_of_descriptors)
    monkeypatch.setattr(module, "_AFTER_KILL", -1.0)
    _left_by(folder, "dead")
    rescue = Rescue.begin(folder, "dead", UID)
    assert rescue is not None
    for _ in range(5):
        assert rescue.step(0) is not None
    monkeypatch.undo()
    assert rescue.step(0) is None
    rescue.close(done=True)


def test_who_was_seen_counts_though_it_has_gone_since() -> None:
    """It may have started another before it went."""
    child = _marked(f"{MARK}={UID}.7")
    census = Census(UID)
    assert census.marked(7) == [child.pid]
    child.kill()
    child.wait()
    assert census.signal_marked(7, signal.SIGKILL)
    assert not Census(UID).signal_marked(7, signal.SIGKILL)


def test_a_variable_that_tells_of_another_mark_hides_nothing() -> None:
    child = _marked(f"A={MARK}={UID}.9", f"{MARK}={UID}.7")
    census = Census(UID)
    assert (census.marked(7), census.marked(9)) == ([child.pid], [])
    child.kill()
    child.wait()


def test_a_process_whose_session_began_outside_of_the_pid_namespace_is_seen() -> None:
    """As with `docker exec`: its session has the number 0 there."""
    script = f"""
import os, subprocess, sys
from queuectl.worker.census import Census
child = subprocess.Popen(["sleep", "60"], env={{"{MARK}": "{UID}.7"}})
while open(f"/proc/{{child.pid}}/comm").read() != "sleep\\n":
    pass
for _ in range(20):
    subprocess.run(["true"])  # who is newest is looked at anyway
sys.exit(os.getsid(0) != 0 or Census("{UID}").marked(7) != [child.pid])
"""
    subprocess.run([*pid_namespace(), sys.executable, "-c", script], check=True, timeout=20)


def _marked(*environment: str) -> subprocess.Popen[bytes]:
    words = ["env", "-i", *environment, "/bin/sleep", "60"]
    child = subprocess.Popen(words)
    assert until(lambda: b"sleep" in _command(child.pid))
    return child


def _command(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().split(b"\0")[0]


def test_nothing_of_a_dead_workers_runs_is_alive_when_they_run_again() -> None:
    """One ignores TERM, one cleared its environment, one has left the session."""
    clear = f"exec env -i {sys.executable} -S -c 'import time; time.sleep(300)'"
    with Arena() as arena:
        specs = [Spec("stubborn", "stubborn", 2, timeout=0)]
        arena.enqueue(specs)
        arena.run(
            "enqueue", "--id", "cleared", "--max-retries", "2", "--timeout", "none", clear
        )
        arena.start_tree(1, 2)
        assert until(lambda: arena.starts("stubborn") == 1 and len(_sessions(arena)) == 2)
        before = _sessions(arena)
        marked = arena.pids("job")
        arena.signal(signal.SIGKILL, arena.pids("supervisor", "worker"))
        arena.start_tree(1, 2)
        assert until(lambda: arena.starts("stubborn") == 2)
        assert not any(line[0] == "overlap" for line in arena.lines())
        assert not [pid for pid in (*marked, *before) if host.start_ticks(pid) is not None]
        assert until(lambda: len(_sessions(arena)) == 2)
        arena.run("cancel", "stubborn", "cleared")
        assert arena.stop_all()
        assert check(arena, specs) == []


def test_a_worker_that_gives_up_ends_its_runs_itself() -> None:
    """Whoever would rescue them may come late, or never."""
    with Arena() as arena:
        arena.enqueue([Spec("job", "stubborn", 2, timeout=0)])
        worker = arena.start_worker(drain=False)
        assert until(lambda: arena.starts("job") == 1)
        (name,) = [name for name in os.listdir(arena.slot_dir) if "." not in name]
        os.unlink(os.path.join(arena.slot_dir, name))
        assert worker.wait(20) != 0
        assert until(lambda: not arena.pids("job"))


def _sessions(arena: Arena) -> list[int]:
    """The sessions that are noted in the slot files, if they are alive."""
    found = []
    for name in [name for name in os.listdir(arena.slot_dir) if "." not in name]:
        with open(os.path.join(arena.slot_dir, name), "rb") as file:
            content = file.read()[128:]
        for at in range(0, len(content), 32):
            token = int.from_bytes(content[at : at + 8], "little")
            pid = int.from_bytes(content[at + 8 : at + 16], "little")
            if token and pid and host.start_ticks(pid) is not None:
                found.append(pid)
    return found
