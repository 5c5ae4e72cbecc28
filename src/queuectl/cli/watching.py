"""`--watch`: the same screen again whenever something changes."""

from __future__ import annotations

import os
import signal
import sys

from queuectl.cli.screens.layout import Look
from queuectl.cli.waiting import changes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from queuectl.store.base import Store

_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"


def watch(
    store: Store, lines: Callable[[Look], list[str]], *, in_place: bool = True
) -> NoReturn:
    """Show `lines` until interrupted: in place on a terminal, else anew at each change."""
    if in_place and sys.stdout.isatty():
        _redraw(store, lines)
    before: list[str] = []
    mark: object = None
    for _ in changes(store):
        if (now := store.change_mark()) != mark:  # else only times have moved on
            mark, shown = now, lines(Look.of(sys.stdout))
            if shown != before:
                print("\n".join(shown), flush=True)
                before = shown
    raise AssertionError("changes never end")


def _redraw(store: Store, lines: Callable[[Look], list[str]]) -> NoReturn:
    shown: list[str] = []
    signal.signal(signal.SIGTERM, _leave_by_exit)
    signal.signal(signal.SIGHUP, _leave_by_exit)
    sys.stdout.write(_ENTER)
    try:
        for _ in changes(store):
            shown = lines(Look.of(sys.stdout))
            height = os.get_terminal_size(sys.stdout.fileno()).lines or 24
            text = "\x1b[K\r\n".join([*shown[: height - 2], "", "Ctrl+C ends"])
            sys.stdout.write(f"\x1b[H{text}\x1b[K\x1b[J")
            sys.stdout.flush()
    finally:
        # what was seen last stays, as if it had been printed
        sys.stdout.write(_LEAVE + "".join([line + "\n" for line in shown]))
        sys.stdout.flush()
    raise AssertionError("changes never end")


def _leave_by_exit(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
