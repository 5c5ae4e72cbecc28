SELECT a.attempt, a.token, a.worker_id, a.host, a.started_at, a.finished_at, a.duration,
    a.outcome, a.charged, a.exit_code, a.signal, a.error
FROM queuectl.attempts a
WHERE a.seq = $1
UNION ALL
SELECT j.runs, j.token, j.worker_id, coalesce(w.host, ''), j.started_at, NULL, NULL,
    'processing', false, NULL, NULL, NULL
FROM queuectl.jobs j LEFT JOIN queuectl.workers w ON w.id = j.worker_id
WHERE j.seq = $1 AND j.state = 'processing'
ORDER BY 2
