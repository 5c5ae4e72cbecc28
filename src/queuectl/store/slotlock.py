"""The lock that holds a worker's claims: an flock on its slot file, kept by the kernel.

The file is named after the worker and lies in `Store.slot_dir`. Whoever finds the lock
free has proof that the worker's process is gone (flock(2): it ends with the last open
descriptor, and the descriptor is closed on exec).
"""

from __future__ import annotations

import fcntl
import os
import time

_TRIES = 20
_LOOKS_TAKE = 0.001


def try_lock(path: str, *, shared: bool = False) -> int | None:
    """A descriptor that holds the lock of this file, or None if another process has it.
    With `shared`, those who only look don't take each other for its owner.

    Raises FileNotFoundError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    tries = 1 if shared else _TRIES
    while not _lock(descriptor, how):
        tries -= 1
        # Its owner shares it with nobody; who can share it was only kept off by a look.
        if not tries or not _lock(descriptor, fcntl.LOCK_SH):
            os.close(descriptor)
            return None
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(_LOOKS_TAKE)
    return descriptor


def _lock(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(folder: str, worker_id: str) -> bool | None:
    """Whether the worker's process lives; None if there is no such file, which proves
    nothing. Nor does one that can't be opened: it may be another user's."""
    try:
        descriptor = try_lock(os.path.join(folder, worker_id), shared=True)
    except FileNotFoundError:
        return None
    except (PermissionError, IsADirectoryError):
        return True
    if descriptor is None:
        return True
    os.close(descriptor)
    return False
