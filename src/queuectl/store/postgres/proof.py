"""Whether a worker of this very host is plainly dead, lease or not."""

from __future__ import annotations

import os

from queuectl import host
from queuectl.store.slotlock import is_locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def folder_mark(slot_dir: str) -> str:
    """Tells this folder from any that has its name on another host or in another container."""
    try:
        found = os.stat(slot_dir)
    except OSError:
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def here(slot_dir: str) -> tuple[str, str, str, str]:
    """Host, boot id, pid namespace, folder mark; empty where the system does not tell."""
    return host.host_name(), host.boot_id(), host.pid_namespace(), folder_mark(slot_dir)


def is_dead_here(
    slot_dir: str, worker_id: str, place: Sequence[str], process: tuple[int, int]
) -> bool:
    """Proof from this kernel: the lock of the worker's slot file is free, or (for its
    rescuer holds the lock, too, and somebody may have removed the file) there is no such
    process any more.

    `place` is where the worker is (see `here`), `process` its (pid, start in ticks). False
    where host, boot or pid namespace are not ours, nor where its slot file lies elsewhere:
    what the worker ran may live on, and nobody could end it.
    """
    if tuple(place) != here(slot_dir) or "" in (place[1], place[3]):
        return False
    return is_locked(slot_dir, worker_id) is False or not _runs(*process)


def can_be_called(pid: int, start_ticks: int) -> bool:
    """Whether a worker's process lives, as far as can be seen, and is not suspended."""
    return _runs(pid, start_ticks) and not host.is_suspended(pid)


def _runs(pid: int, start_ticks: int) -> bool:
    found = host.stat(pid)
    return _is_hidden(pid) if found is None else found[0] == start_ticks


def _is_hidden(pid: int) -> bool:
    """Whether the process is there although /proc does not show it (hidepid, proc(5))."""
    if os.path.exists(f"/proc/{pid}"):
        return False  # a zombie
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
