"""When a worker claims nothing, though a slot is free and the bell rings."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from queuectl.model import COMPLETED, PENDING, PROCESSING

from .helpers import NEVER, Shop, time_passes, wait_until

_FEW = """
import errno, os, time
real, began = os.posix_spawn, []
def spawn(path, argv, env, **options):
    if b"QUEUECTL_RUN" in env:
        began or began.append(time.monotonic())
        if time.monotonic() < began[0] + 3:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return real(path, argv, env, **options)
os.posix_spawn = spawn
"""
_SLOW = """
import os, time
from queuectl.worker import faultpoints
real = faultpoints.reach
def reach(name):
    if name == "turn.done" and os.path.exists({flag!r}):
        time.sleep(1)
    real(name)
faultpoints.reach = reach
"""
_SLOW_END = """
import time
from queuectl.worker import rescue
end = rescue.end_runs
def slow(*words, **more):
    time.sleep(1.5)
    end(*words, **more)
rescue.end_runs = slow
"""


def test_a_worker_that_can_start_nothing_now_does_not_claim_again_and_again(
    shop: Shop, site: Callable[[str], dict[str, str]]
) -> None:
    shop.configure(worker_poll_interval=NEVER)
    supervisor = shop.start(env=site(_FEW))
    shop.add("true", "a")
    assert shop.wait_for("a").state == COMPLETED
    (run,) = shop.store.history("a")
    assert run.token < 8
    assert supervisor.log.count("can't start a now") < 8


def test_a_worker_told_to_stop_twice_starts_nothing_that_came_between(
    shop: Shop, site: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    """The answer to a turn that was under way brings a job, and word of the other."""
    flag = tmp_path / "slow"
    shop.configure(worker_poll_interval=NEVER)
    shop.start(env=site(_SLOW.format(flag=str(flag))), concurrency=2)
    shop.add("sleep 2", "a")
    wait_until(lambda: shop.state("a") == PROCESSING)
    worker = shop.worker()
    flag.touch()
    shop.store.ask_stop([worker.id], 60)
    shop.add("true", "b")
    time_passes(0.3)
    os.kill(worker.pid, signal.SIGTERM)
    assert shop.wait_for("a").state == COMPLETED
    assert shop.state("b") == PENDING


def test_a_worker_that_gives_up_claims_no_more(
    shop: Shop, site: Callable[[str], dict[str, str]]
) -> None:
    shop.configure(worker_poll_interval=0.1)
    supervisor = shop.start(env=site(_SLOW_END))
    shop.run("true")
    shutil.rmtree(shop.store.slot_dir)
    wait_until(lambda: "giving up" in supervisor.log)
    shop.add("true", "late")
    time_passes(0.4)
    assert shop.state("late") == PENDING
    assert shop.wait_for("late").state == COMPLETED
