-- With what decides what becomes of each. (+ 0: not by walking through all jobs in order.)
SELECT token, seq, attempts, runs, max_retries, backoff_base, backoff_max, backoff_jitter,
    started_at, cancel, coalesce(id, 'j' || seq)
FROM queuectl.jobs WHERE worker_id = $1 AND state = 'processing'
ORDER BY seq + 0
FOR UPDATE
