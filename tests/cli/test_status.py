"""`queuectl status`."""

from __future__ import annotations

import signal

from queuectl.clock import now_ms
from queuectl.model import STATES
from store.helpers import living_worker

from .scene import Scene


def test_status_of_an_empty_store_says_how_to_begin(scene: Scene) -> None:
    said = scene.run("status")
    assert said.code == 0
    assert "Add a job: queuectl enqueue" in said.out
    assert said.err == ""


def test_status_shows_what_runs_and_what_died(scene: Scene) -> None:
    scene.kill("j9", "exit 1: CUDA out of memory")
    scene.start("j12", command="python train.py --seed 12")
    said = scene.run("status")
    assert "1 processing" in said.out
    assert "1 dead (DLQ)" in said.out
    assert "python train.py --seed 12" in said.out
    assert "exit 1: CUDA out of memory" in said.out
    assert "WORKERS  1 on gpu1, 1 of 4 slots busy" in said.lines


def test_status_as_json_has_every_documented_key(scene: Scene) -> None:
    scene.start("j1")
    scene.add("j2", run_at=now_ms() + 3_600_000)
    shape = scene.run("status", "--json").json
    documented = {*STATES, "total", "workers", "slots", "queues", "oldest_due_at"}
    assert documented <= shape.keys()
    assert (shape["processing"], shape["pending"], shape["total"]) == (1, 1, 2)
    assert (shape["workers"], shape["slots"], shape["busy"]) == (1, 4, 1)
    assert shape["oldest_due_at"] is None
    assert shape["queues"][0]["name"] == "default"
    assert shape["queues"][0]["processing"] == 1


def test_status_says_at_once_that_no_worker_serves_a_queue(scene: Scene) -> None:
    scene.add("j1", queue="gpu")
    said = scene.run("status")
    assert said.err.splitlines() == [
        "no worker serves the queue gpu",
        "  try: queuectl worker start --detach --queue gpu",
    ]


def test_where_there_is_no_worker_one_for_all_queues_is_called_for(scene: Scene) -> None:
    for name in ("a", "b", "c", "d", "e", "f", "g"):
        scene.add(f"in-{name}", queue=name)
    assert scene.run("status").err.splitlines() == [
        "no worker serves the queues a, b, c, d, e and 2 more",
        "  try: queuectl worker start --detach",
    ]


def test_where_workers_serve_other_queues_one_is_called_for_each_queue(scene: Scene) -> None:
    with living_worker(scene.store, queues=("c",)):
        for name in ("a", "b", "c"):
            scene.add(f"in-{name}", queue=name)
        assert scene.run("status").err.splitlines() == [
            "no worker serves the queue a",
            "  try: queuectl worker start --detach --queue a",
            "no worker serves the queue b",
            "  try: queuectl worker start --detach --queue b",
        ]


def test_status_does_not_call_for_workers_when_nothing_is_due(scene: Scene) -> None:
    scene.add("j1", run_at=now_ms() + 3_600_000)
    scene.add("j2", queue="gpu")
    scene.store.set_queue("gpu", paused=True)
    assert scene.run("status").err == ""


def test_dead_jobs_are_shown_by_when_they_died(scene: Scene) -> None:
    for name in ("first", "second", "third", "fourth"):
        scene.kill(name)
    assert scene.run("status").lines[-1] == "Why: queuectl show fourth"


def test_what_runs_the_longest_is_shown_first_and_never_hidden(scene: Scene) -> None:
    for n in range(10):
        scene.start(f"job{n}", command=f"sleep {n}")
    lines = scene.run("status").lines
    start = next(n for n, line in enumerate(lines) if line.startswith("RUNNING"))
    shown = [line.split()[-1] for line in lines[start : start + 8]]
    assert shown == [str(n) for n in range(8)]
    assert lines[start + 8].strip() == "and 2 more: queuectl list --state processing"


def test_what_died_last_is_shown_however_many_were_enqueued_after_it(scene: Scene) -> None:
    first = scene.start("first", max_retries=1)
    for n in range(60):
        scene.kill(f"job{n}")
    scene.worker.finish(first, "failed", now_ms() + 1, error="exit 1: at last")
    lines = scene.run("status").lines
    assert next(line for line in lines if line.startswith("DIED")).split()[1] == "first"
    assert lines[-1] == "Why: queuectl show first"


def test_watch_redraws_in_place_and_leaves_the_terminal_clean(scene: Scene) -> None:
    with scene.on_terminal("status", "--watch") as terminal:
        terminal.wait_for("0 pending")
        scene.add("j1")
        terminal.wait_for("1 pending")
        terminal.process.send_signal(signal.SIGINT)
        screen = terminal.finish()
    assert terminal.process.returncode == 130
    before, after = screen.split("\x1b[?25h\x1b[?1049l")
    assert before.startswith("\x1b[?1049h\x1b[?25l")
    assert "1 pending" in after
    assert "Traceback" not in after


def test_watch_leaves_the_terminal_clean_when_it_is_ended(scene: Scene) -> None:
    with scene.on_terminal("status", "--watch") as terminal:
        terminal.wait_for("0 pending")
        terminal.process.terminate()
        assert "\x1b[?25h\x1b[?1049l" in terminal.finish()
    assert terminal.process.returncode == 143


def test_watch_into_a_pipe_prints_json_at_each_change(scene: Scene) -> None:
    import json
    import subprocess

    from .scene import read_until

    process = scene.start_command("status", "--watch", "--json", stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert json.loads(read_until(process.stdout, b"}\n"))["pending"] == 0
        scene.add("j1")
        assert json.loads(read_until(process.stdout, b"}\n"))["pending"] == 1
        process.terminate()
