"""A machine short of descriptors, memory or processes is like a store that can't be used."""

from __future__ import annotations

from contextlib import contextmanager
from errno import EAGAIN

from queuectl.errors import StoreError
from queuectl.host import is_shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from threading import Thread


@contextmanager
def as_store_error() -> Iterator[None]:
    """Where a store is used: both pass, and both are tried again."""
    try:
        yield
    except MemoryError:
        raise StoreError("this machine is short: no memory is left for queuectl") from None
    except OSError as error:
        if not is_shortage(error):
            raise
        raise StoreError(f"this machine is short: {error.strerror}") from None


def start(thread: Thread) -> None:
    """Start it, or raise the OSError that Python hides."""
    try:
        thread.start()
    except RuntimeError as error:
        raise OSError(EAGAIN, str(error)) from None
