"""Records to be shown, plain but for what a test says, and the terminals to show them on."""

from __future__ import annotations

from typing import Any

from queuectl.cli.screens.layout import Look
from queuectl.model import STATES, Attempt, Job, QueueInfo, Stats, Worker

NOW = 1_800_000_000_000
PIPE = Look()
WIDE, NARROW = Look(80), Look(60)


def a_job(**fields: Any) -> Job:
    given: dict[str, Any] = {
        "id": "j1",
        "command": "python train.py --seed 9",
        "queue": "default",
        "priority": 5,
        "max_retries": 3,
        "backoff_base": 2.0,
        "backoff_max": 3600.0,
        "backoff_jitter": 0.0,
        "timeout_seconds": 300.0,
        "run_at": None,
        "due_at": NOW - 10_000,
        "after": (),
        "cwd": "/home/ana/exp",
        "env": {},
        "tags": (),
        "state": "pending",
        "attempts": 0,
        "outcome": None,
        "exit_code": None,
        "signal": None,
        "error": None,
        "created_at": NOW - 60_000,
        "created_by": "ana@gpu1",
        "updated_at": NOW,
        "started_at": None,
        "finished_at": None,
        "duration": None,
        "worker_id": None,
        "progress": None,
        "seq": 1,
        "runs": 0,
    }
    return Job(**given | fields)


def a_dead_job(**fields: Any) -> Job:
    facts = {
        "id": "j9",
        "state": "dead",
        "attempts": 3,
        "outcome": "failed",
        "exit_code": 1,
        "error": "exit 1: CUDA out of memory",
        "finished_at": NOW - 300_000,
    }
    return a_job(**facts | fields)


def a_worker(**fields: Any) -> Worker:
    given: dict[str, Any] = {
        "id": "3f2a",
        "host": "gpu1",
        "pid": 4711,
        "boot_id": "",
        "pid_namespace": "",
        "start_ticks": 0,
        "supervisor_pid": 1,
        "slots": 2,
        "queues": (),
        "started_at": NOW - 3_600_000,
        "heartbeat_at": NOW,
        "jobs": ("j12",),
    }
    return Worker(**given | fields)


def a_run(**fields: Any) -> Attempt:
    given: dict[str, Any] = {
        "attempt": 1,
        "token": 1,
        "worker_id": "3f2a",
        "host": "gpu1",
        "started_at": NOW - 372_000,
        "finished_at": NOW - 300_000,
        "duration": 72.0,
        "outcome": "failed",
        "charged": True,
        "exit_code": 1,
        "signal": None,
        "error": "exit 1: CUDA out of memory",
    }
    return Attempt(**given | fields)


def a_queue(name: str = "default", **counts: Any) -> QueueInfo:
    paused, limit = counts.pop("paused", False), counts.pop("limit", None)
    return QueueInfo(name, paused, limit, dict.fromkeys(STATES, 0) | counts)


def some_stats(*queues: QueueInfo, oldest: int | None = None) -> Stats:
    counts = {state: sum(queue.counts[state] for queue in queues) for state in STATES}
    return Stats(counts, queues, oldest)
