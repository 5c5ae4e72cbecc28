"""A machine short of descriptors, memory or processes is like a store that can't be used."""

from __future__ import annotations

from contextlib import contextmanager

from queuectl.errors import StoreError
from queuectl.host import is_shortage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_store_error() -> Iterator[None]:
    """Where a store is used: both pass, and both are tried again."""
    try:
        yield
    except OSError as error:
        if not is_shortage(error):
            raise
        raise StoreError(f"this machine is short: {error.strerror}") from None
