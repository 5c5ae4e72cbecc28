"""Anything at all, given to the readers: a value, or one of the documented refusals."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from queuectl.cli.filters import moment
from queuectl.config import KEYS, Config, build, format_value, key_name, parse_value
from queuectl.durations import format_duration, parse_duration
from queuectl.errors import BadInput, UnknownKey
from queuectl.instants import iso, local_time, parse_instant
from queuectl.jobfields import check_queue
from queuectl.jobspec import JobSpec
from queuectl.model import NewJob

from .conftest import Desk, is_refusal
from .hostile import SPELLS

NOW = 1_800_000_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}")

quick = settings(deadline=None, max_examples=150)
slow = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
spells = st.sampled_from(sorted(SPELLS.values()))
texts = st.text(st.characters(), max_size=40) | spells
lengths = st.from_regex(
    r"\A[ +-]?[0-9]{0,400}(\.[0-9]{0,9})?[ ]?(ms|[smhdwy])?([0-9]+[smhd])?\Z"
)
times = st.from_regex(
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
) | st.from_regex(r"\A[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?\Z")


def spec() -> JobSpec:
    return JobSpec(Config(), cwd="/tmp", created_by="ana@gpu1", captured={}, fields={})


def is_one_line(error: BadInput | UnknownKey) -> None:
    assert error.message
    assert error.exit_code in (2, 3)


# -- the small readers -------------------------------------------------------------------


@quick
@given(texts | st.from_regex(_NAME, fullmatch=True))
def test_a_name_is_taken_if_it_is_one(text: str) -> None:
    try:
        accepted = spec().from_fields({"command": "true", "id": text, "queue": text}, NOW)
    except BadInput as error:
        is_one_line(error)
        assert not _NAME.fullmatch(text)
        with pytest.raises(BadInput):
            check_queue(text)
    else:
        assert _NAME.fullmatch(text)
        assert (accepted.id, accepted.queue) == (text, text)


@quick
@given(texts | lengths)
@example("9" * 400)
@example("1e400")
@example("nan")
@example("\u0661\u0662s")
def test_a_length_of_time_is_finite_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text, "it", none_is=0.0)
    except BadInput as error:
        is_one_line(error)
    else:
        assert 0 <= seconds < math.inf
        assert format_duration(seconds)


@quick
@given(texts | times, st.booleans())
@example("9999-12-31T23:59:59-23:59", False)
@example("0001-01-01T00:00:00+23:59", False)
@example("2026-02-30 09:00", True)
@example("24:00", True)
def test_a_time_can_be_shown_or_is_refused(text: str, local: bool) -> None:
    try:
        at = parse_instant(text, "it", local=local, now=NOW)
    except BadInput as error:
        is_one_line(error)
    else:
        assert parse_instant(iso(at), "it") == at
        assert local_time(at)


@quick
@given(texts | times | lengths)
def test_a_time_in_the_past_is_one_or_refused(text: str) -> None:
    try:
        assert isinstance(moment(text, NOW, "--since"), int)
    except BadInput as error:
        is_one_line(error)


@quick
@given(texts)
def test_a_key_is_known_or_refused(text: str) -> None:
    try:
        assert key_name(text) in KEYS
    except UnknownKey as error:
        is_one_line(error)


@quick
@given(st.sampled_from(sorted(KEYS)), texts | lengths | st.floats().map(str))
def test_a_setting_is_kept_as_it_was_understood_or_refused(key: str, text: str) -> None:
    try:
        value = parse_value(key, text)
    except BadInput as error:
        is_one_line(error)
        return
    kept = format_value(value)
    assert parse_value(key, kept) == value
    assert getattr(build({key: kept}), key) == value


# -- jobs --------------------------------------------------------------------------------

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
FIELDS = sorted({*NewJob._fields, "delay", "timeout_seconds", "backoff_base"} - {"id", "after"})
objects = st.fixed_dictionaries(
    {"command": texts | st.lists(texts, max_size=2)},
    optional={field: anything for field in FIELDS if field != "command"},
)


def as_line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode()


good = st.sampled_from(
    [b"true", b'{"command": "true", "priority": 9}', b'{"command": ["ls", "-l"]}', b"[ -f x ]"]
)
lines = (
    good
    | objects.map(as_line)
    | st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b""))
    | texts.map(lambda text: text.encode("utf-8", "surrogatepass").replace(b"\n", b" "))
    | objects.map(as_line).map(lambda line: line[:-3])
)


@pytest.fixture
def source(desk: Desk) -> Iterator[Path]:
    """A file of jobs."""
    yield desk.folder / "jobs"


def good_lines(content: bytes) -> list[bool | None]:
    """Of each line of a file, whether it is a job; None for one that is passed over."""
    found: list[bool | None] = []
    for number, raw in enumerate(content.split(b"\n")):
        line = (raw.removeprefix(b"\xef\xbb\xbf") if number == 0 else raw).strip()
        if not line or line.startswith(b"#"):
            found.append(None)
            continue
        try:
            spec().from_line(line.decode(), NOW)
            found.append(True)
        except (BadInput, UnicodeDecodeError):
            found.append(False)
    return found


@slow
@given(objects)
def test_a_job_in_json_is_enqueued_or_refused(desk: Desk, fields: dict[str, Any]) -> None:
    before = desk.jobs()
    said = desk.run("enqueue", json.dumps(fields))
    if said.code:
        is_refusal(said)
        assert desk.jobs() == before
    else:
        assert desk.jobs() == before + 1
        assert desk.run("show", said.out.strip()).code == 0


@slow
@given(st.lists(lines, max_size=6))
def test_a_file_is_taken_whole_or_not_at_all(
    desk: Desk, source: Path, content: list[bytes]
) -> None:
    source.write_bytes(b"\n".join(content))
    expected = good_lines(source.read_bytes())
    before = desk.jobs()
    said = desk.run("enqueue", "--file", str(source))
    if False in expected:
        is_refusal(said)
        assert f"line {expected.index(False) + 1}:" in said.err
        assert desk.jobs() == before
    else:
        assert said.code == 0
        assert desk.jobs() == before + expected.count(True)


@slow
@given(st.lists(lines, max_size=6))
def test_bad_lines_that_are_left_out_are_named_each(
    desk: Desk, source: Path, content: list[bytes]
) -> None:
    source.write_bytes(b"\n".join(content))
    expected = good_lines(source.read_bytes())
    before = desk.jobs()
    said = desk.run("enqueue", "--file", str(source), "--skip-bad")
    assert said.code == 0
    assert desk.jobs() == before + expected.count(True)
    named = [int(n) for n in re.findall(r"^line (\d+): ", said.err, re.MULTILINE)]
    assert named == [number for number, fine in enumerate(expected, 1) if fine is False]
    assert len(said.err.splitlines()) == len(named) + bool(named)


@slow
@given(st.lists(lines, max_size=6))
def test_a_stream_is_taken_up_to_its_first_bad_line(desk: Desk, content: list[bytes]) -> None:
    raw = b"\n".join(content)
    expected = good_lines(raw)
    before = desk.jobs()
    said = desk.run("enqueue", "--file", "-", "--stream", input=raw)
    taken = expected[: expected.index(False)] if False in expected else expected
    assert desk.jobs() == before + taken.count(True)
    if False in expected:
        is_refusal(said)
    else:
        assert said.code == 0
