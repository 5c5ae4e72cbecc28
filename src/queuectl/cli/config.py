"""`queuectl config`: the settings that all workers share."""

from __future__ import annotations

from queuectl.cli.context import note, out, out_json, store_of
from queuectl.cli.parser import json_option
from queuectl.config import Config, format_value, key_name, parse_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

# Taken into a job when it is enqueued; the others concern workers.
_IN_JOBS = {
    "max_retries",
    "backoff_base",
    "backoff_max",
    "backoff_jitter",
    "job_timeout",
    "env_capture",
}


def configure_list(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    json_option(parser)


def run_list(args: argparse.Namespace) -> int:
    """Print every key and its value."""
    with store_of(args) as store:
        config = store.config()
    if args.json:
        from queuectl.cli.jsonshapes import config_json

        out_json(config_json(config))
        return 0
    import sys

    from queuectl.cli.screens.layout import Look
    from queuectl.cli.screens.tables import render_config

    out("\n".join(render_config(config, Look.of(sys.stdout))))
    return 0


def configure_get(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("key", metavar="KEY", nargs="?", help="the setting (else all)")
    json_option(parser)


def run_get(args: argparse.Namespace) -> int:
    """Print the bare value of a key."""
    if args.key is None:
        return run_list(args)
    key = key_name(args.key)
    with store_of(args) as store:
        config = store.config()
    if args.json:
        from queuectl.cli.jsonshapes import config_json

        out_json(config_json(config)[key])
    else:
        out(format_value(getattr(config, key)))
    return 0


def configure_set(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("key", metavar="KEY", help="the setting")
    parser.add_argument("value", metavar="VALUE", help="its new value")


def run_set(args: argparse.Namespace) -> int:
    """Change a key, for all who share the store."""
    key = key_name(args.key)
    text = format_value(parse_value(key, args.value))
    with store_of(args) as store:
        store.set_config(key, text)
    _say(key, text)
    return 0


def configure_unset(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("key", metavar="KEY", help="the setting")


def run_unset(args: argparse.Namespace) -> int:
    """Go back to a key's default."""
    key = key_name(args.key)
    with store_of(args) as store:
        store.set_config(key, None)
    _say(key, format_value(getattr(Config(), key)) or "(not set)")
    return 0


def _say(key: str, text: str) -> None:
    out(f"{key} = {text}")
    if key in _IN_JOBS:
        note("it holds for jobs that are enqueued from now on")
