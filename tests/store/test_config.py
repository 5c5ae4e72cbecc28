"""The configuration that all who use a store share."""

from __future__ import annotations

import pytest

from queuectl.config import KEYS, Config, format_value, parse_value
from queuectl.store.base import Store

from .backends import SqliteBackend


def test_a_new_store_has_the_defaults(store: Store) -> None:
    assert store.config() == Config()


def test_what_is_set_is_shared_by_all_connections(store: Store, another: Store) -> None:
    store.set_config("max_retries", "7")
    another.set_config("env_capture", "PATH HOME")
    for connection in (store, another):
        config = connection.config()
        assert (config.max_retries, config.env_capture) == (7, ("PATH", "HOME"))
    assert store.config() == Config(max_retries=7, env_capture=("PATH", "HOME"))


def test_a_value_set_again_replaces_the_old_one(store: Store) -> None:
    store.set_config("backoff_base", "3")
    store.set_config("backoff_base", "1.5")
    assert store.config().backoff_base == 1.5


def test_a_key_that_is_unset_has_its_default_again(store: Store) -> None:
    store.set_config("retention", "7d")
    assert store.config().retention == 7 * 86_400
    store.set_config("retention", None)
    assert store.config() == Config()
    store.set_config("retention", None)


def test_the_configuration_outlives_the_connection(backend: SqliteBackend) -> None:
    url = backend.new_url()
    with backend.open(url) as store:
        store.set_config("kill_grace", "2.5")
    assert backend.open(url).config().kill_grace == 2.5


def test_keys_of_a_newer_version_are_passed_over_and_kept(store: Store) -> None:
    store.set_config("from_the_future", "x")
    store.set_config("max_retries", "2")
    assert store.config() == Config(max_retries=2)


@pytest.mark.parametrize("key", KEYS)
def test_every_default_can_be_set_as_it_is_shown(store: Store, key: str) -> None:
    text = format_value(getattr(Config(), key))
    if text:
        parse_value(key, text)
        store.set_config(key, text)
    assert store.config() == Config()
