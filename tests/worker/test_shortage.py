"""A machine short of descriptors or processes: who runs goes on, and the rest comes later."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from queuectl.errors import STORE_FAILED
from queuectl.model import COMPLETED
from queuectl.worker import supervisor as module
from queuectl.worker.guard import Guard
from queuectl.worker.heart import boot_ns
from queuectl.worker.slots import SlotFile, Watch
from queuectl.worker.supervisor import Plan
from queuectl.worker.supervisor import Supervisor as SupervisorItself

from .helpers import Shop, children_of, kill, wait_until

UID = os.urandom(6).hex()
"""Of this process alone: others run these tests at the same time."""

FEW_PROCESSES = """
import errno, os, sys
real, left = os.posix_spawn, {times}
def spawn(path, argv, env, **options):
    global left
    if "queuectl.worker.main" in argv and left:
        left -= 1
        raise OSError(errno.{error}, os.strerror(errno.{error}))
    return real(path, argv, env, **options)
os.posix_spawn = spawn
"""
"""As where a cgroup has as many processes as it may (pids.max: EAGAIN), or while the programs
are being replaced (ENOENT)."""


@contextmanager
def no_descriptors(pid: int) -> Iterator[None]:
    """A process can open nothing more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def watched(shop: Shop, pid: int) -> int:
    """How many slot files it has open."""
    places = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):  # closed meanwhile
            places.append(os.path.dirname(os.readlink(f"/proc/{pid}/fd/{name}")))
    return places.count(shop.store.slot_dir)


def test_a_supervisor_without_descriptors_keeps_its_workers_and_replaces_the_dead_later(
    shop: Shop,
) -> None:
    supervisor = shop.start(count=2)
    wait_until(lambda: watched(shop, supervisor.pid) == 2, what="for it to hear that they live")
    before = open_files(supervisor.pid)
    killed, other = [worker.pid for worker in shop.workers()]
    with no_descriptors(supervisor.pid):
        kill(killed)
        wait_until(lambda: supervisor.log.count("trying again") >= 2)
        assert shop.run("true").state == COMPLETED
    shop.wait_ready(supervisor, 2)
    assert other in [worker.pid for worker in shop.workers()]
    wait_until(lambda: open_files(supervisor.pid) == before, what="for nothing to be left open")


@pytest.mark.parametrize("error", ["EAGAIN", "ENOENT"])
def test_a_start_waits_until_there_may_be_processes(
    shop: Shop, site: Callable[[str], dict[str, str]], error: str
) -> None:
    supervisor = shop.start(env=site(FEW_PROCESSES.format(times=2, error=error)))
    assert supervisor.log.count("trying again") == 2
    assert shop.run("true").state == COMPLETED


def test_a_start_that_never_may_have_processes_ends_with_words(
    shop: Shop, site: Callable[[str], dict[str, str]]
) -> None:
    few = site(FEW_PROCESSES.format(times=1_000_000, error="EAGAIN"))
    supervisor = shop.start(count=2, ready=False, env=few)
    assert supervisor.wait() == STORE_FAILED
    assert "Resource temporarily unavailable" in supervisor.log
    assert "giving up: no worker gets ready" in supervisor.log


def test_a_worker_that_cannot_be_watched_for_want_of_descriptors_is_not_killed_for_it(
    shop: Shop, bystander: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = SupervisorItself(Plan(shop.url, 1, 1, (), drain=False), lambda _pids: None)
    file = SlotFile(shop.store.slot_dir, "0a0a0a0a", 4)
    (child,) = supervisor._children
    child.worker_id, child.pid, child.ready = "0a0a0a0a", bystander.pid, True

    def refuse(_folder: str, _worker_id: str) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(module, "Watch", refuse)
    supervisor._open_watch(child)
    for _ in range(5):
        supervisor._watch_loops(2)
    assert bystander.poll() is None
    monkeypatch.setattr(module, "Watch", Watch)
    supervisor._watch_loops(2)
    assert child.watch is not None
    for _ in range(5):
        supervisor._watch_loops(2)
    assert bystander.wait(10) == -signal.SIGKILL  # its loop does stand still
    child.watch.close()
    file.remove()


def test_a_worker_that_dies_for_hours_is_still_replaced(shop: Shop) -> None:
    supervisor = SupervisorItself(Plan(shop.url, 1, 1, (), drain=False), lambda _pids: None)
    (child,) = supervisor._children
    for _ in range(3000):
        child.started = time.monotonic()
        supervisor._ended(child, signal.SIGKILL)
    assert not child.done


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    guard = Guard(str(tmp_path / "slots"), UID)
    yield guard
    guard.close()


@pytest.fixture
def fenced(tmp_path: Path) -> Iterator[SlotFile]:
    """Of the worker 0a0a0a0a, whose fence falls soon."""
    file = SlotFile(str(tmp_path / "slots"), "0a0a0a0a", 4)
    file.set_fence(boot_ns() + 500_000_000)
    yield file
    file.remove()


@pytest.mark.usefixtures("fenced")
def test_a_guard_is_started_when_the_machine_has_descriptors_again(
    guard: Guard, bystander: subprocess.Popen[bytes]
) -> None:
    before, children = open_files(os.getpid()), children_of(os.getpid())
    with no_descriptors(os.getpid()):
        for _ in range(3):
            guard.keep({"0a0a0a0a": bystander.pid})
    assert (open_files(os.getpid()), children_of(os.getpid())) == (before, children)
    guard.keep({"0a0a0a0a": bystander.pid})
    # That it knows of the worker shows when nobody else keeps the fence.
    assert bystander.wait(10) == -signal.SIGKILL


@pytest.mark.usefixtures("fenced")
def test_a_guard_is_started_when_an_upgrade_is_over(
    guard: Guard,
    bystander: subprocess.Popen[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = open_files(os.getpid())
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(tmp_path / "removed" / "python"))
        guard.keep({"0a0a0a0a": bystander.pid})
    assert open_files(os.getpid()) == before
    guard.keep({"0a0a0a0a": bystander.pid})
    assert bystander.wait(10) == -signal.SIGKILL


@pytest.mark.usefixtures("fenced")
def test_a_guard_knows_its_workers_though_the_supervisor_stops_as_it_begins(
    guard: Guard,
    bystander: subprocess.Popen[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as stopped:
        stopped.setattr(Guard, "_tell", lambda *_worker: None)
        guard.keep({"0a0a0a0a": bystander.pid})
    assert bystander.wait(10) == -signal.SIGKILL


def test_a_guard_that_was_killed_is_replaced_and_knows_what_it_knew(
    guard: Guard, bystander: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = SlotFile(str(tmp_path / "slots"), "0a0a0a0a", 4)
    file.set_fence(boot_ns() + 2_000_000_000)
    before = children_of(os.getpid())
    guard.keep({"0a0a0a0a": bystander.pid})
    (first,) = [pid for pid in children_of(os.getpid()) if pid not in before]
    kill(first)
    guard.reaped(os.waitpid(first, 0)[0])
    guard.keep({"0a0a0a0a": bystander.pid})
    assert bystander.wait(10) == -signal.SIGKILL
    file.remove()
