"""`--watch`: the same screen again whenever something changes."""

from __future__ import annotations

import os
import signal
import sys
import time

from queuectl.cli.screens.layout import Look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NoReturn

    from queuectl.store.base import Store

_POLL_SECONDS = 0.1
_REDRAW_SECONDS = 1.0  # times on the screen go on though nothing else does
_ENTER = "\x1b[?1049h\x1b[?25l"  # the alternate screen, without a cursor
_LEAVE = "\x1b[?25h\x1b[?1049l"


def watch(
    store: Store, lines: Callable[[Look], list[str]], *, in_place: bool = True
) -> NoReturn:
    """Show `lines` until interrupted: in place on a terminal, else anew at each change."""
    if in_place and sys.stdout.isatty():
        _redraw(store, lines)
    before: list[str] = []
    for _ in changes(store):
        now = lines(Look.of(sys.stdout))
        if now != before:
            print("\n".join(now), flush=True)
            before = now
    raise AssertionError("changes never end")


def _redraw(store: Store, lines: Callable[[Look], list[str]]) -> NoReturn:
    shown: list[str] = []
    signal.signal(signal.SIGTERM, _leave_by_exit)
    signal.signal(signal.SIGHUP, _leave_by_exit)
    sys.stdout.write(_ENTER)
    try:
        for _ in changes(store, every=_REDRAW_SECONDS):
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


def changes(store: Store, every: float | None = None) -> Iterator[None]:
    """Now, then whenever something may have changed, or `every` so many seconds (if set)."""
    while True:
        mark, drawn = store.change_mark(), time.monotonic()
        yield
        while store.change_mark() == mark:
            if every is not None and time.monotonic() - drawn >= every:
                break
            time.sleep(_POLL_SECONDS)
        else:
            time.sleep(_POLL_SECONDS)  # a busy store is not asked more often than that


def _leave_by_exit(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)
