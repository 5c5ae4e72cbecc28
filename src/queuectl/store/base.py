"""The Store contract: what every backend does, and what callers may lean on.

A store speaks of jobs, not of queries. All operations are atomic and, when they return,
durable (fsynced). Each is safe to call from any number of processes at once. A store
object belongs to one thread. `now` is milliseconds since 1970; a store never asks a
clock of its own what time it is, but for the leases of a networked store.

Errors: every operation may raise `StoreError` (locked beyond the deadline, disk full,
unreachable; `StoreGone` if its file was removed). Nothing has then been changed as far as
the caller can know; for `turn` the outcome may be unknown, and `held` tells what the worker
holds after all.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from abc import ABC, abstractmethod
    from collections.abc import Iterable, Iterator, Sequence
    from types import TracebackType
    from typing import Protocol, Self

    from queuectl.config import Config
    from queuectl.model import (
        Attempt,
        Change,
        Chunk,
        Filter,
        Finish,
        Job,
        Metrics,
        NewJob,
        OutputPart,
        Settings,
        Stats,
        Turn,
        Want,
        Worker,
    )
else:
    ABC = Protocol = object

    def abstractmethod(method):
        return method


PROMOTED_A_TURN = 500
"""How many jobs whose time has come a turn makes ready at most."""

COUNTED_A_TURN = 5_000
"""How far a turn counts at most what is ready, to know a worker's share of it (`Want.plenty`).
Where there are more, there is plenty."""

_READ_AT_ONCE = 1_000


class Listener(Protocol):
    """Hears when somebody calls `Store.announce`; not tied to the store's thread."""

    alive: bool
    """False once the connection is known to be lost."""

    def fileno(self) -> int:
        """Readable when there is something to `drain`."""

    def drain(self) -> bool:
        """Take what has come. True if somebody called."""

    def test(self) -> bool:
        """Call oneself, now and then: a half-open connection looks like a quiet one. False
        if the last test was not heard."""

    def close(self) -> None:
        """Hear nothing more."""


class Intake(ABC):
    """As much of a store as an enqueue needs, and no more of it is loaded: whole scripts
    consist of them. Open one with `queuectl.store.open_intake`."""

    url: str
    """What to pass to `--db` to come here again, without a password."""

    uid: str
    """A random name of this store, made with it; marks the processes of its runs. A copy has
    the same until `settle_in`."""

    leases: bool
    """Whether claims last only `lease_seconds` beyond the last heartbeat (a networked
    store), or as long as the worker's process holds the lock of its slot file."""

    handed_to: str | None = None
    """The worker that has the job of the last `enqueue`, and only needs to be called; None
    if any may claim it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections. The store is not used after."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @abstractmethod
    def config(self) -> Config:
        """The configuration that all share: what was set, else the defaults."""

    @abstractmethod
    def enqueue(self, jobs: Sequence[NewJob], now: int) -> list[str]:
        """Accept all of the jobs, or none; return their ids in order.

        A job with `id` None gets `j<seq>`, skipping ids that are taken. A job is ready
        when its `run_at` is past or None and every job of `after` is completed. Unknown
        queues come into being. If a job of `after` has ended without completing, the new
        job is cancelled at once.

        A single job that would be claimed first may be claimed here and now for a worker of
        this host that waits to be called (see `Want.waits`): `handed_to` tells which.

        Raises JobExists (an id is taken, in the store or twice in the batch),
        JobNotFound (an id in `after`).
        """

    def announce(self) -> None:
        """Wake the workers of other hosts: there may be something for them. Only a hint, and
        never fails. Nothing to do for a store of one host."""


class Store(Intake):
    """One queue's store, whole. Open one with `queuectl.store.open_store`."""

    slot_dir: str
    """The folder of this host where the workers of this store keep their slot files."""

    log_dir: str
    """The folder of this host for the logs of detached workers."""

    # -- configuration ---------------------------------------------------------------

    @abstractmethod
    def set_config(self, key: str, text: str | None) -> None:
        """Set one key to a text that `config.parse_value` takes, or (None) unset it."""

    # -- the engine ------------------------------------------------------------------

    @abstractmethod
    def settle_in(self) -> None:
        """To be called before workers are started: give a store that lies elsewhere than it
        was made, a copy, a `uid` (and with it a `slot_dir`, where that goes by it) of its
        own. What it runs would else be taken for what the original runs. On a store of one
        host no effect while a worker lives here; leases can't tell the copy's workers from
        the original's, so workers of a database that was moved have to be started anew."""

    @abstractmethod
    def register(self, worker: Worker) -> None:
        """Let this worker claim. It must hold the lock of its slot file already.

        Raises Refused if the store can't be shared with it (another pid namespace, on a
        store of one host).
        """

    @abstractmethod
    def heartbeat(self, worker_id: str, now: int) -> None:
        """Say that the worker lives. Raises WorkerGone if it was rescued."""

    @abstractmethod
    def unregister(self, worker_id: str) -> None:
        """The worker leaves. It must hold nothing; if it does, this raises Refused."""

    @abstractmethod
    def turn(
        self,
        worker_id: str,
        finishes: Sequence[Finish],
        output: Sequence[OutputPart],
        want: Want,
        now: int,
    ) -> Turn:
        """One turn of a worker: record what ended, keep output, take what is next.

        In one transaction. A finish counts only while the job is processing under that
        token; repeated after it was recorded it is acknowledged without effect; else its
        token comes back in `Turn.refused`. A completed job frees the jobs that wait for
        it, one that is dead or cancelled cancels them. `output` of a token that is not
        current is ignored.

        Claims are the ready jobs of the worker's queues that are not paused and below
        their limit: higher priority first, then first enqueued. The first `want.free` are
        of any kind; up to `want.ahead` and `want.plenty` follow, ending before the first whose
        `max_retries` is 1 or less. Jobs whose time has come become ready first (a bounded
        number a turn). A turn with nothing to do writes nothing.

        Raises WorkerGone; StoreTooNew if anything is wanted and a newer queuectl has since
        changed the store so that this one may not claim. Then nothing was done, and the
        ends of what runs are still taken, with nothing wanted.
        """

    @abstractmethod
    def held(self, worker_id: str) -> dict[int, int]:
        """Token -> seq of every claim that this worker holds."""

    @abstractmethod
    def release(self, worker_id: str, tokens: Iterable[int], now: int) -> None:
        """Give back claims whose run never started: uncharged, due at once, no trace in the
        history, in the state from before the claim (pending, or failed); cancelled if
        somebody has asked for that. Tokens that are not current are passed over."""

    @abstractmethod
    def workers(self) -> list[Worker]:
        """All that are registered, those that are gone but not yet rescued as `alive` False."""

    @abstractmethod
    def lost_workers(self, now: int) -> list[Worker]:
        """The registered workers that this store itself knows to be gone for certain
        (a lease that has ended; a host that has booted anew)."""

    @abstractmethod
    def rescue(self, worker_id: str, unstarted: Iterable[int] | None, now: int) -> list[str]:
        """Take back all claims of a worker that is gone, and forget the worker.

        The caller has seen that it is gone (its slot file's lock was free, or
        `lost_workers` named it) and has ended its processes on this host. `unstarted` are
        the tokens that provably never started: these go back as by `release`; None says
        that nothing can be proved. All others are settled as `lost`, or as cancelled if
        somebody has asked for that. Returns the ids of those that were settled, not of
        those given back. A worker that is unknown has no jobs: no effect. A store with
        leases raises Refused if it may live after all; another takes the caller's word.
        """

    @abstractmethod
    def ask_stop(self, worker_ids: Iterable[str], seconds: float) -> None:
        """Ask workers to stop, giving what runs this many seconds (see `Turn.stop`). Of
        several wishes the shortest holds."""

    # -- what people ask ---------------------------------------------------------------

    @abstractmethod
    def get(self, job_id: str) -> Job:
        """The job. Raises JobNotFound."""

    @abstractmethod
    def list_jobs(self, which: Filter) -> list[Job]:
        """The jobs that fit, in the order that is asked for: those enqueued last, those that
        have run the longest, or those that died last come first. Neither what runs nor what
        died last costs more the more there is beside it."""

    def each_job(self, which: Filter) -> Iterator[Job]:
        """The same one after another, however many: read some at a time, each part of them as
        it is at that moment. Not for LONGEST_RUNNING."""
        left = which.limit
        while left is None or left > 0:
            size = _READ_AT_ONCE if left is None else min(left, _READ_AT_ONCE)
            jobs = self.list_jobs(which.replace(limit=size))
            yield from jobs
            if len(jobs) < size:
                return
            left = None if left is None else left - size
            which = which.replace(beyond=(jobs[-1].finished_at or 0, jobs[-1].seq))

    @abstractmethod
    def states(self, job_ids: Sequence[str]) -> dict[str, str]:
        """The state of each of these jobs that there is, all of one moment."""

    @abstractmethod
    def ids_like(self, beginning: str, states: Sequence[str], limit: int) -> list[str]:
        """Ids that begin so, of jobs in one of the states (empty: any), in no order. All, or
        the first `limit` and the last: of chosen ids, and of made-up ones of each length.
        Costs no more the more jobs there are, and so may miss some among many thousands that
        begin so and are in other states, or have chosen ids."""

    @abstractmethod
    def tags_like(self, beginning: str, limit: int) -> list[str]:
        """Tags of jobs that begin so, each once, in no order: all, or the first `limit` and
        the last. Costs no more the more jobs have them."""

    @abstractmethod
    def needs(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        """For each of these jobs that waits for others: the ids of those that it waits for
        still, first enqueued first. One that has completed since is none of them, whatever
        has become of it then. Unknown ids are passed over."""

    @abstractmethod
    def dependants(self, job_ids: Sequence[str]) -> dict[str, list[str]]:
        """The jobs that wait for these, and those that wait for them in turn: for each that
        is waited for, the ids of those that do, first enqueued first. A job that has
        completed is waited for no more. Unknown ids are passed over."""

    @abstractmethod
    def history(self, job_id: str) -> list[Attempt]:
        """Every run of the job, oldest first, a running one included. Raises JobNotFound."""

    @abstractmethod
    def read_output(self, token: int, after: int = 0) -> list[Chunk]:
        """The kept chunks of a run whose number is `after` or more, in order of arrival.

        A chunk may grow or lose its beginning while the run goes on, and keeps its number.
        A gap between the end of a chunk and the offset of the next of its stream is what
        was dropped.
        """

    @abstractmethod
    def cancel(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        """Cancel jobs: pending and failed ones at once ("done"), processing ones by asking
        their worker ("asked"); cancelled ones are "already", ended ones "refused", and so
        are those in another state than `only` says, if it says any.
        Jobs that wait for one of them are cancelled with it. An id given twice counts
        once. Raises JobNotFound, before any change."""

    @abstractmethod
    def retry(
        self,
        job_ids: Sequence[str],
        now: int,
        *,
        again: bool = False,
        settings: Settings | None = None,
    ) -> list[Change]:
        """Make failed, dead and cancelled jobs (completed ones if `again`) pending and due
        now, with `attempts` 0, the history kept, and the settings that are given. Pending
        ones are "already", but "refused" where settings are given, which they don't get;
        processing ones, (without `again`) completed ones, and those that wait for a job
        which is dead or cancelled are "refused", unless that is retried with them. An id
        given twice counts once. Raises JobNotFound, before any change."""

    @abstractmethod
    def delete(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        """Remove jobs with their history and output; processing ones are "refused", and those
        in another state than `only` says, if it says any. Jobs
        that wait for a removed one that had not completed are cancelled. An id given twice
        counts once. Raises JobNotFound, before any change."""

    @abstractmethod
    def prune(self, ended_before: int, limit: int) -> int:
        """Remove up to `limit` jobs that ended before that time, in any order; return how
        many."""

    @abstractmethod
    def set_queue(
        self, name: str, *, paused: bool | None = None, limit: int | None = None
    ) -> None:
        """Pause or resume a queue, or limit its runs at a time (0: no limit). It comes into
        being if need be."""

    def give_way(self) -> None:
        """To be called between the parts of long work: let those go first who have waited.
        Nothing to do for a store that many can change at a time."""

    @abstractmethod
    def stats(self) -> Stats:
        """Counts. Costs the same however many jobs there are."""

    @abstractmethod
    def metrics(self, recent: int) -> Metrics:
        """Totals, the durations of the last 1,000 runs, and the last `recent` events."""

    def listen(self) -> Listener | None:
        """What hears `announce`, on a connection of its own; None for a store of one host,
        and where a pooler stands between.

        Raises StoreError.
        """
        return None

    @abstractmethod
    def change_mark(self) -> object:
        """A value that differs whenever something may have changed since it was last asked.
        Never waits and costs next to nothing: what waiters and idle workers poll."""
