"""The supervisors of a store on this host: each holds a lock on a file named for its pid
namespace and pid, so that `worker stop` finds one that has no worker just now and is about
to start another. A container may share the folder; its pids are nobody's here."""

from __future__ import annotations

import fcntl
import os

from queuectl import host
from queuectl.store.slotlock import try_lock


def _folder(slot_dir: str) -> str:
    return f"{slot_dir}-supervisors"


class Entry:
    """A supervisor's own line in the roster."""

    def __init__(self, slot_dir: str) -> None:
        supervisors(slot_dir)  # clears away what dead ones left
        folder = _folder(slot_dir)
        self._path = os.path.join(folder, f"{host.pid_namespace()}-{os.getpid()}")
        while True:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            try:
                self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                break
            except FileNotFoundError:  # somebody has just removed the empty folder
                continue
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def strike(self) -> None:
        """The supervisor leaves."""
        _remove(self._path)
        os.close(self._fd)


def supervisors(slot_dir: str) -> list[int]:
    """The pids of those that live in our pid namespace. Files of dead ones are cleared away."""
    folder = _folder(slot_dir)
    here = host.pid_namespace()
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    living = []
    for name in names:
        path = os.path.join(folder, name)
        try:
            lock = try_lock(path)
        except FileNotFoundError:
            continue
        if lock is None:
            namespace, _, pid = name.rpartition("-")
            if namespace == here:
                living.append(int(pid))
        else:
            _remove(path)
            os.close(lock)
    return living


def _remove(path: str) -> None:
    try:
        os.unlink(path)
        os.rmdir(os.path.dirname(path))
    except OSError:
        return
