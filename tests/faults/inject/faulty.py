"""A disk (SQLite VFS) and a clock under the control of a mapped file, for whole processes,
and the VFS alone, with a hook at each operation, for tests in one process.

The control file: seconds that the clock is off, then the chances of 10,000 that a write
finds the disk full, that an operation fails, and that the reply to a commit is lost.
"""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import time
from collections.abc import Callable

import apsw

CONTROL = struct.Struct("<dHHH")

Hook = Callable[[str, str, object, int], None]
"""Called with (operation, path, data or size, offset) before each change of a file."""


class FaultyVFS(apsw.VFS):
    """The usual VFS, but `hook` is asked first, and may raise or end the process;
    `after` is told when it is done."""

    def __init__(self, hook: Hook, after: Hook | None = None, name: str = "faulty") -> None:
        self.hook = hook
        self.after = after
        super().__init__(name, "unix", makedefault=True)

    def xOpen(self, name: object, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        self.hook("delete", filename, None, 0)
        super().xDelete(filename, syncdir)
        if self.after:
            self.after("delete", filename, None, 0)


class _File(apsw.VFSFile):
    def __init__(self, vfs: FaultyVFS, name: object, flags: list[int]) -> None:
        self._vfs = vfs
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        super().__init__("unix", name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._vfs.hook("read", self._name, amount, offset)
        return super().xRead(amount, offset)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        self._vfs.hook("write", self._name, data, offset)
        super().xWrite(data, offset)
        if self._vfs.after:
            self._vfs.after("write", self._name, bytes(data), offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._vfs.hook("truncate", self._name, size, 0)
        super().xTruncate(size)
        if self._vfs.after:
            self._vfs.after("truncate", self._name, size, 0)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._vfs.hook("sync", self._name, None, flags)
        super().xSync(flags)
        if self._vfs.after:
            self._vfs.after("sync", self._name, None, flags)


class _LossyConnection(apsw.Connection):
    """Now and then a commit is done, and its reply lost."""

    lost: Callable[[], bool] = staticmethod(lambda: False)

    def execute(self, statement, *args, **named):  # type: ignore[no-untyped-def]
        answer = super().execute(statement, *args, **named)
        if statement == "COMMIT" and self.lost():
            raise apsw.IOError("the reply to COMMIT was lost (injected)")
        return answer


def install(path: str) -> None:
    """Put this process under the control of the file. `FAULTS_DIE=N`: die at the Nth
    change of a file."""
    with open(path, "rb") as file:
        control = mmap.mmap(file.fileno(), CONTROL.size, access=mmap.ACCESS_READ)
    luck = random.Random(os.urandom(8))

    def chance(index: int) -> bool:
        odds = CONTROL.unpack_from(control)[index]
        return odds > 0 and luck.randrange(10_000) < odds

    die_at = int(os.environ.pop("FAULTS_DIE", 0))

    def hook(operation: str, _path: str, _data: object, _offset: int) -> None:
        nonlocal die_at
        if operation != "read" and die_at:
            die_at -= 1
            if die_at == 0:
                os.kill(os.getpid(), signal.SIGKILL)
        if operation == "write" and chance(1):
            raise apsw.FullError("injected")
        if operation != "delete" and chance(2):
            raise apsw.IOError("injected")

    _LossyConnection.lost = staticmethod(lambda: chance(3))
    apsw.Connection = _LossyConnection  # type: ignore[misc]
    _keep.append(FaultyVFS(hook))

    real_ns, real = time.time_ns, time.time
    time.time_ns = lambda: real_ns() + int(CONTROL.unpack_from(control)[0] * 1e9)
    time.time = lambda: real() + CONTROL.unpack_from(control)[0]


_keep: list[object] = []
