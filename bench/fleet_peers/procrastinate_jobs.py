"""`python procrastinate_jobs.py fill|work URL LOG JOBS`."""

from __future__ import annotations

import asyncio
import sys
from itertools import repeat

import procrastinate
from witness import note, now

_what, _url, _log, _jobs = sys.argv[1:]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=_url))


@app.task(name="job")
async def job(line: str) -> None:
    """Run a line with sh."""
    began = now()
    process = await asyncio.create_subprocess_exec("sh", "-c", line)
    await process.wait()
    note(_log, began)


async def fill() -> None:
    """Make the tables; add the jobs."""
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        await job.batch_defer_async(*repeat({"line": "true"}, int(_jobs)))


async def work() -> None:
    """Work off the queue, two at a time."""
    async with app.open_async():
        await app.run_worker_async(concurrency=2, wait=False, fetch_job_polling_interval=0.1)


asyncio.run(fill() if _what == "fill" else work())
