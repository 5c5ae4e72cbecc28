UPDATE queuectl.jobs SET state = 'pending', ready = $3, due_at = $2, attempts = 0,
    outcome = NULL, exit_code = NULL, signal = NULL, error = NULL, started_at = NULL,
    finished_at = NULL, duration = NULL, token = NULL, worker_id = NULL, updated_at = $2
WHERE seq = ANY ($1::bigint[]) AND state <> 'processing'
