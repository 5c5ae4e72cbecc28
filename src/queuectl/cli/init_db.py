"""`queuectl init-db`: create the store."""

from __future__ import annotations

from queuectl.cli.context import out, store_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse


def configure(_parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


def run(args: argparse.Namespace) -> int:
    """Opening a store creates it."""
    with store_of(args) as store:
        out(f"the store is ready: {store.url}")
    return 0
