-- Jobs of a tag, newest first. ?1 to ?10 as in list_states, ?11 the tag.
SELECT coalesce(j.id, 'j' || j.seq), s.command, s.is_argv, q.name, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM tags t JOIN jobs j ON j.seq = t.seq
    JOIN specs s ON s.seq = j.seq JOIN queues q ON q.number = j.queue
WHERE t.tag = ?11
    AND (?1 IS NULL OR j.queue = ?1)
    AND (?2 IS NULL OR j.created_at >= ?2)
    AND (?3 IS NULL OR (j.ready IS NULL AND j.finished_at < ?3))
    AND ((?5 AND j.state = 'pending') OR (?6 AND j.state = 'processing')
        OR (?7 AND j.state = 'completed') OR (?8 AND j.state = 'failed')
        OR (?9 AND j.state = 'dead') OR (?10 AND j.state = 'cancelled'))
ORDER BY t.seq DESC
LIMIT ?4
