UPDATE jobs SET state = 'processing', ready = NULL, due_at = NULL, runs = runs + 1,
    token = ?2, worker_id = ?3, started_at = ?4, finished_at = NULL, duration = NULL,
    updated_at = ?4
WHERE seq = ?1 AND ready = 1
