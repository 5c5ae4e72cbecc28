"""How signals reach a supervisor and its workers: as bytes in a pipe."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_MAY_BE_IGNORED = (signal.SIGHUP, signal.SIGINT)
"""By nohup, and by a script's `&`: whoever called does not want us to end by them."""


def catch(numbers: Iterable[signal.Signals]) -> tuple[int, int]:
    """Have these signals, whatever mask was inherited, arrive as bytes in a pipe: its ends."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in numbers:
        if number in _MAY_BE_IGNORED and signal.getsignal(number) == signal.SIG_IGN:
            continue
        signal.signal(number, _nothing)
    # A terminal with `tostop` would stop workers, which are in its background, for a line.
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    return read, write


def _nothing(_number: int, _frame: object) -> None:
    """The byte on the wake-up descriptor says it all."""
