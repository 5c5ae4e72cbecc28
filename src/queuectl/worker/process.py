"""Starting and signalling the processes of a run.

A run is a session of its own, so its process group has the leader's pid. Every process
of it inherits `QUEUECTL_RUN=<store>.<token>`, by which those that left the group are
found again.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import suppress
from functools import lru_cache

from queuectl import host
from queuectl.worker.directly import plain_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence
    from typing import Self

    from queuectl.model import Command

MARK = "QUEUECTL_RUN"
_PR_SET_CHILD_SUBREAPER = 36
_PAGE = 4096
NOT_FOUND = 127
NOT_EXECUTABLE = 126
_SHELL = b"/bin/sh"

# Python ignores two of them, workers another, and a parent may have ignored any (nohup). All
# are named: each that is not costs the child two calls to look and set instead of one.
_TO_DEFAULT = tuple(signal.valid_signals())


class CannotStartError(Exception):
    """The program can't be run: `exit_code` is what a shell would have ended with."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.message = message


def encoded(text: str) -> bytes:
    """What a program is given of a text: UTF-8, whatever the locale of the worker."""
    return text.encode("utf-8", "surrogateescape")


def mark(store_uid: str, token: int) -> bytes:
    """The value of `QUEUECTL_RUN` for a run."""
    return f"{store_uid}.{token}".encode()


def spawn(
    command: Command, env: Mapping[bytes, bytes], stdin: int, stdout: int, stderr: int
) -> int:
    """Start a command in the present directory, in a session of its own; its pid.

    Raises CannotStartError, or OSError where the machine is short of something.
    """
    name, words = _words(command)
    actions = (
        (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    )
    program = _SHELL if name is None else _find(name, env)
    try:
        return _spawn(program, words, env, actions)
    except FileNotFoundError:
        raise CannotStartError(NOT_FOUND, f"{name or 'sh'}: not found") from None
    except PermissionError:
        raise CannotStartError(NOT_EXECUTABLE, f"{name or 'sh'}: permission denied") from None
    except OSError as error:
        if error.errno == errno.ENOEXEC:  # a script without #!
            return _spawn(_SHELL, (b"sh", program, *words[1:]), env, actions)
        if error.errno in (
            errno.E2BIG,
            errno.ELOOP,
            errno.ENAMETOOLONG,
            errno.ENOTDIR,
            errno.ENOENT,
        ):
            raise CannotStartError(
                NOT_EXECUTABLE, f"{name or 'sh'}: {error.strerror}"
            ) from None
        raise


@lru_cache(maxsize=16)
def _words(command: Command) -> tuple[str | None, tuple[bytes, ...]]:
    """The program to look for (None: the shell), and the words it is started with."""
    words = command if isinstance(command, tuple) else plain_words(command)
    if words is None:
        return None, (b"sh", b"-c", encoded(str(command)))
    return words[0], tuple([encoded(word) for word in words])


def _spawn(
    program: bytes,
    words: tuple[bytes, ...],
    env: Mapping[bytes, bytes],
    actions: Sequence[tuple[int, int, int]],
) -> int:
    return os.posix_spawn(
        program,
        words,
        env,
        file_actions=actions,
        setsid=True,
        setsigmask=(),
        setsigdef=_TO_DEFAULT,
    )


def _find(name: str, env: Mapping[bytes, bytes]) -> bytes:
    """Where the program is, by the job's own PATH. Raises CannotStartError as a shell would."""
    if "/" in name:
        return encoded(name)
    refused = None
    for folder in (env.get(b"PATH") or os.defpath.encode()).split(b":"):
        path = (folder or b".") + b"/" + encoded(name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
        if refused is None and os.path.isfile(path):
            refused = path
    if refused is not None:
        raise CannotStartError(NOT_EXECUTABLE, f"{name}: permission denied")
    raise CannotStartError(NOT_FOUND, f"{name}: not found")


class Children:
    """The direct children of this process's main thread. Made, it becomes the parent of every
    process that a run leaves behind (prctl(2), PR_SET_CHILD_SUBREAPER): then they are seen at
    once, and reaped whatever init does."""

    def __init__(self) -> None:
        self._file = -1
        if not _adopt_orphans():
            return
        with suppress(OSError):  # a kernel without CONFIG_PROC_CHILDREN
            self._file = os.open(
                f"/proc/self/task/{os.getpid()}/children", os.O_RDONLY | os.O_CLOEXEC
            )

    def others(self, known: Container[int]) -> list[int]:
        """Those that are not `known`, zombies included. Where nobody can tell, not empty."""
        if self._file < 0:
            return [os.getpid()]
        content = os.pread(self._file, _PAGE, 0)
        if len(content) > _PAGE // 2:  # a read may end short of a page, at a whole pid
            while piece := os.pread(self._file, 65536, len(content)):
                content += piece
        return [pid for pid in map(int, content.split()) if pid not in known]


def _adopt_orphans() -> bool:
    from ctypes import CDLL

    prctl = getattr(CDLL(None), "prctl", None)  # Linux has it
    return prctl is not None and prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0


def any_exited() -> int:
    """Some child that is over, and waits to be reaped; 0 if there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return 0 if found is None else found.si_pid


def has_exited(pid: int) -> bool:
    """Whether this child is over, and waits to be reaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def has_group(pid: int) -> bool:
    """Whether the process group of a reaped leader still has members."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def signal_group(pid: int, number: int) -> bool:
    """Signal the process group of a run; False if nothing is left of it.

    Safe only while the group is known to live: before its leader is reaped, or right
    after a call that returned True (a pid is not given out anew while a group has it).
    """
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        return False
    except PermissionError:  # a setuid program: there, but not ours to end
        return True
    return True


class Held:
    """A process that is held by a pidfd, so that nobody who gets its pid later can be meant.
    Where there are none (before Linux 5.3, or a seccomp profile refuses them) its start
    time stands in.

    Made, it raises ProcessLookupError if there is no such process, or it is only a thread;
    OSError where the machine is short of something.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._descriptor = _pidfd(pid)
        try:
            self.facts = host.stat(pid)
            """As they were when it was held; None if it was over."""
        except OSError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def is_same(self) -> bool:
        """Whether what was learnt of the pid since it was held is of this process."""
        if self._descriptor >= 0:
            return True
        facts = host.stat(self._pid)
        return facts is not None and self.facts is not None and facts[0] == self.facts[0]

    def signal(self, number: int) -> None:
        """Raises ProcessLookupError if it is gone, PermissionError if it is setuid."""
        if self._descriptor >= 0:
            signal.pidfd_send_signal(self._descriptor, number)
        else:
            os.kill(self._pid, number)


def _pidfd(pid: int) -> int:
    """-1 where there are none."""
    try:
        return os.pidfd_open(pid)
    except AttributeError:  # a Python built where there were none
        return -1
    except OSError as error:
        if host.is_shortage(error):
            raise
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return -1
        raise ProcessLookupError from None
