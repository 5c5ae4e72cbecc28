-- With what decides what becomes of each.
SELECT token, seq, queue, attempts, runs, max_retries, backoff_base, backoff_max,
    backoff_jitter, started_at, cancel, coalesce(id, 'j' || seq)
FROM jobs WHERE worker_id = ?1 AND state = 'processing'
ORDER BY seq
