UPDATE jobs SET state = ?3, ready = ?4, due_at = ?5, attempts = ?6, cancel = NULL,
    outcome = ?7, exit_code = ?8, signal = ?9, error = ?10, started_at = ?11,
    finished_at = ?12, duration = ?13, updated_at = ?12
WHERE seq = ?1 AND token = ?2 AND state = 'processing'
