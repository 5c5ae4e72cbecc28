"""The environment and directory of a run (DESIGN section 4)."""

from __future__ import annotations

import os

from queuectl import host
from queuectl.worker import process

_KEPT = ("QUEUECTL_HOME", "QUEUECTL_RUNTIME_DIR")

TYPE_CHECKING = False
if TYPE_CHECKING:
    from queuectl.model import Claim


class JobEnvironment:
    """What all runs of a worker share."""

    def __init__(self, store_url: str, store_uid: str) -> None:
        self._uid = store_uid
        self._host = host.host_name()
        self._base = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("QUEUECTL_") or name in _KEPT
        }
        self._base["QUEUECTL_DB"] = store_url

    def of(self, claim: Claim, slot: int) -> dict[str, str]:
        """The worker's own, then what was kept at enqueue (on the same host), then `env`."""
        env = dict(self._base)
        if claim.captured and claim.created_by.rpartition("@")[2] == self._host:
            env.update(claim.captured)
        env.update(claim.env)
        env["QUEUECTL_JOB_ID"] = claim.id
        env["QUEUECTL_ATTEMPT"] = str(claim.attempt)
        env["QUEUECTL_TOKEN"] = str(claim.token)
        env["QUEUECTL_QUEUE"] = claim.queue
        env["QUEUECTL_SLOT"] = str(slot)
        env[process.MARK] = process.mark(self._uid, claim.token)
        return env


def enter(claim: Claim) -> str | None:
    """Go to the job's directory; a warning if the run must do with the home directory.

    Raises process.CannotStartError if a directory that was asked for is missing.
    """
    try:
        os.chdir(claim.cwd)
        return None
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
    return f"queuectl: {claim.cwd} can't be entered here, running in {home}\n"
