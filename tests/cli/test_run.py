"""`run`: a prefix before a command that behaves as the command alone would."""

from __future__ import annotations

import signal

import pytest

from conftest import Cli, until
from queuectl.errors import StoreError
from queuectl.model import Job
from queuectl.store.sqlite.inquiry import Inquiry
from queuectl.store.sqlite.whole import SqliteStore

from .scene import Scene


def test_output_and_exit_code_are_the_commands_own(worker: Cli) -> None:
    result = worker("run", "sh", "-c", "printf out; printf err >&2; exit 7")
    assert (result.code, result.out, result.err) == (7, "out", "err")


def test_output_comes_byte_for_byte(worker: Cli) -> None:
    result = worker("run", r"printf 'a\033[31mb\r\n'")
    assert result.out == "a\x1b[31mb\r\n"


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["true"], "true"),
        (["echo $0 | cat"], "echo $0 | cat"),
        (["echo", "--json", "-n"], ["echo", "--json", "-n"]),
        (["--", "echo"], ["echo"]),
        (["--tag", "x", "echo", "--tag", "y"], ["echo", "--tag", "y"]),
        (['{"command":"echo json"}'], "echo json"),
    ],
)
def test_options_end_at_the_first_word(worker: Cli, words: list[str], command: object) -> None:
    worker.ok("run", *words)
    job = worker.job("j1")
    assert job["command"] == command
    assert (job["max_retries"], job["timeout_seconds"]) == (1, 0)


def test_more_runs_and_a_time_limit_can_be_asked_for(worker: Cli) -> None:
    failing = "echo run $QUEUECTL_ATTEMPT; exit 3"
    result = worker("run", "--max-retries", "2", "--backoff-base", "0", failing)
    assert (result.code, result.out) == (3, "run 1\nrun 2\n")
    result = worker("run", "--timeout", "0.2", "sleep 60")
    assert result.code == 128 + signal.SIGTERM
    assert "timed out" in result.err
    result = worker("run", '{"command":"exit 4","max_retries":2,"backoff_base":0}')
    assert (result.code, worker.job("j3")["attempts"]) == (4, 2)


def test_a_signal_is_128_and_its_number(worker: Cli) -> None:
    assert worker("run", "kill -9 $$").code == 128 + signal.SIGKILL


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 128 + signal.SIGTERM)]
)
def test_interrupt_and_term_cancel_the_job(worker: Cli, number: int, code: int) -> None:
    process = worker.start("run", "sleep 60")
    worker.wait_for("j1", "processing")
    process.send_signal(number)
    _out, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err == "cancelling j1; Ctrl+C again: don't wait for its end\n"
    assert worker.job("j1")["state"] == "cancelled"


@pytest.mark.parametrize(
    ("words", "number"), [([], signal.SIGHUP), (["--keep"], signal.SIGINT)]
)
def test_a_hangup_or_keep_leave_the_job_running(
    worker: Cli, words: list[str], number: int
) -> None:
    process = worker.start("run", *words, "sleep 60")
    worker.wait_for("j1", "processing")
    process.send_signal(number)
    _out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "queuectl logs j1 -f" in err
    assert worker.job("j1")["state"] == "processing"


def test_a_job_that_others_cancel_is_125(worker: Cli) -> None:
    process = worker.start("run", "sleep 60")
    worker.wait_for("j1", "processing")
    worker.ok("cancel", "j1")
    assert process.wait(20) == 125


def test_a_reader_that_leaves_ends_the_job(worker: Cli) -> None:
    process = worker.start("run", "while :; do echo y; sleep 0.01; done")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(20) == 141
    worker.wait_for("j1", "cancelled")


def test_without_a_worker_it_says_so_at_once(cli: Cli) -> None:
    process = cli.start("run", "true")
    assert process.stderr is not None
    assert "no worker serves the queue default" in process.stderr.readline()
    assert "queuectl worker start --detach" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert cli.job("j1")["state"] == "cancelled"


@pytest.mark.parametrize("words", [[], ["--priority", "99", "true"], ["--nope", "true"], [""]])
def test_its_own_failures_are_125(cli: Cli, words: list[str]) -> None:
    result = cli("run", *words)
    assert result.code == 125
    assert result.err.startswith("queuectl: ")


def test_output_comes_while_the_job_runs(worker: Cli) -> None:
    process = worker.start(
        "run", "echo first; while [ ! -e go ]; do sleep 0.02; done; echo last"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "first\n"
    (worker.work / "go").touch()
    assert process.stdout.readline() == "last\n"
    assert process.wait(20) == 0


def test_a_nohup_run_ignores_the_hangup(worker: Cli) -> None:
    process = worker.start(
        "run",
        "while [ ! -e go ]; do sleep 0.02; done",
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    worker.wait_for("j1", "processing")
    process.send_signal(signal.SIGHUP)
    (worker.work / "go").touch()
    assert process.wait(20) == 0
    until(lambda: worker.job("j1")["state"] == "completed")


def test_a_server_that_is_away_just_after_the_enqueue_is_waited_for(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, asked = Inquiry.get, 0

    def be_away_once(store: Inquiry, job_id: str) -> Job:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise StoreError("the server is gone")
        if asked == 2:
            scene.end(scene.claim(job_id))
        return find(store, job_id)

    monkeypatch.setattr(SqliteStore, "leases", True)
    monkeypatch.setattr(Inquiry, "get", be_away_once)
    said = scene.run("run", "true")
    assert (said.code, said.err) == (0, "")
    assert asked > 2
