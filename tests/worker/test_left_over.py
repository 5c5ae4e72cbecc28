"""What is hard to end: jobs whose worker left no proof, chains of forks, headless processes."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from queuectl import host
from queuectl.model import COMPLETED, FAILED, LOST, PROCESSING, TIMEOUT
from queuectl.worker.census import Census
from queuectl.worker.process import MARK
from queuectl.worker.rescue import rescue_all

from .helpers import Shop, kill, lines_of, lives, marked, wait_until
from .witness import Witness

UID = os.urandom(6).hex()
"""Of this process alone: others run these tests at the same time."""

CHAIN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
session, width, note = sys.argv[1] == "session", int(sys.argv[2]), sys.argv[3]
end = time.monotonic() + 30
for _ in range(width - 1):
    if os.fork() == 0:
        break
while True:
    if time.monotonic() > end:
        open(note, "a").write("outran\\n")
        os._exit(0)
    if session:
        try:
            os.setsid()
        except OSError:
            pass
    if os.fork():
        os._exit(0)
"""
"""Each process forks the next and exits, within a millisecond, heedless of TERM."""

HEADLESS = """
import ctypes, os, platform, sys, threading, time
def note():
    with open(sys.argv[1], "a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(60)
threading.Thread(target=note).start()
ctypes.CDLL(None).syscall({"x86_64": 60}.get(platform.machine(), 93), 0)
"""
"""A process whose first thread ends (exit(2)) and whose second goes on: a zombie that lives."""


# -- workers that left no proof ----------------------------------------------------------


@pytest.mark.parametrize("harm", ["removed", "emptied"])
def test_what_a_worker_ran_is_ended_before_it_runs_again_though_its_slot_file_is_no_proof(
    shop: Shop, tmp_path: Path, harm: str
) -> None:
    pids, overlaps = tmp_path / "pids", tmp_path / "overlaps"
    shop.configure(worker_poll_interval=3600, kill_grace=0.3)
    shop.start()
    stubborn = f'trap "" TERM; echo $$ >> {pids}; while :; do sleep 0.02; done'
    lives_on = "grep -q 'State:.[^ZX]' /proc/$p/status"
    look = f"for p in $(cat {pids}); do ! {lives_on} || echo $p >> {overlaps}; done"
    line = f"if [ $QUEUECTL_ATTEMPT = 1 ]; then setsid sh -c '{stubborn}'; else {look}; fi"
    shop.add(line, "job", base=0)
    (first,) = wait_until(lambda: lines_of(pids))
    worker = shop.worker()
    path = os.path.join(shop.store.slot_dir, worker.id)
    if harm == "removed":
        os.unlink(path)
    else:
        with open(path, "r+b") as file:
            file.write(bytes(8))
    kill(worker.pid)
    job = shop.wait_for("job")
    assert not lives(int(first))
    assert lines_of(overlaps) == []
    assert (job.state, job.attempts) == (COMPLETED, 1)
    assert shop.outcomes("job") == [LOST, COMPLETED]


def test_a_rescue_by_hand_ends_them_too(shop: Shop, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    supervisor = shop.start()
    shop.add(f"setsid sh -c 'echo $$ >> {pids}; sleep 60'", "job", base=100)
    (first,) = wait_until(lambda: lines_of(pids))
    worker = shop.worker()
    supervisor.process.kill()
    os.unlink(os.path.join(shop.store.slot_dir, worker.id))
    kill(worker.pid)
    wait_until(lambda: host.stat(worker.pid) is None)
    assert rescue_all(shop.store, 0.3) == ["job"]
    assert not lives(int(first))
    assert shop.state("job") == FAILED


# -- chains of forks ---------------------------------------------------------------------


@pytest.fixture
def note(tmp_path: Path) -> Iterator[Path]:
    """What a chain writes that lived to its end."""
    file = tmp_path / "note"
    yield file
    assert lines_of(file) == []


def chain(kind: str, note: Path) -> str:
    script = note.parent / "chain.py"
    script.write_text(CHAIN)
    words = f"{sys.executable} -S -E {script} {kind} 2 {note}"
    return f"{words} >/dev/null 2>&1 & sleep 60"


@pytest.mark.parametrize("kind", ["session", "group"])
def test_a_chain_of_forks_does_not_outlive_the_time_limit_of_its_run(
    shop: Shop, note: Path, kind: str
) -> None:
    shop.configure(kill_grace=0.2)
    shop.start()
    assert shop.run(chain(kind, note), timeout_seconds=0.5).outcome == TIMEOUT
    assert not seen(shop.uid)


@pytest.mark.parametrize("kind", ["session", "group"])
def test_a_chain_of_forks_does_not_outlive_the_rescue_of_its_run(
    shop: Shop, note: Path, kind: str
) -> None:
    shop.configure(kill_grace=0.2)
    shop.start()
    shop.add(chain(kind, note), "job", base=100, timeout_seconds=0)
    wait_until(lambda: len(marked(shop.uid)) >= 2)
    kill(shop.worker().pid)
    assert shop.wait_for("job", FAILED).outcome == LOST
    assert not seen(shop.uid)


def test_who_is_started_during_a_look_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the next of a chain is, of which the listing of all processes knew nothing yet."""
    monkeypatch.setattr(host, "all_pids", list)

    def newest_is_found() -> bool:
        child = subprocess.Popen(["sleep", "60"], env={MARK: f"{UID}.7"})
        try:
            return child.pid in Census(UID).marked(7)
        finally:
            child.kill()
            child.wait()

    wait_until(newest_is_found)  # others may start something at the same time


def seen(uid: str) -> bool:
    """Whether any of very many looks finds a run's process."""
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        if marked(uid):
            return True
    return False


# -- a process without its first thread --------------------------------------------------


def test_a_process_whose_first_thread_has_ended_is_alive(tmp_path: Path) -> None:
    child = headless(tmp_path / "pids", {MARK: f"{UID}.7"})
    assert host.stat(child.pid) is not None
    census = Census(UID)
    assert child.pid in census.marked(7)
    assert child.pid in census.session(child.pid)
    assert census.signal_marked(7, signal.SIGKILL)
    assert child.wait(10) == -signal.SIGKILL
    assert host.stat(child.pid) is None


def headless(pids: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-c", HEADLESS, str(pids)], env=env, start_new_session=True
    )
    wait_until(lambda: _state(child.pid) == "Z" and lines_of(pids))
    return child


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        return file.read().rpartition(")")[2].split()[0]


@pytest.mark.parametrize("how", ["", "setsid "])
def test_a_process_whose_first_thread_has_ended_is_ended_with_its_run(
    shop: Shop, tmp_path: Path, how: str
) -> None:
    pids, script = tmp_path / "pids", tmp_path / "headless.py"
    script.write_text(HEADLESS)
    shop.start()
    job = shop.run(
        f"{how}{sys.executable} {script} {pids} & "
        f"until [ -s {pids} ]; do sleep 0.01; done; sleep 60",
        timeout_seconds=1.0,
    )
    assert job.outcome == TIMEOUT
    (pid,) = lines_of(pids)
    assert not os.path.exists(f"/proc/{pid}")


# -- a machine short of descriptors ------------------------------------------------------


@pytest.mark.parametrize("call", ["os.listdir", "os.open", "os.pidfd_open", "builtins.open"])
def test_who_cannot_be_looked_at_is_not_gone(
    call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    child = subprocess.Popen(["sleep", "60"], env={MARK: f"{UID}.7"}, start_new_session=True)
    wait_until(lambda: Census(UID).marked(7))

    def refuse(*_words: object, **_options: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(call, refuse)
        with pytest.raises(OSError, match="Too many"):
            Census(UID).signal_marked(7, signal.SIGKILL)
        if call == "builtins.open":
            with pytest.raises(OSError, match="Too many"):
                host.stat(child.pid)
    assert child.poll() is None
    assert Census(UID).signal_marked(7, signal.SIGKILL)
    child.wait(10)


def test_a_worker_short_of_descriptors_goes_on_and_ends_its_runs_when_it_has_some_again(
    shop: Shop, tmp_path: Path
) -> None:
    pids = tmp_path / "pids"
    shop.configure(kill_grace=0.2)
    shop.start()
    line = f"setsid sh -c 'trap \"\" TERM; echo $$ >> {pids}; while :; do sleep 0.02; done'"
    id = shop.add(f"{line} & echo $$ >> {pids}; sleep 60", max_retries=1, timeout_seconds=1)
    both = [int(pid) for pid in wait_until(lambda: len(lines_of(pids)) == 2 and lines_of(pids))]
    worker = shop.worker()
    with no_descriptors(worker.pid):
        # The group of the run is told without a look at anybody.
        wait_until(lambda: sum(map(lives, both)) == 1)
        end = time.monotonic() + 2

        def still_so() -> bool:
            assert sum(map(lives, both)) == 1
            assert shop.state(id) == PROCESSING
            return time.monotonic() >= end

        wait_until(still_so)
    assert shop.wait_for(id).outcome == TIMEOUT
    assert not any(map(lives, both))
    assert shop.worker().id == worker.id


def _hard(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]


@contextmanager
def no_descriptors(pid: int) -> Iterator[None]:
    """Another process can open nothing more."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, _hard(pid)))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


# -- a kernel that holds no process ------------------------------------------------------


NO_PIDFD = """
import errno, os
def refuse(pid, flags=0):
    raise OSError(errno.{errno}, os.strerror(errno.{errno}))
os.pidfd_open = refuse
"""
"""Kernels before 5.3 answer ENOSYS, a container's old seccomp profile EPERM."""


@pytest.mark.parametrize("refusal", ["ENOSYS", "EPERM"])
def test_what_a_dead_worker_ran_is_ended_where_the_kernel_holds_no_process(
    shop: Shop, witness: Witness, site: Callable[[str], dict[str, str]], refusal: str
) -> None:
    shop.configure(kill_grace=0.2)
    shop.start(env=site(NO_PIDFD.format(errno=refusal)))
    shop.add(
        witness.line("[ $QUEUECTL_ATTEMPT = 2 ] || { trap '' TERM; sleep 30; }"), "job", base=0
    )
    first = witness.wait("job")
    kill(shop.worker().pid)
    assert shop.wait_for("job").state == COMPLETED
    assert not lives(first)
    witness.check()


@pytest.mark.parametrize("refusal", [errno.ENOSYS, errno.EPERM, None])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_whoever_carries_a_mark_is_signalled_where_the_kernel_holds_no_process(
    monkeypatch: pytest.MonkeyPatch, refusal: int | None, number: signal.Signals
) -> None:
    _hold_nobody(monkeypatch, refusal)
    child = subprocess.Popen(["sleep", "60"], env={MARK: f"{UID}.7"}, start_new_session=True)
    wait_until(lambda: Census(UID).signal_marked(7, number))
    assert child.wait(10) == -number


def test_nobody_is_signalled_who_got_the_pid_while_it_was_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a pidfd a pid may be another's after any look at it."""
    _hold_nobody(monkeypatch, errno.ENOSYS)
    child = subprocess.Popen(["sleep", "60"], env={MARK: f"{UID}.7"}, start_new_session=True)
    wait_until(lambda: Census(UID).marked(7))
    census = Census(UID)
    assert census.marked(7) == [child.pid]
    looks = iter(range(1, 1_000_000))
    real = host.stat
    monkeypatch.setattr(host, "stat", lambda pid: (next(looks), *(real(pid) or (0, 0, 0))[1:]))
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _number: sent.append(pid))
    census.signal_marked(7, signal.SIGKILL)
    monkeypatch.undo()
    child.kill()
    child.wait()
    assert not sent


def _hold_nobody(monkeypatch: pytest.MonkeyPatch, refusal: int | None) -> None:
    """None: this Python was built where there was no such call."""

    def refuse(_pid: int) -> None:
        raise OSError(refusal, "injected")

    if refusal is None:
        monkeypatch.delattr(os, "pidfd_open")
    else:
        monkeypatch.setattr(os, "pidfd_open", refuse)
