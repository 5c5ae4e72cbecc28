"""retry with new settings: `--timeout`, `--max-retries` and `--priority`."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl.clock import now_ms

from .scene import Scene

VERBS = [["retry"], ["dlq", "retry"]]
GIVEN = ["--timeout", "10m", "--max-retries", "4", "--priority", "9"]


def settings_of(scene: Scene, job_id: str) -> tuple[float, int, int]:
    job = scene.store.get(job_id)
    return job.timeout_seconds, job.max_retries, job.priority


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("which", [["j1"], ["--tag", "t"]])
def test_a_dead_job_is_run_again_with_other_settings(
    scene: Scene, verb: list[str], which: list[str]
) -> None:
    scene.kill("j1", tags=("t",))
    said = scene.run(*verb, *which, *GIVEN)
    assert (said.code, said.out) == (0, "j1 will run again (was dead)\n")
    assert settings_of(scene, "j1") == (600, 4, 9)


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (["--timeout", "none"], (0, 1, 5)),
        (["--timeout=90"], (90, 1, 5)),
        (["--max-retries", "0"], (300, 0, 5)),
        (["--priority", "1"], (300, 1, 1)),
        ([], (300, 1, 5)),
    ],
)
def test_what_is_not_given_stays(
    scene: Scene, words: list[str], after: tuple[float, int, int]
) -> None:
    scene.kill("j1")
    assert scene.run("retry", "j1", *words).code == 0
    assert settings_of(scene, "j1") == after


@pytest.mark.parametrize("verb", VERBS)
def test_a_dry_run_gives_no_settings(scene: Scene, verb: list[str]) -> None:
    scene.kill("j1")
    said = scene.run(*verb, "j1", *GIVEN, "--dry-run")
    assert (said.code, said.out) == (0, "would retry j1 (dead)\n")
    assert settings_of(scene, "j1") == (300, 1, 5)


def test_a_completed_job_is_run_again_with_other_settings(scene: Scene) -> None:
    scene.end(scene.start("j1"))
    said = scene.run("retry", "j1", *GIVEN)
    assert said.code == 4
    again = "queuectl retry --again --priority 9 --max-retries 4 --timeout 600 j1"
    assert said.err == f"j1 is completed: skipped\n  try: {again}\n"
    assert settings_of(scene, "j1") == (300, 3, 5)
    assert scene.run("retry", "j1", *GIVEN, "--again").code == 0
    assert settings_of(scene, "j1") == (600, 4, 9)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_a_pending_job_is_skipped_and_keeps_its_settings(scene: Scene, dry: list[str]) -> None:
    scene.add("j1")
    said = scene.run("retry", "j1", *GIVEN, *dry)
    assert (said.code, said.out) == (4, "")
    retry = "queuectl retry --priority 9 --max-retries 4 --timeout 600 j1"
    hint = f"  try: queuectl cancel j1, then {retry}"
    assert said.err.splitlines() == ["j1 is pending: skipped", hint]
    assert settings_of(scene, "j1") == (300, 3, 5)


def test_what_was_put_off_is_not_told_to_be_run_again_for_that(scene: Scene) -> None:
    scene.add("j1", run_at=now_ms() + 3_600_000)
    assert scene.run("retry", "j1", *GIVEN).err == "j1 is pending: skipped\n"


def test_what_others_wait_for_is_not_told_to_be_cancelled_for_that(scene: Scene) -> None:
    scene.add("j1")
    scene.add("j2", after=("j1",))
    said = scene.run("retry", "j1", "j2", *GIVEN).err.splitlines()
    assert said[:2] == ["j1 is pending: skipped", "j2 is pending: skipped"]
    assert [line.split(", then")[0] for line in said[2:]] == ["  try: queuectl cancel j2"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "words",
    [
        ["--priority", "11"],
        ["--priority", "high"],
        ["--max-retries", "-1"],
        ["--max-retries", "9999999999"],
        ["--timeout", "-5"],
        ["--timeout", "soon"],
        ["--timeout", "200y"],
        ["--timeout", "5", "--timeout", "6"],
    ],
)
def test_what_enqueue_refuses_retry_refuses_alike(
    scene: Scene, verb: list[str], words: list[str]
) -> None:
    scene.kill("j1")
    refused: Any = scene.run("enqueue", "true", *words)
    said = scene.run(*verb, "j1", *words)
    assert (said.code, refused.code) == (2, 2)
    assert said.err.splitlines()[0] == refused.err.splitlines()[0]
    assert scene.store.get("j1").state == "dead"


@pytest.mark.parametrize(
    ("limit", "config", "typed"),
    [
        (2, "300", "4s"),
        (300, "300", "none"),
        (5400, "300", "3h"),
        (86400, "300", "2d"),
        (0.25, "300", "1s"),
    ],
)
def test_show_of_a_job_that_timed_out_names_a_longer_limit_to_type(
    scene: Scene, limit: float, config: str, typed: str
) -> None:
    scene.store.set_config("job_timeout", config)
    claim = scene.start("j1", timeout_seconds=limit, max_retries=1)
    scene.end(claim, "timeout", error=f"timed out after {limit} s")
    line = scene.run("show", "j1").lines[-1]
    assert line.startswith(f"Again: queuectl retry j1 --timeout {typed}     All output: ")
    assert scene.run("retry", "j1", "--timeout", typed).code == 0
    assert scene.store.get("j1").timeout_seconds in (0, max(1, 2 * limit))


def test_show_names_no_limit_where_other_jobs_would_get_it_too(scene: Scene) -> None:
    scene.end(scene.start("first"))
    claim = scene.start("j1", after=("first",), timeout_seconds=2, max_retries=1)
    scene.end(claim, "timeout", error="timed out after 2 s")
    scene.run("retry", "--again", "first")
    scene.run("cancel", "first")
    assert "Again: queuectl retry first j1 " in scene.run("show", "j1").lines[-1]
