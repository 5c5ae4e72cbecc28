"""What a person wants to know of a job that ended badly: what else has to be retried with it,
and whether its time limit was one that nobody asked for."""

from __future__ import annotations

from queuectl.errors import JobNotFound, StoreError
from queuectl.model import CANCELLED, DEAD, TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from queuectl.model import Job
    from queuectl.store.base import Store


def waits_in_vain(store: Store, after: Sequence[str]) -> list[Job]:
    """Those of an `after` that are dead or cancelled: a retry is refused while they are."""
    if not after:
        return []
    states = store.states(after)
    ended = [name for name in after if states.get(name) in (DEAD, CANCELLED)]
    found = [find(store, name) for name in ended]
    return [need for need in found if need is not None and need.state in (DEAD, CANCELLED)]


def needs_first(store: Store, jobs: Sequence[Job]) -> list[str]:
    """The other jobs that have to be retried with these, however far back, first ones first."""
    found: dict[str, Job] = {job.id: job for job in jobs}
    rest = list(jobs)
    while rest:
        for need in waits_in_vain(store, rest.pop().after):
            if need.id not in found:
                found[need.id] = need
                rest.append(need)
    others = list(found.values())[len(jobs) :]
    return [need.id for need in sorted(others, key=lambda need: need.seq)]


def limit_from_config(store: Store, job: Job) -> float | None:
    """The time limit that jobs have unless they ask for one, if this one met its own; None
    also where the store can't say: what hangs on it is a hint, and the job has ended."""
    if job.outcome != TIMEOUT:
        return None
    try:
        return store.config().job_timeout
    except StoreError:
        return None


def find(store: Store, job_id: str) -> Job | None:
    """The job, if there is one."""
    try:
        return store.get(job_id)
    except JobNotFound:
        return None
