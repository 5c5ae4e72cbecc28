"""The values that everything speaks in. Times are integers: milliseconds since 1970, UTC."""

from __future__ import annotations

from queuectl.records import Record
from queuectl.retry import RetryPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

# States of a job (public).
PENDING = "pending"
PROCESSING = "processing"
COMPLETED = "completed"
FAILED = "failed"
DEAD = "dead"
CANCELLED = "cancelled"
STATES = (PENDING, PROCESSING, COMPLETED, FAILED, DEAD, CANCELLED)
ENDED = (COMPLETED, DEAD, CANCELLED)

# Outcomes of a run: COMPLETED, FAILED, CANCELLED, PROCESSING and these.
TIMEOUT = "timeout"
LOST = "lost"
RELEASED = "released"

STDOUT = 1
STDERR = 2

DEFAULT_QUEUE = "default"
DEFAULT_PRIORITY = 5
PRIORITIES = range(10, 0, -1)
"""As they are served."""

Command = str | tuple[str, ...]
"""A line for the shell, or a program with its arguments."""


class NewJob(Record):
    """A job as it is accepted: validated, with nothing left to look up.

    `id` is None where the store makes one up. `cwd_explicit` tells a directory that was
    asked for from the one the person stood in. `captured` are the variables that
    `env_capture` kept, `env` those that were asked for.
    """

    command: Command
    policy: RetryPolicy
    timeout_seconds: float
    cwd: str
    created_by: str
    id: str | None = None
    queue: str = DEFAULT_QUEUE
    priority: int = DEFAULT_PRIORITY
    run_at: int | None = None
    after: tuple[str, ...] = ()
    cwd_explicit: bool = False
    env: Mapping[str, str] = {}
    captured: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()


class Job(Record):
    """A job as people see it: DESIGN section 2 field by field, absent values None."""

    id: str
    command: Command
    queue: str
    priority: int
    max_retries: int
    backoff_base: float
    backoff_max: float
    backoff_jitter: float
    timeout_seconds: float
    run_at: int | None
    due_at: int | None
    after: tuple[str, ...]
    cwd: str
    env: Mapping[str, str]
    tags: tuple[str, ...]
    state: str
    attempts: int
    outcome: str | None
    exit_code: int | None
    signal: str | None
    error: str | None
    created_at: int
    created_by: str
    updated_at: int
    started_at: int | None
    finished_at: int | None
    duration: float | None
    worker_id: str | None
    progress: float | None
    seq: int
    """The order of arrival; inside only."""
    runs: int
    """Runs in the job's life, the present one included; inside only."""


class Attempt(Record):
    """One run of a job, as its history shows it."""

    attempt: int
    token: int
    worker_id: str
    host: str
    started_at: int | None
    finished_at: int | None
    duration: float | None
    outcome: str
    charged: bool
    exit_code: int | None
    signal: str | None
    error: str | None


class Claim(Record):
    """A job that a worker has taken: all that is needed to run it and to decide after."""

    seq: int
    token: int
    id: str
    attempt: int
    attempts: int
    policy: RetryPolicy
    command: Command
    queue: str
    timeout_seconds: float
    cwd: str
    cwd_explicit: bool
    env: Mapping[str, str]
    captured: Mapping[str, str]
    created_by: str


class Outcome(Record):
    """How a run ended, as the executor saw it. `duration` in seconds, monotonic."""

    kind: str
    finished_at: int
    started_at: int | None = None
    duration: float | None = None
    exit_code: int | None = None
    signal: str | None = None
    error: str | None = None


class Verdict(Record):
    """What a run's end does to its job. `due_at` is set for states that run again."""

    state: str
    attempts: int
    due_at: int | None
    charged: bool


class Chunk(Record):
    """A piece of a run's output. `number` orders all chunks of a run by arrival (both
    streams), `offset` is the place of the first byte in its stream."""

    number: int
    stream: int
    offset: int
    data: bytes


class OutputPart(Record):
    """What changed in a run's kept output: chunks to put (new, or grown, or trimmed, by
    `number`) and numbers to drop first, as the last half moves on."""

    token: int
    put: Sequence[Chunk]
    drop: Sequence[int] = ()

    def then(self, later: OutputPart) -> OutputPart:
        """What this part and a later one of the same run come to."""
        put = {chunk.number: chunk for chunk in self.put}
        for number in later.drop:
            put.pop(number, None)
        for chunk in later.put:
            put[chunk.number] = chunk
        return OutputPart(self.token, list(put.values()), [*self.drop, *later.drop])


def one_a_run(parts: Iterable[OutputPart]) -> dict[int, OutputPart]:
    """What parts, in the order they were made, come to: token -> part."""
    found: dict[int, OutputPart] = {}
    for part in parts:
        older = found.get(part.token)
        found[part.token] = part if older is None else older.then(part)
    return found


class Finish(Record):
    """A run's end, on its way to the store."""

    token: int
    seq: int
    attempt: int
    outcome: Outcome
    verdict: Verdict
    output: OutputPart | None = None


class Want(Record):
    """What a worker asks of a claim: `free` jobs of any kind that can start at once, and
    up to `ahead` more to have at hand, none of them with `max_retries` 1 or less. Up to
    `plenty` more of these where there is plenty: no more than this worker's share, by slots, of
    what is ready, so that none waits for this worker while others have nothing to do; and none
    where some worker serves only a part of its queues, or others too.

    `waits` says that, where there are fewer than `free`, the worker will wait to be called,
    and that an `enqueue` may claim for it meanwhile; a later turn brings what it did.
    """

    free: int
    ahead: int = 0
    plenty: int = 0
    waits: bool = False

    @property
    def jobs(self) -> int:
        """How many at most."""
        return self.free + self.ahead + self.plenty


class Turn(Record):
    """What the store answers to a worker's turn.

    `refused` are tokens of finishes that were stale. `cancels` are tokens of this worker
    whose runs a person wants ended, named every turn until they have. `stop` is how many
    seconds a person gives this worker's running jobs (None: nobody asked). `next_due` is
    when the next job falls due that nothing but time holds back. `drained` says that nothing
    in the worker's open queues is due, failed or processing. `freed` is how many jobs had
    waited for nothing but what this turn recorded; some may be among the claims. `more` says
    that there may be more to claim than this turn could take.
    """

    claims: Sequence[Claim]
    refused: Sequence[int] = ()
    cancels: Sequence[int] = ()
    stop: float | None = None
    next_due: int | None = None
    drained: bool = False
    freed: int = 0
    more: bool = False


class Worker(Record):
    """One incarnation of a worker process. `id` is random and never used again.

    `start_ticks` (field 22 of /proc/PID/stat) and `boot_id` tell the process from a later
    one with its pid. `queues` empty means all. `state` is "running" or "stopping". `silent`
    is how many seconds ago its last heartbeat came, if more than one is overdue.
    """

    id: str
    host: str
    pid: int
    boot_id: str
    pid_namespace: str
    start_ticks: int
    supervisor_pid: int
    slots: int
    queues: tuple[str, ...]
    started_at: int
    heartbeat_at: int
    state: str = "running"
    version: str = ""
    alive: bool = True
    jobs: tuple[str, ...] = ()
    silent: float | None = None


# Orders of a list.
NEWEST = "newest"
LONGEST_RUNNING = "longest running"
LAST_DIED = "last died"


class Filter(Record):
    """Which jobs. Empty or None means any; `limit` None means all. `since` asks for
    `created_at` then or later, `ended_before` for an end before. Two orders stand for a
    state, and `states` is not looked at: LONGEST_RUNNING are those that run, LAST_DIED the
    dead ones. `beyond` is the end (for LAST_DIED) and the seq of the job that the list goes on
    after."""

    states: tuple[str, ...] = ()
    queue: str | None = None
    tag: str | None = None
    since: int | None = None
    ended_before: int | None = None
    limit: int | None = None
    order: str = NEWEST
    beyond: tuple[int, int] = (2**63 - 1, 2**63 - 1)


class Settings(Record):
    """What a revival gives a job in place of what it has; None leaves that as it is."""

    timeout_seconds: float | None = None
    max_retries: int | None = None
    priority: int | None = None


class Change(Record):
    """What a verb (cancel, retry, delete) did to one job.

    `result`: "done", "already" (as wished before), "asked" (a running job was told to
    end) or "refused". `state` is the state before.
    """

    id: str
    state: str
    result: str


class QueueInfo(Record):
    """A queue and what stands in it. `limit` is the most runs at a time, None for no limit;
    `oldest_due_at` is None if nothing of it is due."""

    name: str
    paused: bool
    limit: int | None
    counts: Mapping[str, int]
    oldest_due_at: int | None = None


class Stats(Record):
    """How things stand. `counts` has every state; `oldest_due_at` is None if nothing is due."""

    counts: Mapping[str, int]
    queues: Sequence[QueueInfo]
    oldest_due_at: int | None


class Event(Record):
    """Something that happened to a job, for `metrics`."""

    at: int
    id: str
    event: str
    duration: float | None
    error: str | None


class Metrics(Record):
    """Totals of the store's life, and its most recent runs, newest first.

    `durations` are seconds of the last 1,000 runs; `span` is (first, last) end among them.
    """

    events: Mapping[str, int]
    durations: Sequence[float]
    span: tuple[int, int] | None
    recent: Sequence[Event]
