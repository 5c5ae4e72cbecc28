"""config, queue and init-db."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conftest import Cli
from queuectl.config import KEYS


def queue(cli: Cli, name: str) -> dict[str, Any]:
    shown = json.loads(cli.ok("queue", "list", "--json"))
    found: dict[str, Any] = {queue["name"]: queue for queue in shown}[name]
    return found


def test_init_db_makes_the_store_and_may_be_repeated(cli: Cli) -> None:
    assert str(cli.home / "queue.db") in cli.ok("init-db")
    cli.ok("enqueue", "true")
    cli.ok("init-db")
    assert cli.job("j1")["state"] == "pending"
    assert cli.home.stat().st_mode & 0o777 == 0o700
    assert (cli.home / "queue.db").stat().st_mode & 0o777 == 0o600


def test_get_without_a_key_is_list(cli: Cli) -> None:
    assert cli.ok("config", "get") == cli.ok("config", "list")
    assert set(json.loads(cli.ok("config", "list", "--json"))) == set(KEYS)


def test_a_setting_is_the_same_by_both_spellings_and_for_all_who_share_the_store(
    cli: Cli,
) -> None:
    assert cli.ok("config", "get", "max-retries") == "3"
    cli.ok("config", "set", "max-retries", "5")
    assert cli.ok("config", "get", "max_retries") == "5"
    cli.ok("config", "set", "max_retries", "4")
    assert json.loads(cli.ok("config", "get", "max-retries", "--json")) == 4
    assert "(default 3)" in cli.ok("config", "list")
    cli.ok("config", "unset", "max-retries")
    assert cli.ok("config", "get", "max-retries") == "3"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["get", "max-retrys"], 3, "did you mean max_retries?"),
        (["set", "nope", "1"], 3, "no config key 'nope'"),
        (["unset", "nope"], 3, "no config key"),
        (["set", "max-retries", "many"], 2, "max_retries is a whole number"),
        (["set", "backoff-base", "-1"], 2, "backoff_base takes 0 to 86400"),
        (["set", "max-retries", "-3"], 2, "max_retries takes 0 to 1000000, not -3"),
        (["set", "backoff-max", "400d"], 2, "backoff_max takes 0 to 31622400"),
        (["set", "worker-poll-interval", "0"], 2, "takes 0.05 to 3600"),
        (["set", "retention", "0"], 2, "retention takes 1 or more"),
        (["set", "max-retries"], 2, "VALUE is missing"),
    ],
)
def test_unknown_keys_and_bad_values_are_refused(
    cli: Cli, words: list[str], code: int, says: str
) -> None:
    result = cli("config", *words)
    assert (result.code, result.out) == (code, "")
    assert says in result.err


def test_a_paused_queue_starts_nothing_until_it_is_resumed(cli: Cli) -> None:
    cli.ok("enqueue", "true", "--queue", "night")
    cli.ok("queue", "pause", "night")
    cli.drain()
    assert cli.job("j1")["state"] == "pending"
    assert queue(cli, "night")["paused"]
    assert not queue(cli, "default")["paused"]
    cli.ok("queue", "resume", "night")
    cli.drain()
    assert cli.job("j1")["state"] == "completed"


def test_a_queue_can_be_limited(cli: Cli) -> None:
    cli.ok("queue", "limit", "gpu", "2")
    assert queue(cli, "gpu")["limit"] == 2
    assert cli.ok("queue", "limit", "gpu", "0") == "gpu has no limit"
    assert queue(cli, "gpu")["limit"] is None


def test_an_unknown_queue_is_told(cli: Cli) -> None:
    cli.ok("enqueue", "true", "--queue", "night")
    result = cli("queue", "resume", "nigth")
    assert result.code == 3
    assert "did you mean night?" in result.err
    assert "new queue" in cli("queue", "pause", "nigth").err
    assert cli("queue", "pause", "a b").code == 2
