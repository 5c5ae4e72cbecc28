"""How records become lines: width, plainness, safety."""

from __future__ import annotations

import os
import pty
import re
import unicodedata
from typing import Any

import pytest

from queuectl.cli.reasons import reasons, unserved
from queuectl.cli.screens.job import render_job
from queuectl.cli.screens.jobs import render_dead, render_jobs
from queuectl.cli.screens.layout import Look, fold, span
from queuectl.cli.screens.metrics import render_metrics
from queuectl.cli.screens.status import render_status
from queuectl.cli.screens.tables import render_config, render_queues, render_workers
from queuectl.config import Config
from queuectl.model import (
    STATES,
    Attempt,
    Event,
    Job,
    Metrics,
    QueueInfo,
    Stats,
    Worker,
)
from queuectl.text import display_width

NOW = 1_800_000_000_000
HOSTILE = "a\x1b[2J\x1b]52;c;ZXZp\x07\x00\u202eb\x9b31m\r\ngone\udc80" + "値" * 60
PIPE = Look()
WIDE, NARROW = Look(80), Look(60)


def a_job(**fields: Any) -> Job:
    given: dict[str, Any] = {
        "id": "j1",
        "command": "python train.py --seed 9",
        "queue": "default",
        "priority": 5,
        "max_retries": 3,
        "backoff_base": 2.0,
        "backoff_max": 3600.0,
        "backoff_jitter": 0.0,
        "timeout_seconds": 300.0,
        "run_at": None,
        "due_at": NOW - 10_000,
        "after": (),
        "cwd": "/home/ana/exp",
        "env": {},
        "tags": (),
        "state": "pending",
        "attempts": 0,
        "outcome": None,
        "exit_code": None,
        "signal": None,
        "error": None,
        "created_at": NOW - 60_000,
        "created_by": "ana@gpu1",
        "updated_at": NOW,
        "started_at": None,
        "finished_at": None,
        "duration": None,
        "worker_id": None,
        "progress": None,
        "seq": 1,
        "runs": 0,
    }
    return Job(**given | fields)


def a_dead_job(**fields: Any) -> Job:
    facts = {
        "id": "j9",
        "state": "dead",
        "attempts": 3,
        "outcome": "failed",
        "exit_code": 1,
        "error": "exit 1: CUDA out of memory",
        "finished_at": NOW - 300_000,
    }
    return a_job(**facts | fields)


def a_worker(**fields: Any) -> Worker:
    given: dict[str, Any] = {
        "id": "3f2a",
        "host": "gpu1",
        "pid": 4711,
        "boot_id": "",
        "pid_namespace": "",
        "start_ticks": 0,
        "supervisor_pid": 1,
        "slots": 2,
        "queues": (),
        "started_at": NOW - 3_600_000,
        "heartbeat_at": NOW,
        "jobs": ("j12",),
    }
    return Worker(**given | fields)


def a_run(**fields: Any) -> Attempt:
    given: dict[str, Any] = {
        "attempt": 1,
        "token": 1,
        "worker_id": "3f2a",
        "host": "gpu1",
        "started_at": NOW - 372_000,
        "finished_at": NOW - 300_000,
        "duration": 72.0,
        "outcome": "failed",
        "charged": True,
        "exit_code": 1,
        "signal": None,
        "error": "exit 1: CUDA out of memory",
    }
    return Attempt(**given | fields)


def a_queue(name: str = "default", **counts: Any) -> QueueInfo:
    paused, limit = counts.pop("paused", False), counts.pop("limit", None)
    return QueueInfo(name, paused, limit, dict.fromkeys(STATES, 0) | counts)


def some_stats(*queues: QueueInfo, oldest: int | None = None) -> Stats:
    counts = {state: sum(queue.counts[state] for queue in queues) for state in STATES}
    return Stats(counts, queues, oldest)


def every_screen(look: Look, text: str) -> list[str]:
    """All screens with that text wherever a job or a person could have put it."""
    job = a_dead_job(
        command=text, error=text, tags=(text,), env={"A": text}, cwd=text, created_by=text
    )
    running = a_job(state="processing", command=("echo", text), started_at=NOW - 5_000)
    stats = some_stats(a_queue(pending=1, dead=1), a_queue("gpu", processing=1, limit=2))
    workers = [a_worker(host=text), a_worker(alive=False)]
    event = Event(NOW, "j1", "failed", 1.5, text)
    metrics = Metrics({"enqueued": 3}, [1.0, 2.0], (NOW - 60_000, NOW), [event])
    return [
        *render_status(stats, workers, [running], [job], look, NOW),
        *render_jobs([job, running, a_job()], look, NOW),
        *render_dead([job], look, NOW),
        *render_job(job, [a_run(error=text)], ("stderr", [text]), look, NOW, reveal=True),
        *render_metrics(metrics, look, NOW),
        *render_workers(workers, look, NOW),
        *render_queues(stats.queues, look),
        *render_config(Config(), look),
    ]


@pytest.mark.parametrize("look", [WIDE, NARROW, PIPE, Look(80, colour=True)])
def test_no_screen_lets_a_control_code_of_a_job_through(look: Look) -> None:
    own = re.compile(r"\x1b\[\d+m") if look.colour else re.compile("(?!)")
    for line in every_screen(look, HOSTILE):
        plain = own.sub("", line)
        bad = [
            c for c in plain if unicodedata.category(c) in ("Cc", "Cs", "Zl") or c == "\u202e"
        ]
        assert not bad, line


@pytest.mark.parametrize("text", ["true", "word " * 100, "値" * 100, HOSTILE])
@pytest.mark.parametrize("look", [WIDE, NARROW])
def test_no_line_is_wider_than_the_terminal(look: Look, text: str) -> None:
    for line in every_screen(look, text):
        assert look.width is not None
        assert display_width(line) <= look.width, line


def test_colour_is_never_the_only_sign() -> None:
    coloured = every_screen(Look(80, colour=True), "true")
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in coloured] == every_screen(WIDE, "true")


def test_colour_goes_only_to_a_terminal_that_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal, open(os.devnull, "w") as file:
        assert Look.of(terminal).colour
        assert (Look.of(file).width, Look.of(file).colour) == (None, False)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not Look.of(terminal).colour
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setenv("TERM", "dumb")
        assert not Look.of(terminal).colour


def test_piped_tables_are_full_and_their_columns_stay() -> None:
    long = "echo " + "x" * 500
    header, row = render_jobs([a_job(command=long)], PIPE, NOW)
    assert header.split() == ["ID", "STATE", "EXIT", "RUNS", "WHEN", "QUEUE", "COMMAND"]
    assert row.split()[:6] == [
        "j1",
        "pending",
        "-",
        "0/3",
        "2027-01-15T07:59:50.000Z",
        "default",
    ]
    assert row.endswith(long)


def test_an_empty_list_is_its_header() -> None:
    assert len(render_jobs([], PIPE, NOW)) == len(render_jobs([], WIDE, NOW)) == 1


def test_list_tells_due_from_scheduled_and_waiting() -> None:
    jobs = [
        a_job(id="now"),
        a_job(id="later", due_at=NOW + 2 * 3_600_000),
        a_job(id="next", after=("j7",)),
        a_job(id="again", state="failed", due_at=NOW + 4_000, attempts=1, outcome="timeout"),
        a_job(id="runs", state="processing", started_at=NOW - 41 * 60_000, attempts=1),
        a_job(id="ended", state="completed", finished_at=NOW - 3_000, exit_code=0),
    ]
    lines = [" ".join(line.split()) for line in render_jobs(jobs, WIDE, NOW)[1:]]
    assert lines[0].startswith("now pending - 0/3 due python")
    assert lines[1].startswith("later pending - 0/3 in 2h00m python")
    assert lines[2].startswith("next pending - 0/3 after j7 python")
    assert lines[3].startswith("again failed timeout 1/3 in 4s python")
    assert lines[4].startswith("runs processing - 2/3 for 41m python")
    assert lines[5].startswith("ended completed 0 1/3 3s ago python")


def test_a_narrow_list_keeps_room_for_the_command() -> None:
    job = a_job(id="a-rather-long-name", queue="gpu")
    assert "python train.py --seed" in render_jobs([job], NARROW, NOW)[1]


def test_dlq_list_says_why() -> None:
    text = "\n".join(render_dead([a_dead_job()], WIDE, NOW))
    assert "exit 1: CUDA out of memory" in text
    assert "queuectl show j9" in text


def test_status_shows_counts_workers_what_runs_and_what_died() -> None:
    running = a_job(id="j12", state="processing", started_at=NOW - 41 * 60_000)
    queue = a_queue(processing=1, pending=184, failed=2, dead=6, completed=11)
    lines = render_status(some_stats(queue), [a_worker()], [running], [a_dead_job()], WIDE, NOW)
    text = "\n".join(lines)
    assert "184 pending" in text
    assert "2 failed (will retry)" in text
    assert "204 total" in text
    assert "WORKERS  1 on gpu1, 1 of 2 slots busy" in lines
    assert "RUNNING  j12  41m  python train.py --seed 9" in lines
    assert any(
        re.match(r"DIED     j9  \S+( \w+ \S+)?  exit 1: CUDA out of memory", x) for x in lines
    )
    assert lines[-1] == "Why: queuectl show j9"
    assert not any(line.startswith("QUEUES") for line in lines)


def test_status_counts_what_it_does_not_show() -> None:
    running = [a_job(id=f"j{n}", state="processing", started_at=NOW) for n in range(20)]
    lines = render_status(some_stats(a_queue(processing=300)), [], running, [], WIDE, NOW)
    assert "         and 292 more: queuectl list --state processing" in lines


def test_status_tells_of_paused_and_limited_queues() -> None:
    queues = a_queue(pending=3), a_queue("gpu", pending=1, paused=True), a_queue("one", limit=1)
    text = "\n".join(render_status(some_stats(*queues), [], [], [], WIDE, NOW))
    assert "gpu      1 waiting, 0 running, PAUSED" in text
    assert "one      0 waiting, 0 running of 1 at most" in text


def test_show_tells_why_where_and_each_run() -> None:
    runs = [a_run(attempt=n, token=n) for n in (1, 2, 3)]
    text = "\n".join(
        render_job(a_dead_job(tags=("sweep1",)), runs, ("stderr", ["Traceback:"]), WIDE, NOW)
    )
    assert text.startswith("j9  dead  python train.py --seed 9\n")
    assert "why    exit 1: CUDA out of memory (3 of 3 runs used)" in text
    assert "queue  default   priority 5   tag sweep1   limit 5m" in text
    assert "retry  3 runs at most, waiting 2s, 4s between" in text
    assert "where  /home/ana/exp   by ana@gpu1" in text
    assert text.count("1m12s  3f2a    exit 1") == 3
    assert "stderr, last lines:\n  Traceback:" in text
    assert text.endswith("Again: queuectl retry j9     All output: queuectl logs j9")


def test_show_says_how_to_lift_a_time_limit_that_came_from_config() -> None:
    job = a_dead_job(outcome="timeout", exit_code=None, error="timed out after 300 s")
    assert "--timeout none" in "\n".join(
        render_job(job, [], None, WIDE, NOW, default_limit=300)
    )
    assert "--timeout none" not in "\n".join(
        render_job(job, [], None, WIDE, NOW, default_limit=600)
    )


def test_show_masks_the_environment_unless_told() -> None:
    job = a_job(env={"TOKEN": "s3cret"})
    assert "s3cret" not in "\n".join(render_job(job, [], None, PIPE, NOW))
    assert "s3cret" in "\n".join(render_job(job, [], None, PIPE, NOW, reveal=True))


def test_show_gives_a_command_of_many_lines_as_it_was_written() -> None:
    job = a_job(command="for i in 1 2\ndo\n\techo $i\ndone")
    assert "  do\n      echo $i\n  done" in "\n".join(render_job(job, [], None, WIDE, NOW))


def test_show_says_when_a_failed_job_runs_again() -> None:
    job = a_dead_job(state="failed", attempts=1, due_at=NOW + 4_000)
    assert "(1 of 3 runs used); again in 4s, at" in "\n".join(
        render_job(job, [], None, WIDE, NOW)
    )


def test_uncharged_runs_are_marked() -> None:
    runs = [a_run(outcome="released", charged=False, exit_code=None)]
    assert "given back (not charged)" in "\n".join(render_job(a_job(), runs, None, WIDE, NOW))


def test_metrics_show_totals_lengths_and_rate() -> None:
    metrics = Metrics({"enqueued": 1234}, [1.0] * 11, (NOW - 10_000, NOW), [])
    text = "\n".join(render_metrics(metrics, WIDE, NOW))
    assert "1,234 enqueued" in text
    assert "p95 1s" in text
    assert "1.0 runs a second over 10s" in text


def test_metrics_of_an_empty_store_need_no_runs() -> None:
    assert render_metrics(Metrics({}, [], None, []), WIDE, NOW)


def test_worker_queue_and_config_tables() -> None:
    gone = a_worker(id="81c0", alive=False, jobs=())
    lines = [" ".join(line.split()) for line in render_workers([a_worker(), gone], WIDE, NOW)]
    assert lines[1] == "3f2a gpu1 4711 running 1/2 1h00m all j12"
    assert lines[2].startswith("81c0 gpu1 4711 gone 0/2")
    lines = [" ".join(line.split()) for line in render_queues([a_queue("gpu", dead=2)], WIDE)]
    assert lines[1] == "gpu open - 0 0 0 2 0"
    lines = [" ".join(x.split()) for x in render_config(Config(max_retries=5), WIDE)]
    assert "max_retries 5 (default 3)" in lines
    assert "backoff_base 2" in lines


def test_folded_text_loses_nothing_but_blanks() -> None:
    for text in ("word " * 30, "x" * 100, "値" * 50, "ab " + "y" * 70 + " c", ""):
        for width in (10, 21):
            lines = fold(text, width)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
            assert all(display_width(line) <= width for line in lines)


def test_show_folds_what_matters_instead_of_cutting_it() -> None:
    job = a_dead_job(
        state="failed", attempts=1, due_at=NOW + 30_000, error="exit 7: " + "no " * 20
    )
    text = " ".join("\n".join(render_job(job, [], None, NARROW, NOW)).split())
    assert "(1 of 3 runs used); again in 30s, at" in text


def test_spans_read_at_a_glance() -> None:
    assert [span(s) for s in (0.4, 59, 61, 7_260, 200_000)] == [
        "0s",
        "59s",
        "1m",
        "2h01m",
        "2d7h",
    ]


def codes(job: Job, queue: QueueInfo, workers: list[Worker], **more: Any) -> list[str]:
    needed, ahead = more.get("needed", {}), more.get("ahead", 0)
    return [reason.code for reason in reasons(job, queue, workers, needed, ahead, WIDE, NOW)]


def test_explain_names_everything_that_holds_a_job_back() -> None:
    idle, full = a_worker(), a_worker(jobs=("a", "b"))
    assert codes(a_job(), a_queue(), [idle]) == ["due"]
    assert codes(a_job(), a_queue(), []) == ["no_worker"]
    assert codes(a_job(), a_queue(), [a_worker(queues=("gpu",))]) == ["no_worker"]
    assert codes(a_job(), a_queue(), [full], ahead=3) == ["all_busy", "behind_others"]
    assert codes(a_job(), a_queue(paused=True), [idle]) == ["queue_paused"]
    assert codes(a_job(), a_queue(limit=1, processing=1), [idle]) == ["queue_limit"]
    assert codes(a_job(due_at=NOW + 1), a_queue(), [idle]) == ["scheduled"]
    assert codes(a_dead_job(state="failed", due_at=NOW + 1), a_queue(), [idle]) == ["backoff"]
    waiting = a_job(after=("a", "b"))
    assert codes(waiting, a_queue(), [idle], needed={"a": "completed", "b": "pending"}) == [
        "waits_for_jobs"
    ]
    assert codes(a_job(state="processing"), a_queue(), [idle]) == ["running"]
    assert codes(a_dead_job(), a_queue(), [idle]) == ["dead"]


def test_a_queue_is_unserved_if_jobs_are_due_and_no_living_worker_takes_them() -> None:
    gpu = a_queue("gpu", pending=1)
    elsewhere = [
        a_worker(queues=("default",)),
        a_worker(alive=False),
        a_worker(state="stopping"),
    ]
    assert unserved(some_stats(gpu, oldest=NOW), elsewhere, NOW) == ["gpu"]
    assert unserved(some_stats(gpu, oldest=NOW), [a_worker()], NOW) == []
    assert unserved(some_stats(gpu), elsewhere, NOW) == []
    assert unserved(some_stats(gpu.replace(paused=True), oldest=NOW), [], NOW) == []
