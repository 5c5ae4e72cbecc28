SELECT coalesce(j.id, 'j' || j.seq), s.command, s.is_argv, q.name, j.priority,
    j.max_retries, j.backoff_base, j.backoff_max, j.backoff_jitter, j.timeout_seconds,
    s.run_at, j.due_at, s.after, s.cwd, s.env, s.tags, j.state, j.attempts, j.outcome,
    j.exit_code, j.signal, j.error, j.created_at, s.created_by, j.updated_at,
    j.started_at, j.finished_at, j.duration, j.worker_id, j.progress, j.seq, j.runs
FROM queuectl.jobs j JOIN queuectl.specs s ON s.seq = j.seq
    JOIN queuectl.queues q ON q.number = j.queue
WHERE j.seq = $1
