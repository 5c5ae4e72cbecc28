-- Chosen states, newest first: an arm a state, so that each finds its index by a literal,
-- merged by seq. What runs is few; an index by seq of its own would be written by each run.
-- ?1 queue number, ?2 since, ?3 ended before, ?4 limit (-1: all), ?5 to ?10 which states.
WITH found AS MATERIALIZED (
    SELECT seq FROM jobs
    WHERE ?5 AND state = 'pending'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    UNION ALL
    SELECT seq FROM jobs INDEXED BY jobs_held
    WHERE ?6 AND state = 'processing'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    UNION ALL
    SELECT seq FROM jobs
    WHERE ?7 AND state = 'completed'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    UNION ALL
    SELECT seq FROM jobs
    WHERE ?8 AND state = 'failed'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    UNION ALL
    SELECT seq FROM jobs
    WHERE ?9 AND state = 'dead'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    UNION ALL
    SELECT seq FROM jobs
    WHERE ?10 AND state = 'cancelled'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    ORDER BY seq DESC
    LIMIT ?4
)
SELECT coalesce(j.id, 'j' || j.seq), s.command, s.is_argv, q.name, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM found f CROSS JOIN jobs j ON j.seq = f.seq
    JOIN specs s ON s.seq = j.seq JOIN queues q ON q.number = j.queue
ORDER BY f.seq DESC
