"""From what people write to a job: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from queuectl.config import Config
from queuectl.errors import BadInput
from queuectl.jobspec import ALL_ARGUMENTS, JobSpec, capture
from queuectl.model import NewJob
from queuectl.retry import RetryPolicy

NOW = 1_800_000_000_000


def spec(**fields: Any) -> JobSpec:
    return JobSpec(
        Config(), cwd="/tmp", created_by="ana@gpu1", captured={"PATH": "/bin"}, fields=fields
    )


def job(line: str, **fields: Any) -> NewJob:
    return spec(**fields).from_line(line, NOW)


def refusal(line: str, **fields: Any) -> BadInput:
    with pytest.raises(BadInput) as caught:
        job(line, **fields)
    assert "\n" not in caught.value.message
    return caught.value


def with_field(name: str, value: Any) -> str:
    return json.dumps({"command": "true", name: value})


def test_a_plain_line_takes_everything_else_from_the_configuration() -> None:
    assert job("echo hi") == NewJob(
        command="echo hi",
        policy=RetryPolicy(3, 2.0, 3600.0, 0.0),
        timeout_seconds=300.0,
        cwd="/tmp",
        created_by="ana@gpu1",
        captured={"PATH": "/bin"},
    )


def test_json_gives_every_field(tmp_path: Path) -> None:
    fields = {
        "id": "job-1",
        "command": ["ls", "-l", ""],
        "queue": "gpu",
        "priority": 10,
        "max_retries": 0,
        "backoff_base": 1,
        "backoff_max": "1h",
        "backoff_jitter": 0.5,
        "timeout_seconds": "2h30m",
        "run_at": "2099-12-31T23:59:00",
        "after": ["a", "b", "a"],
        "cwd": str(tmp_path),
        "env": {"SEED": "1"},
        "tags": ["lr=0.1", "sweep/1", "lr=0.1"],
    }
    assert job(json.dumps(fields)) == NewJob(
        command=("ls", "-l", ""),
        policy=RetryPolicy(0, 1.0, 3600.0, 0.5),
        timeout_seconds=9000.0,
        cwd=str(tmp_path),
        created_by="ana@gpu1",
        id="job-1",
        queue="gpu",
        priority=10,
        run_at=4_102_444_740_000,
        after=("a", "b"),
        cwd_explicit=True,
        env={"SEED": "1"},
        captured={"PATH": "/bin"},
        tags=("lr=0.1", "sweep/1"),
    )


def test_a_delay_counts_from_now() -> None:
    assert job(with_field("delay", "10m")).run_at == NOW + 600_000
    assert job(with_field("delay", 0.5)).run_at == NOW + 500
    assert job("true", delay=2.0).run_at == NOW + 2_000
    assert job("true", delay=0.0) == job(with_field("delay", 0)) == job("true")


def test_null_is_not_given() -> None:
    assert job('{"command": "true", "priority": null, "run_at": null}') == job("true")


def test_what_options_give_holds_for_every_line() -> None:
    shared = spec(priority=9, tags=["night"], max_retries=1)
    first, second = (
        shared.from_line(line, NOW) for line in ("a", '{"command": "b", "id": "x"}')
    )
    assert (first.priority, first.tags, first.policy.max_retries) == (9, ("night",), 1)
    assert (second.priority, second.tags, second.id) == (9, ("night",), "x")


def test_a_field_given_twice_is_refused() -> None:
    assert "priority is given twice" in refusal(with_field("priority", 3), priority=3).message
    assert "--timeout" in refusal(with_field("timeout_seconds", 3), timeout_seconds=3).message
    assert "command is given twice" in refusal('{"command":"a","command":"b"}').message
    assert "A is given twice" in refusal('{"command":"a","env":{"A":"1","A":"2"}}').message
    assert "id is given twice" in refusal('{"command":"a:b:c","id":"x","id":"x"}').message


def test_both_times_are_refused_by_the_names_they_were_given_by() -> None:
    assert "--run-at and delay" in refusal(with_field("delay", 3), run_at=NOW).message
    assert "--run-at and --delay" in refusal("true", run_at=NOW, delay=3.0).message
    both = '{"command": "true", "delay": 3, "run_at": "2099-12-31"}'
    assert "run_at and delay" in refusal(both).message


@pytest.mark.parametrize(
    "line", ['{"command":"a: b","id":"x:y"}', '{"command":"x","env":{"URL":"http://a:1"}}']
)
def test_colons_in_texts_are_no_second_fields(line: str) -> None:
    assert job(line)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("{", "not JSON"),
        ("  {nope}", "not JSON"),
        ("{ echo a; }", "not JSON"),
        ('{"command":"x"', "not JSON"),
        ('{"command":"x"} x', "not JSON"),
        ('{"command":}', "not JSON"),
        ('{"command":"a\tb"}', "not JSON"),
        ('["ls", "-l"]', "is an object"),
        ("[1]", "is an object"),
        ("{}", "needs a command"),
        ('{"id":"x"}', "needs a command"),
        ('{"command":' + "[" * 100_000, "nested too deeply"),
        ('{"command":"x","priority":' + "1" * 5000 + "}", "not JSON"),
    ],
)
def test_what_is_no_job_is_refused(line: str, says: str) -> None:
    assert says in refusal(line).message


def test_a_shell_line_may_begin_with_a_bracket() -> None:
    assert job("[ -f x ] && echo yes").command == "[ -f x ] && echo yes"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("command", ""),
        ("command", " \n"),
        ("command", []),
        ("command", [""]),
        ("command", ["ls", 1]),
        ("command", 1),
        ("command", {"a": 1}),
        ("command", True),
        ("command", "a\0b"),
        ("command", ["a", "b\0"]),
        ("command", "\ud800"),
        ("command", "x" * 131_072),
        ("command", "é" * 65_536),
        ("command", ["ls", "x" * 131_072]),
        ("id", ""),
        ("id", 5),
        ("id", "a/b"),
        ("id", "a\n"),
        ("id", "@x"),
        ("id", "-x"),
        ("id", "é"),
        ("id", "x" * 300),
        ("queue", "a b"),
        ("queue", ""),
        ("priority", 0),
        ("priority", 11),
        ("priority", 5.0),
        ("priority", "5"),
        ("priority", True),
        ("max_retries", -1),
        ("max_retries", 2.5),
        ("max_retries", False),
        ("max_retries", 10**400),
        ("backoff_base", -1),
        ("backoff_base", "2"),
        ("backoff_base", True),
        ("backoff_max", "none"),
        ("backoff_max", -1),
        ("backoff_jitter", 1.5),
        ("timeout_seconds", -1),
        ("timeout_seconds", "-5m"),
        ("timeout_seconds", "soon"),
        ("timeout_seconds", True),
        ("timeout_seconds", 10**400),
        ("timeout_seconds", []),
        ("delay", -1),
        ("delay", "none"),
        ("run_at", "tomorrow"),
        ("run_at", 1_800_000_000),
        ("run_at", ""),
        ("after", "j1"),
        ("after", [1]),
        ("after", ["a b"]),
        ("tags", "night"),
        ("tags", ["a,b"]),
        ("tags", [""]),
        ("cwd", "/does/not/exist"),
        ("cwd", ""),
        ("cwd", "/etc/passwd"),
        ("cwd", 5),
        ("cwd", "/tmp\0"),
        ("env", ["A=1"]),
        ("env", {"A": 1}),
        ("env", {"A": None}),
        ("env", {"": "1"}),
        ("env", {"1A": "1"}),
        ("env", {"A=B": "1"}),
        ("env", {"A": "x\0"}),
        ("env", {"A": "x" * 131_070}),
        ("env", {"A": "\udfff"}),
    ],
)
def test_a_bad_value_is_refused_and_the_field_is_named(name: str, value: Any) -> None:
    error = refusal(json.dumps({"command": "true"} | {name: value}))
    named = {"tags": "tag", "env": ("env", "variable"), "cwd": ("cwd", "exist", "directory")}
    words = named.get(name, name)
    assert any(word in error.message for word in ([words] if isinstance(words, str) else words))
    assert len(error.message) < 200


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_none_are_refused(word: str) -> None:
    refusal(f'{{"command":"true","timeout_seconds":{word}}}')
    refusal(f'{{"command":"true","backoff_base":{word}}}')


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("command", "x" * 131_071, "x" * 131_071),
        ("id", "A9._:+-" + "x" * 121, "A9._:+-" + "x" * 121),
        ("timeout_seconds", 0, 0.0),
        ("timeout_seconds", "none", 0.0),
        ("timeout_seconds", 0.5, 0.5),
        ("env", {"A": "x" * 131_069}, {"A": "x" * 131_069}),
        ("cwd", "/tmp/../tmp/", "/tmp"),
    ],
)
def test_the_limits_themselves_are_taken(name: str, value: Any, kept: Any) -> None:
    assert getattr(job(json.dumps({"command": "true"} | {name: value})), name) == kept


def test_words_and_variables_are_limited_together() -> None:
    many = ["x" * 100_000] * 11
    assert "together" in refusal(json.dumps({"command": many})).message
    env = {f"A{n}": "x" * 100_000 for n in range(11)}
    assert "together" in refusal(with_field("env", env)).message
    with pytest.raises(BadInput, match=f"{ALL_ARGUMENTS:,}"):
        spec(env=env)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("comand", "did you mean command?"),
        ("timeout", "did you mean timeout_seconds?"),
        ("max-retries", "did you mean max_retries?"),
        ("Tags", "did you mean tags?"),
        ("tag", "did you mean tags?"),
        ("cmd", "did you mean command?"),
        ("Prio", "did you mean priority?"),
    ],
)
def test_an_unknown_field_names_the_nearest(name: str, hint: str) -> None:
    error = refusal(with_field(name, 1))
    assert name in error.message
    assert error.hint == hint


def test_a_field_that_queuectl_keeps_is_told_from_an_unknown_one() -> None:
    assert "kept by queuectl" in refusal(with_field("state", "pending")).message


def test_a_directory_that_no_job_can_name_is_refused() -> None:
    with pytest.raises(BadInput, match="this directory"):
        JobSpec(Config(), cwd="/x\udcff", created_by="a@b", captured={}, fields={})


def test_where_jobs_run_on_many_hosts_a_directory_may_be_on_another() -> None:
    spec = JobSpec(
        Config(),
        cwd="/tmp",
        created_by="a@b",
        captured={},
        fields={"cwd": "/on/another/host/../one"},
        many_hosts=True,
    )
    accepted = spec.from_line("true", 0)
    assert (accepted.cwd, accepted.cwd_explicit) == ("/on/another/one", True)


def test_variables_are_captured_by_name_and_by_beginning() -> None:
    environ = {"PATH": "/bin", "LC_ALL": "C", "LC_TIME": "\udcff", "SECRET": "x"}
    assert capture(environ, ("PATH", "LC_*", "LANG")) == {"PATH": "/bin", "LC_ALL": "C"}


@settings(deadline=None)
@given(
    st.dictionaries(
        st.sampled_from([*NewJob._fields, "delay", "timeout", "x"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ),
    )
)
def test_any_json_object_is_a_job_or_one_clear_line(fields: dict[str, Any]) -> None:
    try:
        accepted = job(json.dumps(fields))
    except BadInput as error:
        assert error.message
        assert "\n" not in error.message
    else:
        assert accepted.command


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_line_is_a_job_or_one_clear_line(line: str) -> None:
    try:
        assert job(line).command
    except BadInput as error:
        assert error.message
