"""The supervisors of a store on this host: each holds a lock on a file named for its pid
namespace and pid, so that `worker stop` finds one that has no worker just now and is about
to start another. A container may share the folder; its pids are nobody's here."""

from __future__ import annotations

import fcntl
import os
from binascii import hexlify

from queuectl import host
from queuectl.store.slotlock import try_lock
from queuectl.worker.slots import create, remove


def _folder(slot_dir: str) -> str:
    return f"{slot_dir}-supervisors"


class Entry:
    """A supervisor's own line in the roster."""

    def __init__(self, slot_dir: str) -> None:
        supervisors(slot_dir)  # clears away what dead ones left
        folder = _folder(slot_dir)
        while True:
            # No name is used twice: who is about to remove one means that one.
            name = f"{host.pid_namespace()}-{os.getpid()}-{hexlify(os.urandom(4)).decode()}"
            self._path = os.path.join(folder, name)
            self._fd = create(folder, self._path)
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            if os.fstat(self._fd).st_nlink:
                return
            os.close(self._fd)  # before it was locked somebody took it for a dead one's

    def strike(self) -> None:
        """The supervisor leaves."""
        remove(self._path)
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
            lock = try_lock(path, shared=True)
        except FileNotFoundError:
            continue
        if lock is None:
            namespace, pid = name.split("-")[:2]
            if namespace == here:
                living.append(int(pid))
        else:
            remove(path)  # locked still, so that nobody makes it his own meanwhile
            os.close(lock)
    return living
