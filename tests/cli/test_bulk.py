"""cancel, retry, delete and purge: by ids or filters, all that can be, and the rest named."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from conftest import Cli, until
from queuectl.clock import now_ms
from queuectl.model import Filter, Job
from queuectl.store.sqlite.inquiry import Inquiry

from .scene import Scene


def states(cli: Cli) -> dict[str, str]:
    return {job["id"]: job["state"] for job in json.loads(cli.ok("list", "--json"))}


@pytest.fixture(scope="module")
def mixed_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`done` completed, `gone` dead, `off` cancelled, `wait` pending."""
    folder = tmp_path_factory.mktemp("mixed")
    cli = Cli(folder / "home", folder)
    cli.ok("enqueue", "true", "--id", "done", "--tag", "x")
    cli.ok("enqueue", "exit 1", "--id", "gone", "--max-retries", "1", "--queue", "gpu")
    cli.drain()
    cli.ok("enqueue", "true", "--id", "off")
    cli.ok("cancel", "off")
    cli.ok("enqueue", "true", "--id", "wait", "--delay", "1h")
    return cli.home


@pytest.fixture
def mixed(cli: Cli, mixed_home: Path) -> Cli:
    """A copy of those jobs for each test."""
    shutil.copytree(mixed_home, cli.home)
    return cli


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "purge"])
def test_neither_ids_nor_filters_is_refused(mixed: Cli, verb: str) -> None:
    result = mixed(verb)
    assert result.code == 2
    assert "which jobs" in result.err
    assert len(states(mixed)) == 4


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "purge"])
def test_an_unknown_id_refuses_all(mixed: Cli, verb: str) -> None:
    before = states(mixed)
    result = mixed(verb, "wait", "gone", "nope")
    assert (result.code, result.out) == (3, "")
    assert "'nope'" in result.err
    assert states(mixed) == before


@pytest.mark.parametrize("verb", ["cancel", "retry", "delete", "purge"])
def test_a_dry_run_lists_and_changes_nothing(mixed: Cli, verb: str) -> None:
    before = states(mixed)
    result = mixed(verb, "gone", "wait", "--dry-run")
    assert "would " in result.out or "already" in result.out
    mixed(verb, "--queue", "gpu", "--dry-run")
    mixed("purge", "--older-than", "0", "--dry-run")
    assert states(mixed) == before


@pytest.mark.parametrize(
    ("words", "code", "after"),
    [
        (["cancel", "wait"], 0, {"wait": "cancelled"}),
        (["cancel", "off"], 0, {}),
        (["cancel", "done", "wait"], 4, {"wait": "cancelled"}),
        (["cancel", "--state", "pending"], 0, {"wait": "cancelled"}),
        (["cancel", "--queue", "default"], 0, {"wait": "cancelled"}),
        (["cancel", "--queue", "none"], 0, {}),
        (["retry", "gone"], 0, {"gone": "pending"}),
        (["retry", "off", "wait"], 0, {"off": "pending"}),
        (["retry", "done", "gone"], 4, {"gone": "pending"}),
        (["retry", "--again", "done"], 0, {"done": "pending"}),
        (["retry", "--state", "dead,cancelled"], 0, {"gone": "pending", "off": "pending"}),
        (["delete", "done", "wait"], 0, {"done": None, "wait": None}),
        (["delete", "--tag", "x"], 0, {"done": None}),
        (["delete", "--since", "1h"], 0, dict.fromkeys(("done", "gone", "off", "wait"))),
        (["purge", "done", "wait"], 4, {"done": None}),
        (["purge", "--state", "dead"], 0, {"gone": None}),
        (["purge", "--limit", "all"], 0, {"done": None, "gone": None, "off": None}),
        (["purge", "--older-than", "1h"], 0, {}),
        (["purge", "--older-than", "0"], 0, {"done": None, "gone": None, "off": None}),
        (["purge", "--state", "pending"], 2, {}),
        (["purge", "--older-than", "1h", "done"], 2, {}),
        (["purge", "--older-than", "0", "--state", "completed"], 0, {"done": None}),
        (["purge", "--older-than", "0", "--queue", "gpu"], 0, {"gone": None}),
        (["purge", "--older-than", "0", "--since", "1h", "--limit", "1"], 0, {"off": None}),
        (["purge", "--older-than", "1h", "--state", "completed"], 0, {}),
        (["purge", "--older-than", "0", "--state", "pending"], 2, {}),
        (["delete", "done", "--state", "dead"], 2, {}),
        (["dlq", "retry", "gone"], 0, {"gone": "pending"}),
        (["dlq", "retry", "off"], 4, {}),
        (["dlq", "retry", "gone", "done"], 4, {"gone": "pending"}),
        (["dlq", "retry", "nope"], 3, {}),
        (["dlq", "retry"], 2, {}),
        (["dlq", "retry", "--all"], 0, {"gone": "pending"}),
        (["dlq", "retry", "--all", "gone"], 2, {}),
        (["dlq", "purge", "--all"], 0, {"gone": None}),
        (["dlq", "purge", "done"], 4, {}),
        (["dlq", "purge"], 2, {}),
    ],
)
def test_what_each_verb_does_to_each_state(
    mixed: Cli, words: list[str], code: int, after: dict[str, str | None]
) -> None:
    expected = states(mixed) | after
    result = mixed(*words)
    assert result.code == code
    assert states(mixed) == {name: state for name, state in expected.items() if state}
    if code == 4:
        assert "skipped" in result.err


def test_a_purge_by_age_counts_what_it_removes(mixed: Cli) -> None:
    words = ("purge", "--older-than", "0", "--state", "completed,cancelled")
    assert mixed.ok(*words, "--dry-run") == "would purge 2 jobs"
    assert json.loads(mixed.ok(*words, "--json")) == {"purged": 2, "would_purge": 2}
    assert "--older-than" in mixed("purge").err


def test_json_names_what_was_done_to_each(mixed: Cli) -> None:
    result = mixed("cancel", "wait", "off", "done", "--json")
    assert result.code == 4
    assert result.json == [
        {"id": "wait", "state": "pending", "result": "done"},
        {"id": "off", "state": "cancelled", "result": "already"},
        {"id": "done", "state": "completed", "result": "refused"},
    ]


def test_a_revived_job_has_all_its_runs_again(mixed: Cli) -> None:
    mixed.ok("dlq", "retry", "gone")
    job = mixed.job("gone")
    assert (job["attempts"], len(job["history"])) == (0, 1)


@pytest.fixture
def chain(scene: Scene) -> Scene:
    """`a` died, so `b` and `c`, which waited for it one after the other, were cancelled."""
    claim = scene.start("a", max_retries=1)
    scene.add("b", after=("a",))
    scene.add("c", after=("b",))
    scene.end(claim, "failed", exit_code=1, error="exit 1")
    return scene


@pytest.mark.parametrize("words", [["retry"], ["retry", "--dry-run"], ["dlq", "retry"]])
def test_a_retry_in_vain_says_what_is_in_the_way_and_what_to_type(
    chain: Scene, words: list[str]
) -> None:
    said = chain.run(*words, "c")
    assert (said.code, said.out) == (4, "")
    assert said.err == (
        "c is cancelled: skipped; it waits for b, which is cancelled\n"
        "  try: queuectl retry a b c\n"
    )
    assert chain.store.get("c").state == "cancelled"


@pytest.mark.parametrize("words", [["c", "b", "a"], ["--state", "dead,cancelled"]])
def test_a_dry_run_of_retry_tells_what_the_retry_then_does(
    chain: Scene, words: list[str]
) -> None:
    dry = chain.run("retry", "--dry-run", *words, "--json")
    assert {change["result"] for change in dry.json} == {"done"}
    done = chain.run("retry", *words, "--json")
    assert (done.code, done.json) == (dry.code, dry.json)


def test_a_long_chain_is_retried_whole_whatever_parts_it_is_done_in(scene: Scene) -> None:
    claim = scene.start("k0", max_retries=1)
    for n in range(1, 502):
        scene.add(f"k{n}", after=(f"k{n - 1}",))
    scene.end(claim, "failed", exit_code=1, error="exit 1")
    assert scene.run("retry", "--state", "dead,cancelled").code == 0
    assert scene.store.stats().counts["pending"] == 502


def test_a_completed_job_is_not_retried_but_the_way_to_is_named(mixed: Cli) -> None:
    result = mixed("retry", "done", "gone")
    assert result.code == 4
    assert result.err == "done is completed: skipped\n  try: queuectl retry --again done\n"


def test_cancel_returns_when_a_running_job_is_dead(worker: Cli) -> None:
    worker.ok("enqueue", "echo $$ > pid; exec sleep 60")
    worker.wait_for("j1", "processing")
    file = worker.work / "pid"
    pid = until(lambda: file.exists() and file.read_text().strip())
    assert worker.ok("cancel", "j1") == "j1 cancelled (was processing)"
    assert not Path(f"/proc/{pid}").exists()
    assert worker.job("j1")["state"] == "cancelled"


def test_a_running_job_is_not_deleted(worker: Cli) -> None:
    worker.ok("enqueue", "sleep 60")
    worker.wait_for("j1", "processing")
    result = worker("delete", "j1")
    hint = "  try: queuectl cancel j1, then queuectl delete j1"
    assert (result.code, result.err) == (4, f"j1 is processing: skipped\n{hint}\n")


def test_cancel_of_a_job_whose_worker_was_killed_does_not_wait_for_ever(cli: Cli) -> None:
    cli.ok("enqueue", "sleep 60")
    supervisor = cli.start("worker", "start")
    cli.wait_for("j1", "processing")
    pid = json.loads(cli.ok("worker", "list", "--json"))[0]["pid"]
    supervisor.kill()
    os.kill(pid, 9)
    assert cli("cancel", "j1").code == 0
    assert cli.job("j1")["state"] == "cancelled"


def test_the_dlq_is_every_dead_job(mixed: Cli) -> None:
    assert [job["id"] for job in json.loads(mixed.ok("dlq", "list", "--json"))] == ["gone"]
    text = mixed.ok("dlq", "list")
    assert "gone" in text
    assert "exit 1" in text
    assert "done" not in text
    assert "gone" in mixed.ok("dlq", "show", "gone")
    result = mixed("dlq", "show", "done")
    assert (result.code, result.out) == (4, "")
    assert mixed("dlq", "show", "nope").code == 3


@pytest.mark.parametrize("verb", ["list", "retry", "purge"])
def test_in_the_dlq_no_state_can_be_asked_for(mixed: Cli, verb: str) -> None:
    assert "--state" not in mixed.ok("dlq", verb, "--help")
    assert "--queue" in mixed.ok("dlq", verb, "--help")
    result = mixed("dlq", verb, "--state", "dead")
    assert (result.code, result.out) == (2, "")
    assert "there is no option --state" in result.err
    assert states(mixed)["gone"] == "dead"


@pytest.mark.parametrize("verb", ["cancel", "delete", "purge"])
def test_a_job_that_left_the_states_that_were_named_is_skipped(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    state, then = ("dead", "pending") if verb == "purge" else ("pending", "processing")
    if verb == "purge":
        scene.kill("j1")
    else:
        scene.add("j1")
    find = Inquiry.list_jobs

    def find_and_be_overtaken(store: Inquiry, which: Filter) -> list[Job]:
        found = find(store, which)
        if verb == "purge":
            scene.store.retry(["j1"], now_ms())
        else:
            scene.claim("j1")
        return found

    monkeypatch.setattr(Inquiry, "list_jobs", find_and_be_overtaken)
    said = scene.run(verb, "--state", state)
    assert (said.code, said.out) == (4, "")
    assert said.err.startswith(f"j1 is {then}: skipped\n")
    assert scene.store.get("j1").state == then
    assert list(scene.worker.turn().cancels) == []


def test_a_dead_job_that_completed_meanwhile_is_not_purged_with_the_dead(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.kill("j1")
    find = Inquiry.list_jobs

    def find_and_be_overtaken(store: Inquiry, which: Filter) -> list[Job]:
        found = find(store, which)
        scene.store.retry(["j1"], now_ms())
        scene.end(scene.claim("j1"))
        return found

    monkeypatch.setattr(Inquiry, "list_jobs", find_and_be_overtaken)
    said = scene.run("purge", "--state", "dead")
    assert (said.code, said.err) == (4, "j1 is completed: skipped\n")
    assert scene.store.get("j1").state == "completed"


@pytest.mark.parametrize("verb", ["cancel", "delete"])
def test_jobs_that_are_cancelled_with_another_are_named(scene: Scene, verb: str) -> None:
    scene.add("p1")
    scene.add("p2", after=("p1",))
    scene.add("p3", after=("p2",))
    dry = scene.run(verb, "p1", "--dry-run")
    assert dry.err == "2 jobs that wait for it would be cancelled too: p2, p3\n"
    assert scene.run(verb, "p1", "p3", "--dry-run").err == (
        "1 job that waits for them would be cancelled too: p2\n"
    )
    assert scene.run(verb, "p1", "--dry-run", "--json").err == ""
    said = scene.run(verb, "p1")
    assert said.lines == [f"p1 {verb}{'led' if verb == 'cancel' else 'd'} (was pending)"]
    assert said.err == "2 jobs that waited for it are cancelled too: p2, p3\n"
    assert scene.store.get("p3").state == "cancelled"


def test_jobs_that_wait_for_one_that_is_skipped_are_not_named(scene: Scene) -> None:
    scene.start("busy")
    scene.add("idle")
    scene.add("child", after=("busy",))
    for more in (["--dry-run"], []):
        said = scene.run("delete", "busy", "idle", *more)
        assert said.err.startswith("busy is processing: skipped\n")
        assert "child" not in said.err


def test_of_many_jobs_that_are_cancelled_with_others_some_are_named(scene: Scene) -> None:
    scene.add("a", "b", tags=("x",))
    scene.add(*[f"c{n}" for n in range(1500)], after=("a", "b"))
    said = scene.run("cancel", "--tag", "x")
    assert len(said.lines) == 2
    assert said.err == (
        "1,500 jobs that waited for them are cancelled too: "
        "c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 1,490 more\n"
    )
