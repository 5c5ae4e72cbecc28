"""The doorbell: a datagram wakes the workers of a store on this host. Only a hint, never
waited for; a slow poll is the net under it.

Sockets lie in a folder that every process of this user finds without asking anybody
(cron's, a login's, a service's; so not XDG_RUNTIME_DIR), with a short path (108 bytes at
most, unix(7)). QUEUECTL_RUNTIME_DIR is where it lies instead of in /tmp.
"""

from __future__ import annotations

import _socket
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.store.base import Intake

_TRIES = 100


def _root() -> str:
    # Checked to be ours before each use.
    place = os.environ.get("QUEUECTL_RUNTIME_DIR") or "/tmp"  # noqa: S108
    return f"{place}/queuectl-{os.getuid()}"


class Doorbell:
    """A worker's bell: `fileno()` becomes readable when somebody rings.

    Where none can be hung (no such folder, somebody else's) the poll must do.
    """

    def __init__(self, store_uid: str, worker_id: str) -> None:
        self._path = os.path.join(_folder(store_uid), worker_id)
        self._socket = _a_socket()
        for _attempt in range(_TRIES):
            try:
                _make_folder(store_uid)
                self._socket.bind(self._path)
                return
            except FileNotFoundError:  # the last to leave has just removed the folder
                continue
            except OSError:
                return

    def fileno(self) -> int:
        """Readable once it has rung."""
        return self._socket.fileno()

    def hush(self) -> None:
        """Take all that has been rung."""
        try:
            while True:
                self._socket.recv(16)
        except BlockingIOError:
            return

    def take_down(self) -> None:
        """Nobody rings it any more; a thread may still listen."""
        take_down(self._path)

    def close(self) -> None:
        """Take it down, for good."""
        self.take_down()
        self._socket.close()


class Bells:
    """Those of all workers of this store on this host. Made before a commit that they are
    rung for, they are the sooner rung after it."""

    def __init__(self, store_uid: str) -> None:
        folder = _folder(store_uid)
        self._paths: list[str] = []
        try:
            names = os.listdir(folder)
            if names and _is_ours(_root()):
                self._paths = [f"{folder}/{name}" for name in names]
            self._socket = _a_socket() if self._paths else None
        except OSError:
            self._socket = None

    def ring(self, worker_id: str | None = None) -> bool:
        """Wake every worker, or this one only; once. Never waits, never fails. Tells whether
        any was rung."""
        if self._socket is None:
            return False
        rung = False
        for path in self._paths:
            if worker_id is not None and os.path.basename(path) != worker_id:
                continue
            try:
                self._socket.sendto(b"!", path)
            except BlockingIOError:  # full: it has been rung
                rung = True
            except OSError:  # its worker is gone
                continue
            else:
                rung = True
        self._socket.close()
        return rung


def wake(store: Intake, bells: Bells | None = None) -> None:
    """Wake the workers of this store, on this host and on others."""
    (bells or Bells(store.uid)).ring()
    store.announce()


def call(store: Intake, bells: Bells) -> None:
    """After an enqueue: wake the worker that has the job, if one has, or all. So too if it has
    hung no bell that we can see (its /tmp may be another, or its user): it may be listening."""
    if store.handed_to is None:
        wake(store, bells)
    elif not bells.ring(store.handed_to):
        wake(store)


def _a_socket() -> _socket.socket:
    found = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    found.setblocking(False)
    return found


def take_down_for(store_uid: str, worker_id: str) -> None:
    """Remove the bell of a worker that is gone."""
    take_down(os.path.join(_folder(store_uid), worker_id))


def take_down(path: str) -> None:
    """Remove a bell, and the folders that it was the last in."""
    try:
        os.unlink(path)
    except OSError:
        return
    try:
        os.rmdir(os.path.dirname(path))
        os.rmdir(_root())
    except OSError:
        return


def _folder(store_uid: str) -> str:
    return f"{_root()}/{store_uid}"


def _make_folder(store_uid: str) -> None:
    """Raises OSError, also if the folder above is not ours alone."""
    # One by one: makedirs would make the one above with the umask's mode.
    for folder in (_root(), _folder(store_uid)):
        try:
            os.mkdir(folder, 0o700)
        except FileExistsError:
            if os.lstat(folder).st_uid == os.getuid():
                os.chmod(folder, 0o700)
    if not _is_ours(_root()):
        raise PermissionError


def _is_ours(folder: str) -> bool:
    found = os.lstat(folder)
    return found.st_uid == os.getuid() and found.st_mode & 0o077 == 0
