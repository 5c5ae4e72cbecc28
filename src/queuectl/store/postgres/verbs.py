"""What people do to jobs and queues."""

from __future__ import annotations

from queuectl.errors import JobNotFound
from queuectl.model import (
    CANCELLED,
    COMPLETED,
    DEAD,
    FAILED,
    PENDING,
    PROCESSING,
    Change,
    Settings,
)
from queuectl.store.encoding import read_list
from queuectl.store.postgres.database import sql
from queuectl.store.postgres.failures import ConflictError, again_after_conflicts
from queuectl.store.postgres.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Verbs(Shared):
    """Each job gets a `Change`; an unknown id refuses all before anything is done.

    All are done at once, but for jobs that others wait for: what is done to one of them
    may change what the next one is.
    """

    @again_after_conflicts
    def cancel(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        with self._db.write():
            found = self._all_known(job_ids)
            results: dict[int, tuple[str, str]] = {}
            for seqs in self._together(found.values()):
                results |= self._cancel_some(seqs, only, now)
        return _changes(found, results)

    def _cancel_some(
        self, seqs: Sequence[int], only: Sequence[str], now: int
    ) -> dict[int, tuple[str, str]]:
        states = self._lock(seqs)
        meant = {seq: state for seq, state in states.items() if not only or state in only}
        running = [seq for seq, state in meant.items() if state == PROCESSING]
        waiting = [seq for seq, state in meant.items() if state in (PENDING, FAILED)]
        if running:
            self._db.execute(sql("ask_cancel"), (running, now))
        if waiting:
            self._db.execute(sql("cancel"), (waiting, now, None))
            self._add_total("cancelled", len(waiting))
            self._settle_waiting(waiting, now)
        results = dict.fromkeys(states, "refused")
        results |= dict.fromkeys(running, "asked") | dict.fromkeys(waiting, "done")
        results |= {seq: "already" for seq, state in states.items() if state == CANCELLED}
        return {seq: (state, results[seq]) for seq, state in states.items()}

    @again_after_conflicts
    def retry(
        self,
        job_ids: Sequence[str],
        now: int,
        *,
        again: bool = False,
        settings: Settings | None = None,
    ) -> list[Change]:
        with self._db.write():
            found = self._all_known(job_ids)
            results: dict[int, tuple[str, str]] = {}
            states = self._lock(found.values())
            after = self._after(states)
            plain = [seq for seq in states if not after.get(seq)]
            results |= self._retry_some(plain, states, again, settings, [], now)
            # In order of arrival, so that a job finds those it waits for revived already.
            for seq in sorted(states.keys() - results.keys()):
                results |= self._retry_waiting(seq, states, again, settings, after[seq], now)
        return _changes(found, results)

    def _retry_some(
        self,
        seqs: Sequence[int],
        states: Mapping[int, str],
        again: bool,
        settings: Settings | None,
        needs: Sequence[int],
        now: int,
    ) -> dict[int, tuple[str, str]]:
        results = {}
        for seq in seqs:
            state = states[seq]
            results[seq] = (state, _retried(state, again, settings))
        revived = [seq for seq, (_state, result) in results.items() if result == "done"]
        if revived:
            given = settings or Settings()
            self._db.execute(sql("revive"), (revived, now, None if needs else True, *given))
            if needs:
                pairs = (list(needs), revived * len(needs))
                self._db.execute(sql("add_waits"), pairs)
        return results

    def _retry_waiting(
        self,
        seq: int,
        states: Mapping[int, str],
        again: bool,
        settings: Settings | None,
        after: tuple[str, ...],
        now: int,
    ) -> dict[int, tuple[str, str]]:
        needed = self._needs(after).values()
        if any(state in (DEAD, CANCELLED) for _need, state in needed):
            result = _retried(states[seq], again, settings)
            return {seq: (states[seq], "refused" if result == "done" else result)}
        open_needs = [need for need, state in needed if state != COMPLETED]
        return self._retry_some([seq], states, again, settings, open_needs, now)

    def _after(self, seqs: Iterable[int]) -> dict[int, tuple[str, ...]]:
        rows = self._db.execute(sql("get_after"), (list(seqs),)).fetchall()
        return {seq: read_list(text) for seq, text in rows}

    @again_after_conflicts
    def delete(
        self, job_ids: Sequence[str], now: int, only: Sequence[str] = ()
    ) -> list[Change]:
        with self._db.write():
            found = self._all_known(job_ids)
            results: dict[int, tuple[str, str]] = {}
            for seqs in self._together(found.values()):
                states = self._lock(seqs)
                gone = {
                    seq
                    for seq, state in states.items()
                    if state != PROCESSING and (not only or state in only)
                }
                if gone:
                    self._settle_waiting(gone, now, "deleted")
                    self._db.execute(sql("delete_jobs"), (list(gone),))
                for seq, state in states.items():
                    results[seq] = (state, "done" if seq in gone else "refused")
        return _changes(found, results)

    @again_after_conflicts
    def prune(self, ended_before: int, limit: int) -> int:
        with self._db.write():
            rows = self._db.execute(sql("ended"), (ended_before, limit)).fetchall()
            if rows:
                self._db.execute(sql("delete_jobs"), ([seq for (seq,) in rows],))
        self._fold_by_chance()
        return len(rows)

    def _all_known(self, job_ids: Sequence[str]) -> dict[str, int]:
        found = {}
        for job_id, seq in self._find(list(dict.fromkeys(job_ids))).items():
            if seq is None:
                raise JobNotFound(job_id)
            found[job_id] = seq
        return found

    def _together(self, seqs: Iterable[int]) -> list[list[int]]:
        """Which jobs can be dealt with at once: all, unless somebody waits for one. All are
        locked at once, whatever comes after: two who went one by one could meet crosswise."""
        listed = list(seqs)
        self._lock(listed)
        rows = self._db.execute(sql("any_waits_for"), (listed,)).fetchall()
        return [[seq] for seq in listed] if rows[0][0] else [listed]

    def _lock(self, seqs: Iterable[int]) -> dict[int, str]:
        """The state of each, which stays until we have done."""
        listed = list(seqs)
        states = dict(self._db.execute(sql("lock_jobs"), (listed,)).fetchall())
        if len(states) < len(listed):
            raise ConflictError("a job was removed meanwhile", "try again")
        return states

    def set_queue(
        self, name: str, *, paused: bool | None = None, limit: int | None = None
    ) -> None:
        with self._db.write():
            self._db.execute(sql("add_queue"), (name,))
            self._db.execute(sql("set_queue"), (name, paused, limit))


def _retried(state: str, again: bool, settings: Settings | None) -> str:
    """What a retry does to a job in this state that need not wait in vain."""
    if state == PENDING:
        return "already" if settings is None else "refused"
    refused = state == PROCESSING or (state == COMPLETED and not again)
    return "refused" if refused else "done"


def _changes(found: Mapping[str, int], results: Mapping[int, tuple[str, str]]) -> list[Change]:
    return [Change(job_id, *results[seq]) for job_id, seq in found.items()]
