"""`python rq_jobs.py fill|work URL LOG JOBS`."""

from __future__ import annotations

import logging
import subprocess
import sys

import redis
import rq
from witness import note, now


def job(log: str, line: str) -> None:
    """Run a line with sh."""
    began = now()
    subprocess.run(["sh", "-c", line], check=False)
    note(log, began)


def main(what: str, url: str, log: str, jobs: str) -> None:
    """Add the jobs, or work them off in this process (rq's SimpleWorker)."""
    queue = rq.Queue(connection=redis.Redis.from_url(url))
    if what == "fill":
        data = rq.Queue.prepare_data("rq_jobs.job", (log, "true"), result_ttl=0)
        queue.enqueue_many([data._replace(job_id=str(n)) for n in range(int(jobs))])
    else:
        worker = rq.SimpleWorker([queue], connection=queue.connection)
        worker.work(burst=True, logging_level=logging.ERROR)


if __name__ == "__main__":
    main(*sys.argv[1:])
