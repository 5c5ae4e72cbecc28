COPY queuectl.jobs (
    seq, id, queue, priority, state, ready, due_at, max_retries, backoff_base, backoff_max,
    backoff_jitter, timeout_seconds, created_at, updated_at, finished_at, outcome, error
) FROM STDIN
