"""What a start inherits from whoever called it: masks, ignored signals, a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import termios
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from queuectl.model import COMPLETED, PENDING, PROCESSING
from queuectl.worker.detach import start_detached

from .helpers import Shop, kill, lives, state_of, wait_until

_BLOCKED = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}


def _ignoring(*numbers: signal.Signals) -> Callable[[], None]:
    def ignore() -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    return ignore


# -- a signal mask -----------------------------------------------------------------------


def test_signals_that_the_caller_had_blocked_reach_the_supervisor(shop: Shop) -> None:
    supervisor = shop.start(
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED) and None
    )
    first = shop.worker().pid
    kill(first)
    wait_until(lambda: [w for w in shop.workers() if w.pid != first], what="for another")
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0


def test_signals_that_the_caller_had_blocked_reach_a_supervisor_in_the_background(
    shop: Shop,
) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        (first,) = start_detached(shop.url, count=1, concurrency=1, queues=(), drain=False)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    supervisor = shop.worker().supervisor_pid
    try:
        assert _mask(supervisor) == 0
        kill(first)
        wait_until(lambda: [w for w in shop.workers() if w.pid != first], what="for another")
        kill(supervisor, signal.SIGTERM)
        wait_until(lambda: not lives(supervisor))
    finally:
        kill(supervisor)


def _mask(pid: int) -> int:
    """The signals that every thread of a process has blocked."""
    blocked = ~0
    for task in Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text(encoding="utf-8").splitlines()
        blocked &= int(next(line for line in lines if line.startswith("SigBlk")).split()[1], 16)
    return blocked


# -- signals that the caller ignores -----------------------------------------------------


def test_the_end_of_a_session_ends_no_workers_that_were_started_with_nohup(shop: Shop) -> None:
    supervisor = shop.start(preexec_fn=_ignoring(signal.SIGHUP))
    worker = shop.worker().pid
    for pid in (supervisor.pid, worker):
        kill(pid, signal.SIGHUP)
    job = shop.run("kill -HUP $$")
    assert job.signal == "SIGHUP"  # what nohup spares is the workers, not their jobs
    assert shop.worker().pid == worker
    assert "stopping" not in supervisor.log


def test_ctrl_c_ends_no_workers_that_a_script_has_put_in_the_background(shop: Shop) -> None:
    supervisor = shop.start(preexec_fn=_ignoring(signal.SIGINT, signal.SIGQUIT))
    worker = shop.worker().pid
    for pid in (supervisor.pid, worker):
        kill(pid, signal.SIGINT)
    assert shop.run("true").state == COMPLETED
    assert shop.worker().pid == worker
    assert "stopping" not in supervisor.log


def test_two_signals_mean_now_though_the_caller_ignores_others(shop: Shop) -> None:
    supervisor = shop.start(preexec_fn=_ignoring(signal.SIGINT, signal.SIGQUIT, signal.SIGHUP))
    shop.add("sleep 30", "runs")
    shop.wait_for("runs", PROCESSING)
    supervisor.send(signal.SIGTERM)
    wait_until(lambda: "stopping" in supervisor.log)
    supervisor.send(signal.SIGTERM)
    assert supervisor.wait() == 0
    assert shop.state("runs") == PENDING


def test_a_job_starts_with_every_signal_at_its_default(shop: Shop) -> None:
    shop.start(preexec_fn=_ignoring(signal.SIGUSR1, signal.SIGWINCH, signal.SIGRTMIN))
    assert shop.run("kill -USR1 $$").signal == "SIGUSR1"
    job = shop.run("grep SigIgn /proc/self/status")
    of_the_c_library = 1 << 31 | 1 << 32  # nobody else can use them
    assert int(shop.output(job.id).split()[1], 16) & ~of_the_c_library == 0


# -- a terminal --------------------------------------------------------------------------


@pytest.fixture
def terminal() -> Iterator[int]:
    """A terminal that stops whoever writes to it from the background (stty tostop)."""
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)
    settings[3] |= termios.TOSTOP
    termios.tcsetattr(slave, termios.TCSANOW, settings)
    yield slave
    os.close(slave)
    os.close(master)


def test_workers_go_on_at_a_terminal_that_stops_what_writes_from_the_background(
    shop: Shop, terminal: int
) -> None:
    shop.start(
        stdin=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
    )
    worker = shop.worker().pid
    assert _is_in_the_background(worker)
    assert shop.run("true").state == COMPLETED, state_of(worker)
    assert shop.worker().pid == worker


def _is_in_the_background(pid: int) -> bool:
    """By proc_pid_stat(5): of a terminal, but of another group than that in its foreground."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    group, _session, terminal, foreground = stat[stat.rfind(")") + 2 :].split()[2:6]
    return terminal != "0" and group != foreground
