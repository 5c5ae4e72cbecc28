-- A job that was to run again does not if somebody has asked to cancel it meanwhile.
UPDATE jobs SET state = CASE WHEN cancel = 1 AND ?5 IS NOT NULL THEN 'cancelled' ELSE ?3 END,
    ready = CASE WHEN cancel = 1 THEN NULL ELSE ?4 END,
    due_at = CASE WHEN cancel = 1 THEN NULL ELSE ?5 END,
    attempts = ?6, cancel = NULL, outcome = ?7, exit_code = ?8, signal = ?9, error = ?10,
    started_at = ?11, finished_at = ?12, duration = ?13, updated_at = ?12
WHERE seq = ?1 AND token = ?2 AND state = 'processing'
RETURNING token, state, queue
