UPDATE jobs SET state = 'cancelled', ready = NULL, due_at = NULL, cancel = NULL,
    finished_at = ?2, updated_at = ?2, outcome = 'cancelled',
    error = coalesce(?3,
        CASE WHEN runs > 0 THEN 'cancelled before it ran again' ELSE 'cancelled before it ran' END)
WHERE seq = ?1 AND state IN ('pending', 'failed')
RETURNING queue
