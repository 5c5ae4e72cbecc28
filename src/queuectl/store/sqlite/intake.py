"""Jobs in."""

from __future__ import annotations

import os

from queuectl.config import Config, build
from queuectl.errors import JobExists, JobNotFound
from queuectl.model import CANCELLED, DEAD, PENDING
from queuectl.store.base import Intake
from queuectl.store.encoding import (
    compact,
    made_up_number,
    store_list,
    store_map,
    stored_command,
)
from queuectl.store.sqlite.database import Database, sql
from queuectl.store.sqlite.shared import Shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from queuectl.model import NewJob
    from queuectl.store.sqlite.shared import _Counted


class SqliteIntake(Shared, Intake):
    """See `queuectl.store.base.Intake`."""

    leases = False

    def __init__(self, path: str, wait_seconds: float = 30.0) -> None:
        self._db = Database(path, wait_seconds)
        self.url = self._db.path
        self.uid = self._db.uid
        self.slot_dir = self._db.path + "-workers"

    def close(self) -> None:
        if not os.path.isdir(self.slot_dir):  # no worker is there to keep it short
            self._db.shorten_log()
        self._db.close()

    def config(self) -> Config:
        with self._db.read():
            return build(dict(self._db.execute(sql("config"))))

    def enqueue(self, jobs: Sequence[NewJob], now: int) -> list[str]:
        if not jobs:
            return []
        with self._writing() as counts:
            chosen = [job.id for job in jobs if job.id is not None]
            self._refuse_taken(chosen)
            seqs = self._take_seqs(jobs, chosen)
            queues: dict[str, int] = {}
            for job in jobs:
                if job.queue not in queues:
                    queues[job.queue] = self._queue_number(job.queue)
            self._db.executemany(sql("add_job"), _job_rows(jobs, seqs, queues, now))
            self._db.executemany(sql("add_spec"), self._spec_rows(jobs, seqs))
            for seq, job in zip(seqs, jobs, strict=True):
                if job.tags:
                    tags = [(tag, seq) for tag in dict.fromkeys(job.tags)]
                    self._db.executemany(sql("add_tag"), tags)
            for job in jobs:
                counts.add(queues[job.queue], PENDING)
            counts.happened("enqueued", len(jobs))
            for seq, job in zip(seqs, jobs, strict=True):
                if job.after:
                    self._wait_for(seq, job.after, queues[job.queue], counts, now)
        return [job.id or f"j{seq}" for seq, job in zip(seqs, jobs, strict=True)]

    def _refuse_taken(self, chosen: list[str]) -> None:
        seen: set[str] = set()
        for job_id in chosen:
            seq = self._seq_of(job_id)
            if seq is not None:
                raise JobExists(
                    job_id, self._db.execute(sql("job_state"), (seq,)).fetchone()[0]
                )
            if job_id in seen:
                raise JobExists(job_id, "given twice")
            seen.add(job_id)

    def _take_seqs(self, jobs: Sequence[NewJob], chosen: list[str]) -> Sequence[int]:
        """Numbers for the jobs, passing over those whose made-up id is somebody's choice."""
        taken = {made_up_number(job_id) for job_id in chosen} - {None}
        stored = self._db.execute(sql("any_numbered_id")).get
        if not taken and not stored:
            first, _token = self._db.execute(sql("take_numbers"), (len(jobs), 0)).fetchone()
            return range(first, first + len(jobs))
        seqs = []
        for job in jobs:
            while True:
                seq, _token = self._db.execute(sql("take_numbers"), (1, 0)).fetchone()
                if job.id is not None:
                    break
                if (
                    seq not in taken
                    and self._db.execute(sql("find_by_id"), (f"j{seq}",)).get is None
                ):
                    break
            seqs.append(seq)
        return seqs

    def _spec_rows(
        self, jobs: Sequence[NewJob], seqs: Sequence[int]
    ) -> Iterator[tuple[Any, ...]]:
        captured: Mapping[str, str] | None = None
        capture: int | None = None
        for seq, job in zip(seqs, jobs, strict=True):
            if job.captured is not captured:
                captured = job.captured
                capture = self._capture_number(captured)
            command, is_argv = stored_command(job.command)
            yield (
                seq,
                command,
                is_argv,
                job.cwd,
                job.cwd_explicit,
                job.created_by,
                capture,
                job.run_at,
                store_map(job.env),
                store_list(job.tags),
                store_list(job.after),
            )

    def _capture_number(self, captured: Mapping[str, str]) -> int | None:
        if not captured:
            return None
        text = compact(captured)
        number = self._db.execute(sql("find_capture"), (text,)).get
        if number is None:
            number = self._db.execute(sql("add_capture"), (text,)).get
        return int(number)

    def _wait_for(
        self, seq: int, after: Sequence[str], queue: int, counts: _Counted, now: int
    ) -> None:
        for job_id in after:
            needs = self._seq_of(job_id)
            if needs is None or needs >= seq:
                raise JobNotFound(job_id)
            state = self._db.execute(sql("job_state"), (needs,)).fetchone()[0]
            if state in (DEAD, CANCELLED):
                why = f"waited for {job_id}, which is {state}"
                self._db.execute(sql("drop_waits_of"), (seq,))
                self._db.execute(sql("cancel"), (seq, now, why))
                counts.move(queue, PENDING, CANCELLED)
                return
            if state != "completed":
                self._db.execute(sql("add_wait"), (needs, seq))
        self._db.execute(sql("unblock_if_free"), (seq, now))


def _job_rows(
    jobs: Sequence[NewJob], seqs: Sequence[int], queues: Mapping[str, int], now: int
) -> Iterator[tuple[Any, ...]]:
    for seq, job in zip(seqs, jobs, strict=True):
        due_at = now if job.run_at is None else job.run_at
        policy = job.policy
        yield (
            seq,
            job.id,
            queues[job.queue],
            job.priority,
            None if job.after else due_at <= now,
            due_at,
            policy.max_retries,
            policy.backoff_base,
            policy.backoff_max,
            policy.backoff_jitter,
            job.timeout_seconds,
            now,
        )
