"""`python pgqueuer_jobs.py fill|work URL LOG JOBS [ahead]`."""

from __future__ import annotations

import asyncio
import sys

import asyncpg
from pgqueuer import AsyncpgDriver, PgQueuer
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode
from witness import note, now

_what, _url, _log, _jobs, *_ahead = sys.argv[1:]


async def fill() -> None:
    """Make the tables; add the jobs."""
    connection = await asyncpg.connect(_url)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    many = int(_jobs)
    await queries.enqueue(["job"] * many, [b"true"] * many, [0] * many)
    await connection.close()


async def work() -> None:
    """Work off the queue, two at a time: by its own limit, or (`ahead`) 20 claimed at once
    and all but two of them held back by the job itself."""
    connection = await asyncpg.connect(_url)
    pgq = PgQueuer(AsyncpgDriver(connection))
    two = asyncio.Semaphore(2)

    @pgq.entrypoint("job")
    async def job(given: Job) -> None:
        async with two:
            began = now()
            line = (given.payload or b"").decode()
            process = await asyncio.create_subprocess_exec("sh", "-c", line)
            await process.wait()
            note(_log, began)

    # It wants twice the size of a batch.
    batch, most = (20, None) if _ahead else (1, 2)
    await pgq.run(batch_size=batch, max_concurrent_tasks=most, mode=QueueExecutionMode.drain)


asyncio.run(fill() if _what == "fill" else work())
