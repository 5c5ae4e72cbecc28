-- A claim that never started: as if it had not been, but for the token, which is spent.
UPDATE jobs SET
    state = CASE WHEN attempts > 0 AND outcome <> 'released' THEN 'failed' ELSE 'pending' END,
    ready = 1, due_at = ?3, runs = runs - 1, token = NULL, updated_at = ?3,
    (worker_id, started_at, finished_at, duration) = (
        SELECT a.worker_id, a.started_at, a.finished_at, a.duration FROM attempts a
        WHERE a.seq = jobs.seq AND jobs.outcome IS NOT NULL
        ORDER BY a.token DESC LIMIT 1
    )
WHERE seq = ?1 AND token = ?2 AND state = 'processing'
RETURNING state, queue, cancel
