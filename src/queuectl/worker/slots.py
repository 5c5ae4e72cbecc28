"""The slot file: what a worker was running when it died, and the proof that it did.

A worker holds the flock of its file for life (see `store.slotlock`). An entry is written
before a run is started, gets the pid after, and is cleared only when the run's end is on
disk in the store. So after a crash, a claim without an entry never started. Pages of a
mapped file survive the process, not the machine: after another boot nothing is proved.

Layout, little-endian: a header (magic, pid, turn counter, boot id, pid namespace, fence),
then entries of (token, pid, earliest and latest start in ticks since boot); token 0 is free.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import time
from contextlib import suppress

from queuectl import host
from queuectl.records import Record

_MAGIC = b"qslots1\0"
_HEADER = struct.Struct("<8sQ8x40s40s")
_COUNT = struct.Struct("<Q")
_TURNS_AT = 16
_FENCE_AT = 104
_ENTRY = struct.Struct("<QQQQ")
_FIRST = 128
_MAKING = ".new"
_SWEPT_AFTER = 3600.0


class Entry(Record):
    """A run that was started, or was about to be (pid 0)."""

    token: int
    pid: int
    earliest: int
    latest: int


class SlotFile:
    """The worker's own side. Creates `<folder>/<worker id>`, locked before it has that name."""

    def __init__(self, folder: str, worker_id: str, entries: int) -> None:
        self.path = os.path.join(folder, worker_id)
        making = self.path + _MAKING
        self._fd = create(folder, making)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            size = _FIRST + entries * _ENTRY.size
            # Not a sparse file: on a full disk writing to its map would kill the worker.
            os.posix_fallocate(self._fd, 0, size)
            self._map = mmap.mmap(self._fd, size)
            _HEADER.pack_into(
                self._map,
                0,
                _MAGIC,
                os.getpid(),
                host.boot_id().encode(),
                host.pid_namespace().encode(),
            )
            os.rename(making, self.path)
        except BaseException:
            os.close(self._fd)
            remove(making)
            raise
        self._inode = os.fstat(self._fd).st_ino
        self._free = list(range(entries - 1, -1, -1))
        self._turns = 0

    @property
    def room(self) -> int:
        """How many more runs can be noted."""
        return len(self._free)

    def turned(self) -> None:
        """Tell the watchdog that the loop goes round."""
        self._turns += 1
        _COUNT.pack_into(self._map, _TURNS_AT, self._turns)

    def set_fence(self, boot_ns: int) -> None:
        """When the worker's jobs must end if its lease is not renewed (see `heart`)."""
        _COUNT.pack_into(self._map, _FENCE_AT, boot_ns)

    def begin(self, token: int, earliest: int) -> int:
        """Note that a run is about to start; the entry's number."""
        number = self._free.pop()
        _ENTRY.pack_into(self._map, _FIRST + number * _ENTRY.size, token, 0, earliest, 0)
        return number

    def started(self, number: int, token: int, pid: int, earliest: int, latest: int) -> None:
        """Note the process of a run."""
        _ENTRY.pack_into(self._map, _FIRST + number * _ENTRY.size, token, pid, earliest, latest)

    def clear(self, number: int) -> None:
        """The run's end is durable, or it never started."""
        _ENTRY.pack_into(self._map, _FIRST + number * _ENTRY.size, 0, 0, 0, 0)
        self._free.append(number)

    def in_place(self) -> bool:
        """Whether the file still stands where others look for it."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except FileNotFoundError:
            return False

    def remove(self) -> None:
        """The worker holds nothing more: the file goes, and its folder if it was the last."""
        remove(self.path)
        self._map.close()
        os.close(self._fd)


def create(folder: str, path: str, *, anew: bool = True) -> int:
    """Make a file (or, if not `anew`, open it) that only its user may read, in a folder that
    is made if need be; its descriptor."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | (os.O_EXCL if anew else 0)
    tries = 100
    while True:
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
            return os.open(path, flags, 0o600)
        except (FileNotFoundError, FileExistsError):
            # The last to leave may just be removing the folder.
            tries -= 1
            if not tries:
                raise


class Watch:
    """The watchdog's side: whether a worker's loop goes round. It maps nothing: a file that
    somebody has emptied would end its reader with SIGBUS. Such a one says 0."""

    def __init__(self, folder: str, worker_id: str) -> None:
        self._fd = os.open(os.path.join(folder, worker_id), os.O_RDONLY | os.O_CLOEXEC)

    def turns(self) -> int:
        """A number that changes as long as the loop turns."""
        return self._read(_TURNS_AT)

    def fence(self) -> int:
        """When the worker's jobs must have ended, in nanoseconds since boot; 0 for never."""
        return self._read(_FENCE_AT)

    def _read(self, offset: int) -> int:
        return int.from_bytes(os.pread(self._fd, _COUNT.size, offset), "little")

    def close(self) -> None:
        os.close(self._fd)


def read_entries(path: str) -> list[Entry] | None:
    """The runs that a dead worker's file names.

    None if nothing can be told from it: another boot or pid namespace, or no such file.
    """
    content = _content(path)
    if not content or not _is_here(content):
        return None
    body = content[_FIRST : len(content) - (len(content) - _FIRST) % _ENTRY.size]
    return [Entry.make(fields) for fields in _ENTRY.iter_unpack(body) if fields[0]]


def is_whole(path: str) -> bool:
    """Whether the file is there and is what a worker made of it, here or elsewhere."""
    return bool(_content(path))


def read_fence(path: str) -> int:
    """When what the file names must have ended, as `Watch.fence` has it."""
    content = _content(path)
    return int(_COUNT.unpack_from(content, _FENCE_AT)[0]) if content else 0


def _content(path: str) -> bytes:
    """Nothing if there is no such file, or it was never a slot file, or no longer is."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return b""
    return content if len(content) >= _FIRST and content.startswith(_MAGIC) else b""


def _is_here(content: bytes) -> bool:
    _magic, _pid, boot, namespace = _HEADER.unpack_from(content)
    return (boot.rstrip(b"\0").decode(), namespace.rstrip(b"\0").decode()) == (
        host.boot_id(),
        host.pid_namespace(),
    )


def sweep(folder: str) -> None:
    """Remove what workers left that were killed while they made their file."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        path = os.path.join(folder, name)
        with suppress(FileNotFoundError):
            if name.endswith(_MAKING) and os.stat(path).st_mtime < time.time() - _SWEPT_AFTER:
                remove(path)


def remove(path: str) -> None:
    """Unlink a file, if it is there; its folder too when it is empty."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        return
