UPDATE jobs SET state = 'cancelled', ready = NULL, due_at = NULL, cancel = NULL,
    finished_at = ?2, updated_at = ?2, outcome = 'cancelled', error = ?3
WHERE seq = ?1 AND state IN ('pending', 'failed')
RETURNING queue
