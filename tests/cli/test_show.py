"""`queuectl show` and `queuectl explain`."""

from __future__ import annotations

import pytest

from queuectl.clock import now_ms

from .scene import Scene

FIELDS = (
    "attempt token worker_id host started_at finished_at duration outcome charged",
    "exit_code signal error",
)


def test_show_tells_why_a_job_died_and_what_it_said_last(scene: Scene) -> None:
    claim = scene.start("j9", max_retries=1, command="python train.py")
    output = scene.output(claim, b"epoch 1\n", b"Traceback:\n\x1b[31mRuntimeError\x1b[0m\n")
    scene.end(claim, "failed", exit_code=1, error="exit 1: RuntimeError", output=output)
    said = scene.run("show", "j9")
    assert said.code == 0
    assert said.lines[0] == "j9  dead  python train.py"
    assert "why    exit 1: RuntimeError (1 of 1 run used)" in said.lines
    assert said.lines[-6:-2] == ["", "stderr, last lines:", "  Traceback:", "  RuntimeError"]
    assert said.lines[-1] == "Again: queuectl retry j9     All output: queuectl logs j9"


def test_a_bare_number_is_answered_with_the_id_that_it_may_stand_for(scene: Scene) -> None:
    assert scene.run("show", "12").err.splitlines()[1] == "  did you mean j12?"
    said = scene.run("cancel", "j1,j2,")
    assert said.err.splitlines()[1] == "  try: ids stand apart: j1 j2"
    assert "queuectl list" in scene.run("show", "twelve").err


def test_show_of_a_completed_job_ends_with_its_stdout(scene: Scene) -> None:
    claim = scene.start("j1")
    scene.end(claim, output=scene.output(claim, b"Hello\n", b"warning\n"))
    assert "stdout, last lines:\n  Hello\n" in scene.run("show", "j1").out


def test_show_as_json_is_the_job_with_its_history(scene: Scene) -> None:
    scene.kill("j1")
    shape = scene.run("show", "j1", "--json").json
    assert shape["state"] == "dead"
    assert shape["attempts"] == 1
    (run,) = shape["history"]
    assert list(run) == " ".join(FIELDS).split()
    assert (run["attempt"], run["outcome"], run["charged"]) == (1, "failed", True)
    assert run["started_at"].endswith("Z")


def test_a_running_job_shows_its_run(scene: Scene) -> None:
    scene.start("j1")
    assert scene.run("show", "j1", "--json").json["history"][0]["outcome"] == "processing"
    assert "Follow: queuectl logs j1 -f" in scene.run("show", "j1").out


@pytest.mark.parametrize("words", [["show"], ["explain"], ["wait"]])
def test_a_limit_from_config_that_was_met_says_how_to_lift_it(
    scene: Scene, words: list[str]
) -> None:
    for name, limit in (("theirs", 300), ("own", 5)):
        claim = scene.start(name, timeout_seconds=limit, max_retries=1)
        scene.end(claim, "timeout", error=f"timed out after {limit} s")
    said = scene.run(*words, "theirs")
    assert "timed out after 300 s (--timeout none lifts it)" in said.out + said.err
    said = scene.run(*words, "own")
    assert "timed out after 5 s" in said.out + said.err
    assert "--timeout none" not in said.out + said.err
    assert scene.run("show", "theirs", "--json").json["error"] == "timed out after 300 s"


@pytest.mark.parametrize("verb", ["show", "explain"])
def test_a_job_whose_predecessor_died_is_revived_by_the_line_that_is_named(
    scene: Scene, verb: str
) -> None:
    claim = scene.start("first", max_retries=1)
    scene.add("second", after=("first",))
    scene.add("third", after=("second",))
    scene.end(claim, "failed", exit_code=1, error="exit 1")
    assert "queuectl retry first second third" in scene.run(verb, "third").out
    assert "queuectl retry first\n" in scene.run(verb, "first").out.replace("     ", "\n")
    assert scene.run("retry", "first", "second", "third").code == 0
    assert scene.store.get("third").state == "pending"


def test_an_unknown_job_is_exit_code_three(scene: Scene) -> None:
    for verb in ("show", "logs", "explain"):
        said = scene.run(verb, "nope")
        assert said.code == 3
        assert said.out == ""
        assert "there is no job 'nope'" in said.err


def test_explain_says_what_holds_a_job_back(scene: Scene) -> None:
    scene.add("first", "second")
    said = scene.run("explain", "second")
    assert said.lines[0] == "second is pending:"
    assert "  no worker serves the queue default" in said.lines
    assert "  1 job comes first in its queue" in said.lines
    assert scene.worker
    assert "no worker" not in scene.run("explain", "second").out


def test_explain_as_json_names_the_reasons_by_code(scene: Scene) -> None:
    scene.add("a", run_at=now_ms() + 3_600_000)
    scene.add("b", after=("a",))
    scene.store.set_queue("default", paused=True)
    assert scene.worker
    shape = scene.run("explain", "b", "--json").json
    assert (shape["id"], shape["state"]) == ("b", "pending")
    assert [r["code"] for r in shape["reasons"]] == ["waits_for_jobs", "queue_paused"]
    assert shape["due_at"].endswith("Z")
    assert shape["reasons"][1]["hint"] == "queuectl queue resume default"
    assert [r["code"] for r in scene.run("explain", "a", "--json").json["reasons"]] == [
        "scheduled",
        "queue_paused",
    ]


def test_explain_names_only_jobs_that_it_waits_for_still(scene: Scene) -> None:
    scene.add("a")
    scene.add("b", after=("a",), run_at=now_ms() + 3_600_000)
    scene.end(scene.claim("a"))
    scene.run("retry", "--again", "a")
    scene.run("cancel", "a")
    shape = scene.run("explain", "b", "--json").json
    assert [reason["code"] for reason in shape["reasons"]] == ["scheduled"]


def test_jobs_that_wait_for_others_do_not_come_first(scene: Scene) -> None:
    scene.add("later", run_at=now_ms() + 3_600_000)
    scene.add("blocked1", "blocked2", after=("later",), priority=9)
    scene.add("x", "y")
    assert scene.worker
    assert "nothing holds it back" in scene.run("explain", "x").out
    assert "1 job comes first in its queue" in scene.run("explain", "y").out


def test_explain_says_when_nothing_holds_a_job_back(scene: Scene) -> None:
    scene.add("a")
    assert scene.worker
    assert "nothing holds it back" in scene.run("explain", "a").out
    scene.claim("a")
    assert "it is running" in scene.run("explain", "a").out
