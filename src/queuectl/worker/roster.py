"""The supervisors of a store on this host: each holds a lock on a file named for its pid
namespace and pid, so that `worker stop` finds one that has no worker just now and is about
to start another. It holds how many workers there are to be. A container may share the folder;
its pids are nobody's here."""

from __future__ import annotations

import fcntl
import json
import os
import time
from binascii import hexlify
from contextlib import suppress

from queuectl import host
from queuectl.errors import Refused
from queuectl.records import Record
from queuectl.store.slotlock import try_lock
from queuectl.worker.slots import create, remove

_COUNTING = "counting"
_PATIENCE = 60.0
_LOOK_EVERY = 0.02


class Kept(Record):
    """How many workers a supervisor keeps alive, and for which queues (none: for all)."""

    count: int
    queues: tuple[str, ...]


def _folder(slot_dir: str) -> str:
    return f"{slot_dir}-supervisors"


class Entry:
    """A supervisor's own line in the roster."""

    def __init__(self, slot_dir: str, kept: Kept) -> None:
        supervisors(slot_dir)  # clears away what dead ones left
        self._kept = kept
        while True:
            # No name is used twice: who is about to remove one means that one.
            name = f"{host.pid_namespace()}-{os.getpid()}-{hexlify(os.urandom(4)).decode()}"
            self._path = os.path.join(_folder(slot_dir), name)
            self._fd = create(_folder(slot_dir), self._path)
            self._write()
            if _lock(self._fd):
                return
            # Before it was locked somebody took it for a dead one's.

    def keep(self, count: int) -> None:
        """How many workers there are to be from now on."""
        if count != self._kept.count:
            self._kept = Kept(count, self._kept.queues)
            self._write()

    def _write(self) -> None:
        # Always as long, and in one go: nobody reads half of it.
        text = f"[{self._kept.count:6}, {json.dumps(self._kept.queues)}]"
        with suppress(OSError):  # a full disk, say, is no reason to keep no workers
            os.pwrite(self._fd, text.encode(), 0)

    def strike(self) -> None:
        """The supervisor leaves."""
        remove(self._path)
        os.close(self._fd)


class Counting:
    """The turn of one `worker start --ensure`, from counting until its own workers count;
    as a context manager it waits for the turns of others. Raises Refused if one has no end."""

    def __init__(self, slot_dir: str) -> None:
        self._folder = _folder(slot_dir)
        self._path = os.path.join(self._folder, _COUNTING)
        self._fd = -1

    def __enter__(self) -> Counting:
        until = time.monotonic() + _PATIENCE
        while True:
            self._fd = create(self._folder, self._path, anew=False)
            try:
                if _lock(self._fd, until):
                    return self
            except BlockingIOError:
                os.close(self._fd)
                raise Refused(
                    f"another worker start --ensure has not come to an end in {_PATIENCE:g}s",
                    f"fuser -v {self._path} tells which: end it",
                ) from None

    def __exit__(self, *_error: object) -> None:
        self.end()

    def end(self) -> None:
        """The next may count; safe to repeat."""
        if self._fd >= 0:
            remove(self._path)
            os.close(self._fd)
            self._fd = -1


def _lock(descriptor: int, until: float = float("inf")) -> bool:
    """Wait for the lock of a file; False, and it is closed, if the file is gone by then. Raises
    BlockingIOError if another has it still at `until` (monotonic)."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if time.monotonic() >= until:
                raise
        time.sleep(_LOOK_EVERY)
    if os.fstat(descriptor).st_nlink:
        return True
    os.close(descriptor)
    return False


def supervisors(slot_dir: str) -> dict[int, Kept]:
    """Those of this user that live in our pid namespace, by pid. Files of dead ones are
    cleared away."""
    folder = _folder(slot_dir)
    here = host.pid_namespace()
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return {}
    living = {}
    for name in names:
        if name == _COUNTING:
            continue
        path = os.path.join(folder, name)
        with suppress(FileNotFoundError, PermissionError, IsADirectoryError):
            lock = try_lock(path, shared=True)
            if lock is None:
                namespace, pid = name.split("-")[:2]
                if namespace == here:
                    living[int(pid)] = _read(path)
            else:
                remove(path)  # locked still, so that nobody makes it his own meanwhile
                os.close(lock)
    return living


def _read(path: str) -> Kept:
    try:
        with open(path, encoding="utf-8") as file:
            count, queues = json.load(file)
    except ValueError:  # it could not be written
        return Kept(0, ())
    return Kept(count, tuple(queues))
