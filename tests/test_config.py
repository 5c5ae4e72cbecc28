"""Settings: names, values, ranges."""

from __future__ import annotations

import pytest

from queuectl.config import KEYS, Config, build, format_value, key_name, parse_value
from queuectl.errors import BadInput, UnknownKey


@pytest.mark.parametrize("word", ["max-retries", "max_retries", "MAX_RETRIES", " max-retries "])
def test_a_key_is_the_same_with_dashes_and_underscores(word: str) -> None:
    assert key_name(word) == "max_retries"


def test_an_unknown_key_names_the_nearest() -> None:
    with pytest.raises(UnknownKey) as caught:
        key_name("max-retrys")
    assert caught.value.hint == "did you mean max_retries?"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("max_retries", "5", 5),
        ("max_retries", "0", 0),
        ("backoff_base", "3.0", 3.0),
        ("backoff_max", "1h", 3_600),
        ("backoff_jitter", "0.5", 0.5),
        ("job_timeout", "600", 600),
        ("job_timeout", "none", 0),
        ("shutdown_timeout", "2m", 120),
        ("output_limit", "0", 0),
        ("env_capture", "PATH, LC_*  HOME", ("PATH", "LC_*", "HOME")),
        ("env_capture", "", ()),
        ("retention", "30d", 2_592_000),
    ],
)
def test_a_value_is_read_from_text_and_written_back(key: str, text: str, value: object) -> None:
    read = parse_value(key, text)
    assert read == value
    assert parse_value(key, format_value(read)) == read


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("max_retries", "-1"),
        ("max_retries", "2.5"),
        ("max_retries", "many"),
        ("max_retries", "1000001"),
        ("backoff_base", "-1"),
        ("backoff_base", "nan"),
        ("backoff_base", "inf"),
        ("backoff_max", "none"),
        ("backoff_jitter", "1.5"),
        ("job_timeout", "-5"),
        ("job_timeout", "soon"),
        ("worker_poll_interval", "0"),
        ("lease_seconds", "1"),
        ("output_limit", "1e3"),
        ("env_capture", "A=B"),
        ("env_capture", "*PATH"),
        ("retention", "0"),
    ],
)
def test_a_value_out_of_range_is_refused_and_names_the_key(key: str, text: str) -> None:
    with pytest.raises(BadInput, match=key):
        parse_value(key, text)


def test_what_is_not_set_has_its_default() -> None:
    config = build({"max_retries": "7", "key_of_a_later_version": "1"})
    assert config == Config(max_retries=7)
    assert build({"lease_seconds": "0.01", "kill_grace": "soon"}) == Config()
    assert set(KEYS) == set(Config._fields)
