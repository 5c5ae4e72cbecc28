"""Why a job does not run, and which queues nobody serves."""

from __future__ import annotations

from typing import Any

import pytest

from queuectl.cli.reasons import reasons, unserved
from queuectl.model import Job, QueueInfo, Worker

from .records import NOW, WIDE, a_dead_job, a_job, a_queue, a_worker, some_stats


def codes(job: Job, queue: QueueInfo, workers: list[Worker], **more: Any) -> list[str]:
    needed, ahead = more.get("needed", {}), more.get("ahead", 0)
    return [reason.code for reason in reasons(job, queue, workers, needed, ahead, WIDE, NOW)]


def test_explain_names_everything_that_holds_a_job_back() -> None:
    idle, full = a_worker(), a_worker(jobs=("a", "b"))
    assert codes(a_job(), a_queue(), [idle]) == ["due"]
    assert codes(a_job(), a_queue(), []) == ["no_worker"]
    assert codes(a_job(), a_queue(), [a_worker(queues=("gpu",))]) == ["no_worker"]
    assert codes(a_job(), a_queue(), [full], ahead=3) == ["all_busy", "behind_others"]
    assert codes(a_job(), a_queue(paused=True), [idle]) == ["queue_paused"]
    assert codes(a_job(), a_queue(limit=1, processing=1), [idle]) == ["queue_limit"]
    assert codes(a_job(due_at=NOW + 1), a_queue(), [idle]) == ["scheduled"]
    assert codes(a_dead_job(state="failed", due_at=NOW + 1), a_queue(), [idle]) == ["backoff"]
    waiting = a_job(after=("a", "b"))
    assert codes(waiting, a_queue(), [idle], needed={"a": "completed", "b": "pending"}) == [
        "waits_for_jobs"
    ]
    assert codes(a_job(state="processing"), a_queue(), [idle]) == ["running"]
    assert codes(a_dead_job(), a_queue(), [idle]) == ["dead"]


def test_why_a_job_was_cancelled_is_told_once() -> None:
    def told(error: str) -> str:
        job = a_job(state="cancelled", outcome="cancelled", error=error)
        (reason,) = reasons(job, a_queue(), [], {}, 0, WIDE, NOW)
        return reason.message

    assert told("cancelled while it ran") == "it was cancelled while it ran"
    assert told("waited for a, which is dead").startswith("it was cancelled: waited for a")


def test_a_queue_is_unserved_if_jobs_are_due_and_no_living_worker_takes_them() -> None:
    gpu = a_queue("gpu", pending=1)
    elsewhere = [
        a_worker(queues=("default",)),
        a_worker(alive=False),
        a_worker(state="stopping"),
    ]
    assert unserved(some_stats(gpu, oldest=NOW), elsewhere, NOW) == ["gpu"]
    assert unserved(some_stats(gpu, oldest=NOW), [a_worker()], NOW) == []
    assert unserved(some_stats(gpu), elsewhere, NOW) == []
    assert unserved(some_stats(gpu.replace(paused=True), oldest=NOW), [], NOW) == []


@pytest.mark.parametrize(
    ("slots", "said"),
    [
        (1, "the one slot that serves its queue is busy"),
        (2, "all 2 slots that serve its queue are busy"),
    ],
)
def test_explain_counts_the_slots_that_are_busy(slots: int, said: str) -> None:
    worker = a_worker(slots=slots, jobs=("j7", "j8"))
    assert reasons(a_job(), a_queue(), [worker], {}, 0, WIDE, NOW)[0].message == said
