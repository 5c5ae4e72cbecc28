-- A claim that never started: as if it had not been, but for the token, which is spent.
UPDATE jobs SET state = CASE WHEN attempts > 0 THEN 'failed' ELSE 'pending' END,
    ready = 1, due_at = ?3, runs = runs - 1, started_at = NULL, worker_id = NULL,
    token = NULL, updated_at = ?3
WHERE seq = ?1 AND token = ?2 AND state = 'processing'
RETURNING state, queue, cancel
