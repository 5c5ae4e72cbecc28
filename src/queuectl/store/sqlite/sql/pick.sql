-- The first jobs of one queue, with all that a run needs.
SELECT j.seq, j.id, j.queue, j.priority, j.state, j.attempts, j.runs, j.max_retries,
    j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.command, s.is_argv, s.cwd, s.cwd_explicit, s.env, s.capture, s.created_by
FROM jobs j JOIN specs s ON s.seq = j.seq
WHERE j.ready = 1 AND j.queue = ?1
ORDER BY j.priority DESC, j.seq
LIMIT ?2
