SELECT seq FROM queuectl.jobs
WHERE ready IS NULL AND finished_at IS NOT NULL AND finished_at < $1
    AND state IN ('completed', 'dead', 'cancelled')
ORDER BY finished_at
LIMIT $2
FOR UPDATE SKIP LOCKED
