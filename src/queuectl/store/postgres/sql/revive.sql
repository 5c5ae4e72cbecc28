-- $4 to $6: what they are given; NULL leaves that as it is.
UPDATE queuectl.jobs SET state = 'pending', ready = $3, due_at = $2, attempts = 0,
    outcome = NULL, exit_code = NULL, signal = NULL, error = NULL, started_at = NULL,
    finished_at = NULL, duration = NULL, token = NULL, worker_id = NULL, updated_at = $2,
    timeout_seconds = coalesce($4::double precision, timeout_seconds),
    max_retries = coalesce($5::integer, max_retries),
    priority = coalesce($6::smallint, priority)
WHERE seq = ANY ($1::bigint[]) AND state <> 'processing'
