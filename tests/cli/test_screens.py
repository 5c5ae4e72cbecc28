"""What each screen says of the records that it is given."""

from __future__ import annotations

import re
from collections.abc import Iterator

from queuectl.cli.screens.job import render_job
from queuectl.cli.screens.jobs import render_dead, render_jobs
from queuectl.cli.screens.metrics import render_metrics
from queuectl.cli.screens.status import render_status
from queuectl.cli.screens.tables import render_config, render_queues, render_workers
from queuectl.config import Config
from queuectl.model import Job, Metrics

from .records import (
    NARROW,
    NOW,
    PIPE,
    WIDE,
    a_dead_job,
    a_job,
    a_queue,
    a_run,
    a_worker,
    some_stats,
)


def test_piped_tables_are_full_and_their_columns_stay() -> None:
    long = "echo " + "x" * 500
    header, row = list(render_jobs([a_job(command=long)], PIPE, NOW))
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


def test_piped_very_many_jobs_show_as_they_are_read_and_columns_only_widen() -> None:
    read = 0

    def very_many() -> Iterator[Job]:
        nonlocal read
        for read in range(1, 5_001):
            yield a_job(id=f"j{100 * read}", command=f"echo {read}")

    for render in (render_jobs, render_dead):
        lines = render(very_many(), PIPE, NOW)
        assert next(lines).startswith("ID")
        assert read <= 1_000
        rows = list(lines)
        assert [row.rpartition(" ")[2] for row in rows] == [str(n + 1) for n in range(5_000)]
        places = [row.index("echo") for row in rows]
        assert places == sorted(places)
        assert places[-1] - places[0] == len("j500000") - len("j100000")


def test_an_empty_list_is_its_header() -> None:
    assert len(list(render_jobs([], PIPE, NOW))) == len(list(render_jobs([], WIDE, NOW))) == 1


def test_list_tells_due_from_scheduled_and_waiting() -> None:
    jobs = [
        a_job(id="now"),
        a_job(id="later", due_at=NOW + 2 * 3_600_000),
        a_job(id="next", after=("j7",)),
        a_job(id="again", state="failed", due_at=NOW + 4_000, attempts=1, outcome="timeout"),
        a_job(id="runs", state="processing", started_at=NOW - 41 * 60_000, attempts=1),
        a_job(id="ended", state="completed", finished_at=NOW - 3_000, exit_code=0),
    ]
    lines = [" ".join(line.split()) for line in list(render_jobs(jobs, WIDE, NOW))[1:]]
    assert lines[0].startswith("now pending - 0/3 due python")
    assert lines[1].startswith("later pending - 0/3 in 2h00m python")
    assert lines[2].startswith("next pending - 0/3 after j7 python")
    assert lines[3].startswith("again failed timeout 1/3 in 4s python")
    assert lines[4].startswith("runs processing - 2/3 for 41m python")
    assert lines[5].startswith("ended completed 0 1/3 3s ago python")


def test_a_job_on_its_way_has_no_exit_code_of_an_earlier_run() -> None:
    last = {"attempts": 1, "outcome": "failed", "exit_code": 7}
    jobs = [
        a_job(id="again", state="processing", started_at=NOW, **last),
        a_job(id="back", outcome="released", signal="SIGTERM"),
        a_job(id="failed", state="failed", **last),
    ]
    exits = [line.split()[2] for line in list(render_jobs(jobs, PIPE, NOW))[1:]]
    assert exits == ["-", "-", "7"]


def test_a_narrow_list_keeps_room_for_the_command() -> None:
    job = a_job(id="a-rather-long-name", queue="gpu")
    assert "python train.py --seed" in list(render_jobs([job], NARROW, NOW))[1]


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


def test_status_shows_queues_that_matter_before_idle_ones() -> None:
    idle = [a_queue(f"a{n}", completed=1) for n in range(9)]
    closed = [a_queue("b", paused=True), a_queue("c", limit=2)]
    queues = [*idle, *closed, a_queue("w", pending=3), a_queue("x", processing=1)]
    lines = render_status(some_stats(*queues), [], [], [], WIDE, NOW)
    start = next(n for n, line in enumerate(lines) if line.startswith("QUEUES"))
    names = [line[9:].split()[0] for line in lines[start : start + 8]]
    assert names == ["w", "x", "b", "c", "a0", "a1", "a2", "a3"]
    assert lines[start + 8].strip() == "and 5 more: queuectl queue list"


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


def test_show_folds_what_matters_instead_of_cutting_it() -> None:
    job = a_dead_job(
        state="failed", attempts=1, due_at=NOW + 30_000, error="exit 7: " + "no " * 20
    )
    text = " ".join("\n".join(render_job(job, [], None, NARROW, NOW)).split())
    assert "(1 of 3 runs used); again in 30s, at" in text


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


def test_where_there_are_several_hosts_status_says_where_each_job_runs() -> None:
    workers = [a_worker(id="a", host="gpu1"), a_worker(id="b", host="gpu-two")]
    running = [
        a_job(id=f"j{n}", state="processing", worker_id=worker, command="make all")
        for n, worker in enumerate(["b", "a", "gone"])
    ]
    stats = some_stats(a_queue(processing=3))
    shown = render_status(stats, workers, running, [], WIDE, NOW)[-3:]
    assert [line.split()[-3:] for line in shown] == [
        ["gpu-two", "make", "all"],
        ["gpu1", "make", "all"],
        ["-", "make", "all"],
    ]
    alone = render_status(stats, workers[:1], running, [], WIDE, NOW)[-3:]
    assert "gpu1" not in " ".join(alone)


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
    assert "job_timeout 300 s" in lines
    assert "output_limit 65536 bytes" in lines
    assert "retention -" in lines


def test_a_run_on_another_host_than_that_which_asked_says_where() -> None:
    job = a_job(created_by="ann@gpu1")
    here = "\n".join(render_job(job, [a_run(host="gpu1")], None, WIDE, NOW))
    assert "HOST" not in here
    runs = [a_run(host="gpu1"), a_run(attempt=2, host="gpu2")]
    lines = render_job(job, runs, None, WIDE, NOW)
    (header,) = [line for line in lines if "RESULT" in line]
    first, second = lines[lines.index(header) + 1 :][:2]
    place = header.index("HOST")
    assert (first[place : place + 4], second[place : place + 4]) == ("gpu1", "gpu2")
