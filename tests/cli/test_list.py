"""`queuectl list`."""

from __future__ import annotations

import json
import time

import pytest

from queuectl.clock import now_ms
from queuectl.model import STATES

from .scene import Scene

FIELDS = (
    "id command queue priority max_retries backoff_base backoff_max backoff_jitter",
    "timeout_seconds run_at due_at after cwd env tags state attempts outcome exit_code",
    "signal error created_at created_by updated_at started_at finished_at duration",
    "worker_id progress",
)


def ids(lines: list[str]) -> list[str]:
    return [line.split()[0] for line in lines[1:]]


def test_list_shows_the_newest_first(scene: Scene) -> None:
    scene.add("a", "b", "c")
    said = scene.run("list")
    assert ids(said.lines) == ["c", "b", "a"]
    assert said.err == ""


def test_the_table_shows_fifty_and_says_how_many_more_there_are(scene: Scene) -> None:
    scene.add(*[f"job{n}" for n in range(60)])
    said = scene.run("list")
    assert len(ids(said.lines)) == 50
    assert said.err == "the newest 50; 10 more: --limit N or --limit all\n"
    assert len(ids(scene.run("list", "--limit", "all").lines)) == 60
    limited = scene.run("list", "--limit", "5")
    assert len(ids(limited.lines)) == 5
    assert limited.err == ""


def test_json_gives_all_unless_limited(scene: Scene) -> None:
    scene.add(*[f"job{n}" for n in range(60)])
    assert len(scene.run("list", "--json").json) == 60
    assert len(scene.run("list", "--json", "--limit", "7").json) == 7
    lines = scene.run("list", "--jsonl").lines
    assert [json.loads(line)["id"] for line in lines[:2]] == ["job59", "job58"]
    assert len(lines) == 60


@pytest.mark.parametrize("state", STATES)
def test_every_state_can_be_asked_for(scene: Scene, state: str) -> None:
    assert scene.run("list", "--state", state).code == 0


def test_filters_choose_jobs(scene: Scene) -> None:
    scene.add("a", queue="gpu", tags=("x",))
    scene.add("b", queue="gpu")
    scene.add("c", tags=("x",))
    assert ids(scene.run("list", "--queue", "gpu").lines) == ["b", "a"]
    assert ids(scene.run("list", "--tag", "x").lines) == ["c", "a"]
    assert ids(scene.run("list", "--tag", "x", "--queue", "gpu").lines) == ["a"]
    assert ids(scene.run("list", "--since", "1h").lines) == ["c", "b", "a"]


def test_since_a_time_of_day_is_since_the_last_such_time(scene: Scene) -> None:
    scene.add("a")
    seconds_ago = time.strftime("%H:%M:%S", time.localtime(time.time() - 30))
    a_minute_ahead = time.strftime("%H:%M:%S", time.localtime(time.time() + 60))
    for text in (seconds_ago, a_minute_ahead):
        assert ids(scene.run("list", "--since", text).lines) == ["a"]


def test_an_empty_answer_is_a_header_and_a_reason(scene: Scene) -> None:
    said = scene.run("list")
    assert len(said.lines) == 1
    assert "no jobs yet" in said.err
    scene.add("a")
    said = scene.run("list", "--state", "dead")
    assert len(said.lines) == 1
    assert said.err == "no job fits\n"
    assert scene.run("list", "--state", "dead", "--json").json == []


def test_asking_for_failed_jobs_points_to_the_dead(scene: Scene) -> None:
    scene.kill("a")
    scene.kill("b")
    said = scene.run("list", "--state", "failed")
    assert len(said.lines) == 1
    assert said.err == "2 are dead: queuectl dlq list\n"


def test_a_job_as_json_has_every_documented_field_and_no_other(scene: Scene) -> None:
    scene.add(
        "j1",
        command=("echo", "a b"),
        env={"TOKEN": "s3cret"},
        tags=("x",),
        timeout_seconds=90.0,
    )
    (job,) = scene.run("list", "--json").json
    assert list(job) == " ".join(FIELDS).split()
    assert job["command"] == ["echo", "a b"]
    assert job["env"] == {"TOKEN": "***"}
    assert job["created_at"].endswith("Z")
    assert len(job["created_at"]) == len("2026-01-31T09:00:00.000Z")
    assert (job["timeout_seconds"], job["run_at"], job["error"]) == (90, None, None)
    (revealed,) = scene.run("list", "--json", "--reveal").json
    assert revealed["env"] == {"TOKEN": "s3cret"}


def test_hostile_commands_reach_neither_terminal_nor_json_raw(scene: Scene) -> None:
    scene.add("j1", command="echo '\x1b]52;c;ZXZpbA==\x07\x9b2J\u202e'")
    shown = scene.run("list").out + scene.run("list", "--json").out
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}
    assert (
        scene.run("list", "--json").json[0]["command"]
        == "echo '\x1b]52;c;ZXZpbA==\x07\x9b2J\u202e'"
    )


def test_a_terminal_gets_lines_cut_to_its_width_and_colour(scene: Scene) -> None:
    scene.kill("j2")
    scene.add("j1", command="echo " + "x" * 500)
    with scene.on_terminal("list") as terminal:
        screen = terminal.finish()
    assert "x…" in screen
    assert "\x1b[31mdead" in screen


def test_dlq_list_shows_what_died_last_first(scene: Scene) -> None:
    first = scene.start("first", max_retries=1, queue="gpu")
    for n in range(55):
        scene.kill(f"job{n}")
    scene.worker.finish(first, "failed", now_ms() + 1, error="exit 1")
    said = scene.run("dlq", "list")
    assert ids(said.lines) == ["first", *[f"job{n}" for n in range(54, 5, -1)]]
    assert said.err == "the last 50; 6 more: --limit N or --limit all\n"
    for limit, shown in (("2", 2), ("all", 56)):
        said = scene.run("dlq", "list", "--limit", limit)
        assert (ids(said.lines)[0], len(ids(said.lines)), said.err) == ("first", shown, "")
        for form in ("--json", "--jsonl"):
            said = scene.run("dlq", "list", "--limit", limit, form)
            jobs = said.json if form == "--json" else [json.loads(line) for line in said.lines]
            assert (jobs[0]["id"], len(jobs)) == ("first", shown)


def test_dlq_list_counts_only_what_fits(scene: Scene) -> None:
    for n in range(50):
        scene.kill(f"job{n}", queue="gpu")
    scene.kill("other")
    assert len(ids(scene.run("dlq", "list", "--queue", "gpu").lines)) == 50
    assert scene.run("dlq", "list", "--queue", "gpu").err == ""
    scene.kill("more", queue="gpu", tags=("t",))
    said = scene.run("dlq", "list", "--queue", "gpu")
    assert said.err == "the last 50; 1 more: --limit N or --limit all\n"
    assert scene.run("dlq", "list", "--tag", "u").err == "no job fits\n"


def test_json_of_very_many_jobs_is_one_array_still(scene: Scene) -> None:
    names = [f"job{n}" for n in range(2_500)]
    scene.add(*names)
    assert [job["id"] for job in scene.run("list", "--json").json] == names[::-1]
    assert scene.run("list", "--json", "--state", "dead").out == "[]\n"
