-- What is dead, what died last first.
-- ?1 queue number, ?2 since, ?3 ended before, ?4 limit (-1: all), ?5 tag.
WITH found AS MATERIALIZED (
    SELECT seq, finished_at FROM jobs INDEXED BY jobs_died
    WHERE state = 'dead'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR finished_at < ?3)
        AND (?5 IS NULL OR EXISTS (SELECT 1 FROM tags t WHERE t.tag = ?5 AND t.seq = jobs.seq))
    ORDER BY finished_at DESC, seq DESC
    LIMIT ?4
)
SELECT coalesce(j.id, 'j' || j.seq), s.command, s.is_argv, q.name, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM found f CROSS JOIN jobs j ON j.seq = f.seq
    JOIN specs s ON s.seq = j.seq JOIN queues q ON q.number = j.queue
ORDER BY f.finished_at DESC, f.seq DESC
