"""Every error a user can meet: one tree, each with its exit code and its HTTP status."""

from __future__ import annotations

DONE = 0
BAD_USAGE = 2
NOT_FOUND = 3
REFUSED = 4
STORE_FAILED = 5
WAIT_TIMED_OUT = 124
OWN_FAILURE = 125
INTERRUPTED = 130


class QueuectlError(Exception):
    """An error with one clear line (`message`) and, where there is one, a way out (`hint`)."""

    code = "error"
    exit_code = OWN_FAILURE
    http_status = 500

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class BadInput(QueuectlError):
    """What was typed or sent can't be taken."""

    code = "bad_input"
    exit_code = BAD_USAGE
    http_status = 400


class NotFound(QueuectlError):
    """Something named does not exist."""

    code = "not_found"
    exit_code = NOT_FOUND
    http_status = 404


class JobNotFound(NotFound):
    """No job has this id."""

    code = "job_not_found"

    def __init__(self, job_id: str) -> None:
        hint = "queuectl list shows the jobs there are"
        if job_id.isascii() and job_id.isdecimal():
            hint = f"did you mean j{job_id}?"
        elif "," in job_id:
            hint = f"ids stand apart: {' '.join(job_id.replace(',', ' ').split())}"
        super().__init__(f"there is no job {job_id!r}", hint)
        self.job_id = job_id


class QueueNotFound(NotFound):
    """No queue has this name."""

    code = "queue_not_found"


class WorkerNotFound(NotFound):
    """No living worker has this id."""

    code = "worker_not_found"


class UnknownKey(NotFound):
    """No config key has this name."""

    code = "unknown_key"


class Refused(QueuectlError):
    """Understood, but not possible in the present state."""

    code = "refused"
    exit_code = REFUSED
    http_status = 409


class JobExists(Refused):
    """The id is taken; `state` is the state of the job that has it."""

    code = "job_exists"

    def __init__(self, job_id: str, state: str) -> None:
        super().__init__(
            f"{job_id} exists already ({state})",
            f"another --id, or queuectl delete {job_id}",
        )
        self.job_id = job_id
        self.state = state


class WrongState(Refused):
    """The job's state does not allow this."""

    code = "wrong_state"


class WorkerGone(Refused):
    """This worker was rescued or is not registered: it may hold, renew and claim nothing."""

    code = "worker_gone"


class StoreError(QueuectlError):
    """The store cannot be reached or used; nothing was changed, unless the message says that it
    may have been."""

    code = "store_unavailable"
    exit_code = STORE_FAILED
    http_status = 503


class StoreGone(StoreError):
    """The store's file was removed, or replaced: what is written to it nobody will see."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was removed, or another file put in its place")


class StoreTooNew(StoreError):
    """The store was changed by a newer queuectl so that this one may not use it any more."""

    code = "store_too_new"

    def __init__(self, where: str, version: object) -> None:
        super().__init__(
            f"{where} belongs to a newer queuectl (store version {version})",
            "upgrade queuectl on this machine",
        )
