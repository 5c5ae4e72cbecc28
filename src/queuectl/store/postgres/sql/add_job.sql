INSERT INTO queuectl.jobs (
    seq, id, queue, priority, state, ready, due_at, max_retries, backoff_base, backoff_max,
    backoff_jitter, timeout_seconds, created_at, updated_at, finished_at, outcome, error
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
