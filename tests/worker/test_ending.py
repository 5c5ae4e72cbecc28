"""The end of a run: nothing that it started is left, and nothing hangs on what it left."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from queuectl.model import CANCELLED, COMPLETED, FAILED, PROCESSING, TIMEOUT

from .helpers import Shop, kill, lines_of, lives, marked, numbers_in, wait_until

GRACE = 0.5
LONG_GRACE = 30.0

STUBBORN = "trap '' TERM; while :; do sleep 0.02; done"
"""A shell that TERM does not end."""


def _crew(factory: pytest.TempPathFactory, grace: float) -> Iterator[Shop]:
    shop = Shop(factory.mktemp("crew"))
    shop.configure(kill_grace=grace)
    try:
        shop.start(concurrency=4)
        yield shop
        assert marked(shop.uid) == []
    finally:
        shop.close()


@pytest.fixture(scope="module")
def crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One worker of four slots, quick to kill."""
    yield from _crew(tmp_path_factory, GRACE)


@pytest.fixture(scope="module")
def patient_crew(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One that kills so late that what ends soon was not killed."""
    yield from _crew(tmp_path_factory, LONG_GRACE)


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """A file into which a job's processes write their pids; none may outlive the test."""
    file = tmp_path / "pids"
    yield file
    left = [pid for pid in numbers_in(file) if lives(pid)]
    for pid in left:
        kill(pid)
    assert left == []


def tree(pids: Path, body: str = "sleep 60") -> str:
    """A line that starts a child in its group, one in a session of its own, and one that
    left it by two steps; all write their pids, and do `body`."""
    return (
        f"sh -c 'echo $$ >> {pids}; {body}' & "
        f"setsid sh -c 'echo $$ >> {pids}; {body}' & "
        f"(setsid sh -c 'echo $$ >> {pids}; {body}' & ) ; "
        f"echo $$ >> {pids}; "
    )


def in_a_group_of_its_own() -> str:
    """Python's arguments for a process that prints its pid once it has left the group of the
    run, and stays. (`set -m` does nothing in some shells where there is no terminal.)"""
    lines = "os.setpgid(0, 0); print(os.getpid(), flush=True); time.sleep(60)"
    return f"-S -c 'import os, time; {lines}'"


def started(pids: Path, count: int) -> list[int]:
    """Their pids, once so many have started."""
    wait_until(lambda: len(numbers_in(pids)) >= count, what="for processes to start")
    return numbers_in(pids)


# -- told to end -------------------------------------------------------------------------


def test_a_time_limit_ends_the_run_and_is_its_outcome(patient_crew: Shop, pids: Path) -> None:
    job = patient_crew.run(tree(pids) + "sleep 60", timeout_seconds=0.4)
    assert (job.outcome, job.signal) == (TIMEOUT, "SIGTERM")
    assert job.error == "timed out after 0.4 s"
    assert job.duration is not None
    assert 0.4 <= job.duration < LONG_GRACE
    assert len(numbers_in(pids)) == 4


def test_a_run_that_ends_in_time_is_not_timed_out(crew: Shop) -> None:
    assert crew.run("sleep 0.05", timeout_seconds=5).outcome == COMPLETED


def test_whoever_does_not_heed_term_is_killed_after_the_grace(crew: Shop, pids: Path) -> None:
    stubborn = f'trap "" TERM; {"while :; do sleep 0.02; done"}'
    job = crew.run(tree(pids, stubborn) + STUBBORN, timeout_seconds=0.3)
    assert (job.outcome, job.signal) == (TIMEOUT, "SIGKILL")
    assert job.duration is not None
    assert 0.3 + GRACE <= job.duration < 0.3 + GRACE + 3


def test_children_that_do_not_heed_term_are_killed_after_the_grace(
    crew: Shop, pids: Path
) -> None:
    stubborn = f'trap "" TERM; {"while :; do sleep 0.02; done"}'
    job = crew.run(tree(pids, stubborn) + "exec sleep 60", timeout_seconds=0.3)
    assert (job.outcome, job.signal) == (TIMEOUT, "SIGTERM")


def test_a_run_may_tidy_up_within_the_grace(crew: Shop) -> None:
    job = crew.run(
        "trap 'echo tidying; sleep 0.1; echo tidy; exit 9' TERM; sleep 60 & wait",
        timeout_seconds=0.3,
    )
    assert (job.outcome, job.exit_code) == (TIMEOUT, 9)
    assert crew.output(job.id) == "tidying\ntidy\n"


def test_a_run_that_ends_well_after_its_limit_has_timed_out_all_the_same(crew: Shop) -> None:
    job = crew.run("trap 'exit 0' TERM; sleep 60 & wait", timeout_seconds=0.2)
    assert (job.outcome, job.exit_code) == (TIMEOUT, 0)


def test_cancelling_ends_the_whole_tree(crew: Shop, pids: Path) -> None:
    id = crew.add(tree(pids) + "sleep 60")
    started(pids, 4)
    assert crew.cancel(id) == ["asked"]
    job = crew.wait_for(id)
    assert (job.state, job.outcome) == (CANCELLED, CANCELLED)
    assert job.error == "cancelled while it ran"


def test_a_run_is_told_to_end_once(crew: Shop, tmp_path: Path) -> None:
    told = tmp_path / "told"
    id = crew.add(f"trap 'echo TERM >> {told}' TERM; echo > {told}; {_spin(0.4)}")
    wait_until(told.exists)
    crew.cancel(id)
    while crew.state(id) == PROCESSING:  # turns that bring the order again and again
        crew.run("true")
    assert lines_of(told) == ["", "TERM"]
    assert crew.state(id) == CANCELLED


def _spin(seconds: float) -> str:
    """Go on, whatever signal comes (sleep itself would be ended)."""
    return f"i=0; while [ $i -lt {int(seconds * 50)} ]; do sleep 0.02; i=$((i+1)); done"


def test_a_stopped_process_is_ended_all_the_same(crew: Shop, pids: Path) -> None:
    job = crew.run(f"echo $$ >> {pids}; kill -STOP $$", timeout_seconds=0.3)
    assert (job.outcome, job.signal) == (TIMEOUT, "SIGKILL")


def test_a_process_that_cleared_its_environment_is_found_by_its_session(
    patient_crew: Shop, pids: Path
) -> None:
    bare = f"env -i {sys.executable} {in_a_group_of_its_own()} >> {pids}"
    job = patient_crew.run(f"{bare} & {bare} & wait", timeout_seconds=1)
    assert job.outcome == TIMEOUT
    assert len(numbers_in(pids)) == 2


# -- what a run leaves behind ------------------------------------------------------------


def test_a_background_child_that_holds_the_output_is_ended_with_the_run(
    patient_crew: Shop, pids: Path
) -> None:
    job = patient_crew.run(f"sh -c 'echo $$ >> {pids}; sleep 60' & {_once(pids, 1)}; echo done")
    assert (job.state, job.exit_code, patient_crew.output(job.id)) == (COMPLETED, 0, "done\n")
    assert job.duration is not None
    assert job.duration < LONG_GRACE


def _once(pids: Path, count: int) -> str:
    """Wait until so many have written their pids."""
    return f"until [ $(wc -l < {pids} 2>/dev/null || echo 0) -ge {count} ]; do sleep 0.01; done"


def test_a_background_child_that_closed_its_output_is_ended_with_the_run(
    patient_crew: Shop, pids: Path
) -> None:
    job = patient_crew.run(
        f"sh -c 'echo $$ >> {pids}; exec sleep 60' >/dev/null 2>&1 & {_once(pids, 1)}"
    )
    assert job.state == COMPLETED
    assert not any(map(lives, numbers_in(pids)))


def test_a_group_of_its_own_within_the_session_is_ended_with_the_run(
    patient_crew: Shop, pids: Path
) -> None:
    child = f"{sys.executable} {in_a_group_of_its_own()} >> {pids} 2>/dev/null"
    job = patient_crew.run(f"{child} & {_once(pids, 1)}")
    assert job.state == COMPLETED
    assert not any(map(lives, numbers_in(pids)))


def test_what_a_run_left_is_seen_while_another_waits_for_its_output_to_close(
    patient_crew: Shop, pids: Path
) -> None:
    """The other has no process left: somebody who is no child of the worker holds its pipe."""
    go = pids.with_name("go")
    waits = f"echo $$ >> {pids}; until [ -e {go} ]; do sleep 0.01; done"
    held = patient_crew.add(waits, "held")
    (leader,) = started(pids, 1)
    pipe = os.open(f"/proc/{leader}/fd/1", os.O_WRONLY)
    try:
        go.touch()
        wait_until(lambda: not lives(leader))
        child = f"{sys.executable} {in_a_group_of_its_own()} >> {pids} 2>/dev/null"
        assert patient_crew.run(f"{child} & {_once(pids, 2)}").state == COMPLETED
        assert not any(map(lives, numbers_in(pids)))
        assert patient_crew.state(held) == PROCESSING
    finally:
        os.close(pipe)
    assert patient_crew.wait_for(held).state == COMPLETED


def test_a_session_of_its_own_that_holds_the_output_is_ended_with_the_run(
    patient_crew: Shop, pids: Path
) -> None:
    job = patient_crew.run(
        f"setsid sh -c 'echo $$ >> {pids}; exec sleep 60' & {_once(pids, 1)}"
    )
    assert job.state == COMPLETED
    assert job.duration is not None
    assert job.duration < LONG_GRACE


@pytest.mark.parametrize("how", ["", "setsid "])
def test_a_stubborn_child_that_holds_the_output_is_killed_after_the_grace(
    crew: Shop, pids: Path, how: str
) -> None:
    child = f"{how}sh -c 'trap \"\" TERM; echo $$ >> {pids}; while :; do sleep 0.02; done'"
    job = crew.run(f"{child} & {_once(pids, 1)}; exit 3")
    assert (job.outcome, job.exit_code) == (FAILED, 3)
    assert job.duration is not None
    assert GRACE <= job.duration < GRACE + 3


@pytest.mark.parametrize("how", ["", "setsid "])
def test_a_child_that_prints_without_end_does_not_hold_the_worker(
    crew: Shop, pids: Path, how: str
) -> None:
    child = f"{how}sh -c 'trap \"\" TERM; echo $$ >> {pids}; yes'"
    job = crew.add(f"{child} & {_once(pids, 1)}", max_retries=1)
    started(pids, 1)
    began = time.monotonic()
    other = crew.run("sleep 60", timeout_seconds=0.2)
    assert other.outcome == TIMEOUT
    assert time.monotonic() - began < 5
    assert crew.wait_for(job).state == COMPLETED


def test_a_daemon_that_closed_its_output_outlives_the_run(crew: Shop, tmp_path: Path) -> None:
    """The residue that P4 names."""
    file = tmp_path / "daemon"
    job = crew.run(
        f"setsid sh -c 'echo $$ > {file}; exec sleep 60' >/dev/null 2>&1 & {_once(file, 1)}"
    )
    assert job.state == COMPLETED
    (daemon,) = numbers_in(file)
    assert lives(daemon)
    kill(daemon)
    wait_until(lambda: not os.path.exists(f"/proc/{daemon}"), what="for it to be reaped")


def test_what_outlived_a_run_is_not_ended_with_the_next(crew: Shop, tmp_path: Path) -> None:
    file = tmp_path / "daemon"
    crew.run(
        f"setsid sh -c 'echo $$ > {file}; exec sleep 60' >/dev/null 2>&1 & {_once(file, 1)}"
    )
    (daemon,) = numbers_in(file)
    assert crew.run("sleep 60", timeout_seconds=0.1).outcome == TIMEOUT
    assert lives(daemon)
    kill(daemon, signal.SIGKILL)
    wait_until(lambda: not lives(daemon))
