"""`enqueue --file`: many jobs, all or nothing, or as they arrive."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import Cli, until
from queuectl.cli.manyjobs import _at_once, _Lines
from queuectl.errors import JobExists
from queuectl.jobspec import JobSpec
from queuectl.model import NewJob
from queuectl.store.sqlite.intake import SqliteIntake

from .scene import Scene

MIXED = """\
{"id": "a", "command": "echo a", "priority": 9}
# a comment

echo b; echo c
  [ -e / ] && echo d
{"command": ["ls", "-l"], "after": ["a"]}
"""


def jobs(cli: Cli) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(cli.ok("list", "--json"))
    return found[::-1]


def test_json_and_shell_lines_may_be_mixed(cli: Cli) -> None:
    (cli.work / "jobs").write_text(MIXED)
    result = cli("enqueue", "--file", "jobs", "--tag", "night")
    assert (result.code, result.out) == (0, "4 jobs enqueued: a … j4\n")
    assert [job["command"] for job in jobs(cli)] == [
        "echo a",
        "echo b; echo c",
        "[ -e / ] && echo d",
        ["ls", "-l"],
    ]
    assert all(job["tags"] == ["night"] for job in jobs(cli))


def test_standard_input_is_a_file_named_dash(cli: Cli) -> None:
    assert cli.ok("enqueue", "--file", "-", input="true") == "1 job enqueued: j1"
    assert cli("enqueue", "--file", "-", "--json", input="true\ntrue\n").json == {
        "enqueued": 2,
        "skipped": 0,
    }


def test_an_empty_file_is_no_jobs(cli: Cli) -> None:
    assert cli.ok("enqueue", "--file", "-", input="\n# nothing\n") == "0 jobs enqueued"


def test_a_delay_is_told_for_all(cli: Cli) -> None:
    result = cli("enqueue", "--file", "-", "--delay", "5m", input="a\nb\n")
    assert "runs at" in result.err
    assert "in 5m00s" in result.err
    assert all(job["run_at"] for job in jobs(cli))


def test_windows_line_ends_and_a_byte_order_mark_are_passed_over(cli: Cli) -> None:
    cli.ok("enqueue", "--file", "-", input=b'\xef\xbb\xbf{"command":"a"}\r\necho b\r\n')
    assert [job["command"] for job in jobs(cli)] == ["a", "echo b"]


BAD_LINES = [
    ('{"command":"x","priority":11}', 2, "priority is 1 to 10"),
    ("{nope", 2, "not JSON"),
    ('{"command":"x","id":"good"}', 2, "stands in line 1 too"),
    ('{"command":"x","id":"taken"}', 4, "taken exists already"),
    ('{"command":"x","after":["nope"]}', 3, "no job 'nope'"),
    ("x" * 131_072, 2, "131,071"),
]


@pytest.mark.parametrize(("line", "code", "says"), BAD_LINES)
def test_one_bad_line_refuses_the_whole_file(cli: Cli, line: str, code: int, says: str) -> None:
    cli.ok("enqueue", "true", "--id", "taken")
    text = '{"command":"true","id":"good"}\n' + "true\n" * 5 + line + "\ntrue\n"
    result = cli("enqueue", "--file", "-", input=text)
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith("queuectl: line 7: ")
    assert says in result.err
    assert "nothing was enqueued" in result.err
    assert len(jobs(cli)) == 1


def test_bad_lines_can_be_left_out_and_are_named(cli: Cli) -> None:
    cli.ok("enqueue", "true", "--id", "taken")
    lines = ['{"command":"true","id":"good"}', *[line for line, _code, _says in BAD_LINES]]
    lines += ['{"command":"x","after":["good"]}']
    text = "\n".join(lines).encode() + b"\n\xff\xfe\n"
    result = cli("enqueue", "--file", "-", "--skip-bad", input=text)
    assert (result.code, result.out) == (0, "2 jobs enqueued: good … j3\n")
    for number, (_line, _code, says) in enumerate(BAD_LINES, 2):
        assert any(
            named.startswith(f"line {number}: ") and says in named
            for named in result.err.splitlines()
        )
    assert "line 9: this is not valid UTF-8" in result.err
    assert "7 bad lines left out" in result.err


def test_jobs_that_wait_for_a_line_left_out_are_left_out(cli: Cli) -> None:
    text = '{"id":"a","command":""}\n{"id":"b","command":"x","after":["a"]}\n'
    text += '{"id":"c","command":"x","after":["b"]}\ntrue\n'
    result = cli("enqueue", "--file", "-", "--skip-bad", "--json", input=text)
    assert result.json == {"enqueued": 1, "skipped": 3}


def test_a_long_chain_behind_a_bad_line_is_left_out_in_a_few_passes(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    accept = SqliteIntake.enqueue

    def count_and_accept(store: SqliteIntake, jobs: Sequence[NewJob], now: int) -> list[str]:
        asked.append(len(jobs))
        return accept(store, jobs, now)

    monkeypatch.setattr(SqliteIntake, "enqueue", count_and_accept)
    chain = [
        json.dumps({"id": f"c{n}", "command": "true", "after": [f"c{n - 1}"]})
        for n in range(300)
    ]
    (tmp_path / "jobs").write_text("\n".join([*chain, "true"]))
    said = scene.run("enqueue", "--file", str(tmp_path / "jobs"), "--skip-bad", "--json")
    assert said.json == {"enqueued": 1, "skipped": 300}
    assert "line 300: there is no job 'c298'" in said.err
    assert len(asked) < 5


def test_a_job_left_out_takes_no_others_with_it_that_can_wait_for_the_name(cli: Cli) -> None:
    cli.ok("enqueue", "--id", "there", "true")
    text = '{"command":"early","after":["b"]}\n{"id":"b","command":"b"}\n'
    text += '{"command":"late","after":["b"]}\n'
    text += '{"id":"there","command":"x","after":["nope"]}\n'
    text += '{"command":"last","after":["there"]}\n'
    result = cli("enqueue", "--file", "-", "--skip-bad", input=text)
    assert [job["command"] for job in jobs(cli)] == ["true", "b", "late", "last"]
    assert "line 1: there is no job 'b'" in result.err
    assert "2 bad lines left out" in result.err


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        (
            '{"command":"x","timeout":3}',
            "did you mean timeout_seconds? --skip-bad leaves bad lines out",
        ),
        (
            '{"command":"x","priority":0}',
            "try: 10 runs first, 5 is the default; --skip-bad leaves bad lines out",
        ),
        ("{nope", "try: --skip-bad leaves bad lines out"),
    ],
)
def test_a_bad_line_is_mended_or_left_out(cli: Cli, line: str, hint: str) -> None:
    result = cli("enqueue", "--file", "-", input=line)
    assert result.err.splitlines()[1] == f"  {hint}"


def test_options_hold_for_every_line_and_may_not_be_given_again(cli: Cli) -> None:
    text = '{"command":"x","priority":3}\n'
    result = cli("enqueue", "--file", "-", "--priority", "5", input=text)
    assert result.code == 2
    assert "line 1: priority is given twice: in the job and as --priority" in result.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--file", "-", "true"], "can't both be given"),
        (["--file", "-", "--id", "x"], "--id names one job"),
        (["--file", "missing"], "missing: No such file or directory; nothing was enqueued"),
        (["--file", "."], "Is a directory"),
    ],
)
def test_what_makes_no_sense_with_a_file_is_refused(
    cli: Cli, words: list[str], says: str
) -> None:
    result = cli("enqueue", *words)
    assert result.code == 2
    assert says in result.err


def test_a_stream_is_accepted_as_it_arrives(cli: Cli) -> None:
    process = cli.start("enqueue", "--file", "-", "--stream", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write("echo one\necho unfini")
    process.stdin.flush()
    until(lambda: [job["command"] for job in jobs(cli)] == ["echo one"])
    process.stdin.write("shed\n")
    process.stdin.flush()
    until(lambda: [job["command"] for job in jobs(cli)] == ["echo one", "echo unfinished"])
    out, _err = process.communicate(timeout=20)
    assert out == "2 jobs enqueued: j1 … j2\n"


def test_a_bad_line_in_a_stream_ends_it_and_tells_what_was_accepted(cli: Cli) -> None:
    result = cli("enqueue", "--file", "-", "--stream", input="a\nb\n{\nc\n")
    assert result.code == 2
    assert result.err.startswith("queuectl: line 3: ")
    assert result.err.splitlines()[0].endswith("; the 2 before it are enqueued")
    assert len(jobs(cli)) == 2


def test_a_refused_line_in_a_stream_ends_it_and_those_before_it_are_accepted(cli: Cli) -> None:
    cli.ok("enqueue", "--id", "there", "true")
    lines = 'a\n{"id": "there", "command": "b"}\nc\n'
    result = cli("enqueue", "--file", "-", "--stream", input=lines)
    assert result.code == 4
    assert result.err.startswith("queuectl: line 2: there exists already")
    assert result.err.splitlines()[0].endswith("; the job before it is enqueued")
    assert [job["command"] for job in jobs(cli)] == ["true", "a"]


def test_a_stream_accepts_all_before_the_first_of_several_bad_lines(cli: Cli) -> None:
    cli.ok("enqueue", "--id", "there", "true")
    lines = 'a\n{"command": "b", "after": ["nowhere"]}\nc\n'
    lines += '{"id": "there", "command": "d"}\ne\n{nope\n'
    result = cli("enqueue", "--file", "-", "--stream", input=lines)
    assert result.code == 3
    assert result.err.startswith("queuectl: line 2: there is no job 'nowhere'")
    assert result.err.splitlines()[0].endswith("; the job before it is enqueued")
    assert [job["command"] for job in jobs(cli)] == ["true", "a"]


def test_ids_of_a_stream_are_not_kept_once_they_are_in_the_store(scene: Scene) -> None:
    config = scene.store.config()
    spec = JobSpec(config, cwd="/", created_by="ann@here", captured={}, fields={})
    lines = _Lines(scene.store, spec, skip_bad=False)
    for block in range(3):
        _at_once(lines, [b'{"id": "b%d", "command": "true"}' % block])
    assert lines.enqueued == 3
    assert not lines._line_of
    with pytest.raises(JobExists) as refused:
        _at_once(lines, [b'{"id": "b0", "command": "true"}'])
    assert refused.value.message.startswith("line 4: b0 exists already")


def test_a_folder_is_no_file_of_jobs(cli: Cli) -> None:
    result = cli("enqueue", "--file", str(cli.work))
    assert result.code == 2
    assert f"{cli.work} can't be read: " in result.err


def test_many_lines_are_one_quick_transaction(cli: Cli) -> None:
    lines = "".join(f'{{"command":"echo {n}"}}\n' for n in range(20_000))
    assert cli("enqueue", "--file", "-", "--json", input=lines).json["enqueued"] == 20_000
    assert json.loads(cli.ok("status", "--json"))["pending"] == 20_000
