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

    All are done at once, but for jobs that others wait for which come later, or don't come:
    what is done to one of them may change what the next one is.
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
            states = self._lock(found.values())
            results = {
                seq: (state, _retried(state, again, settings)) for seq, state in states.items()
            }
            # In order of arrival, so that a job finds those it waits for revived already.
            meant = [seq for seq in sorted(states) if results[seq][1] == "done"]
            after = self._after(meant)
            named = {job_id for listed in after.values() for job_id in listed}
            known = self._needs(named) if named else {}
            stand = dict(known.values())
            revived: dict[int, list[int]] = {}
            for seq in meant:
                needs = [known[job_id][0] for job_id in after.get(seq, ()) if job_id in known]
                if any(stand[need] in (DEAD, CANCELLED) for need in needs):
                    results[seq] = (states[seq], "refused")
                    continue
                revived[seq] = [need for need in needs if stand[need] != COMPLETED]
                stand[seq] = PENDING
            self._revive(revived, settings or Settings(), now)
        return _changes(found, results)

    def _revive(
        self, revived: Mapping[int, Sequence[int]], settings: Settings, now: int
    ) -> None:
        """Jobs, and what each has to wait for."""
        free = [seq for seq, needs in revived.items() if not needs]
        if free:
            self._db.execute(sql("revive"), (free, now, True, *settings))
        waits = [(need, seq) for seq, needs in revived.items() for need in needs]
        if waits:
            needs, waiting = map(list, zip(*waits, strict=True))
            self._db.execute(sql("revive"), (list(set(waiting)), now, None, *settings))
            self._db.execute(sql("add_waits"), (needs, waiting))

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
        """Which jobs can be dealt with at once, one part after the other: all, but for those
        whose end others still wait for when their turn comes. All are locked at once,
        whatever comes after: two who went one by one could meet crosswise."""
        listed = list(seqs)
        self._lock(listed)
        last = dict(self._db.execute(sql("last_waiting"), (listed,)).fetchall())
        parts: list[list[int]] = [[]]
        for place, seq in enumerate(listed, 1):
            if last.get(seq, 0) < place:
                parts[-1].append(seq)
            else:
                parts += [[seq], []]
        return [part for part in parts if part]

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
