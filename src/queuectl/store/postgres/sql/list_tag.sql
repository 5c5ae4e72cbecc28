-- Jobs of a tag, newest first. $1 to $5 as in list_states, $6 the tag.
SELECT coalesce(j.id, 'j' || j.seq), s.command, s.is_argv, q.name, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM queuectl.tags t JOIN queuectl.jobs j ON j.seq = t.seq
    JOIN queuectl.specs s ON s.seq = j.seq
    JOIN queuectl.queues q ON q.number = j.queue
WHERE t.tag = $6
    AND j.state = ANY ($5::text[])
    AND ($1::text IS NULL OR q.name = $1)
    AND ($2::bigint IS NULL OR j.created_at >= $2)
    AND ($3::bigint IS NULL OR (j.ready IS NULL AND j.finished_at < $3))
ORDER BY t.seq DESC
LIMIT $4
