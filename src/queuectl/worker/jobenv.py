"""The environment and directory of a run (DESIGN section 4)."""

from __future__ import annotations

import os

from queuectl import host
from queuectl.worker import process

_KEPT = (b"QUEUECTL_HOME", b"QUEUECTL_RUNTIME_DIR")
_WORKERS_OWN = (b"PWD", b"OLDPWD")
"""What its shell had left of where it was itself."""
_MARK = process.MARK.encode()

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from queuectl.model import Claim


class JobEnvironment:
    """What all runs of a worker share."""

    def __init__(self, store_url: str, store_uid: str) -> None:
        self._uid = store_uid
        self._host = host.host_name()
        self._base = {
            name: value
            for name, value in os.environb.items()
            if name not in _WORKERS_OWN and (not name.startswith(b"QUEUECTL_") or name in _KEPT)
        }
        self._base[b"QUEUECTL_DB"] = process.encoded(store_url)
        self._captured: Mapping[str, str] = {}
        self._with_captured = self._base

    def of(self, claim: Claim, slot: int, folder: str) -> dict[bytes, bytes]:
        """The worker's own, then what was kept at enqueue (on the same host), then `env`.
        `folder` is where the run starts: a shell would tell what it starts."""
        env = self._base
        if claim.captured and claim.created_by.rpartition("@")[2] == self._host:
            env = self._kept(claim.captured)
        return {
            **env,
            b"PWD": process.encoded(folder),
            **_encoded(claim.env),
            b"QUEUECTL_JOB_ID": claim.id.encode(),
            b"QUEUECTL_ATTEMPT": b"%d" % claim.attempt,
            b"QUEUECTL_TOKEN": b"%d" % claim.token,
            b"QUEUECTL_QUEUE": process.encoded(claim.queue),
            b"QUEUECTL_SLOT": b"%d" % slot,
            _MARK: process.mark(self._uid, claim.token),
        }

    def _kept(self, captured: Mapping[str, str]) -> dict[bytes, bytes]:
        """With what was captured; jobs that come together share it, as the store does."""
        if captured is not self._captured:
            self._captured = captured
            self._with_captured = self._base | _encoded(captured)
        return self._with_captured


def _encoded(env: Mapping[str, str]) -> dict[bytes, bytes]:
    return {process.encoded(name): process.encoded(value) for name, value in env.items()}


def enter(claim: Claim) -> tuple[str, str | None]:
    """Go to the job's directory. Where that is, and a warning if the run must do with the
    home directory.

    Raises process.CannotStartError if a directory that was asked for is missing.
    """
    try:
        os.chdir(process.encoded(claim.cwd))
        return claim.cwd, None
    except OSError as error:
        if claim.cwd_explicit:
            raise process.CannotStartError(
                process.NOT_EXECUTABLE, f"directory {claim.cwd}: {error.strerror}"
            ) from None
    home = os.path.expanduser("~")
    try:
        os.chdir(home)
    except OSError:
        home = "/"
        os.chdir(home)
    return home, f"queuectl: {claim.cwd} can't be entered here, running in {home}\n"
