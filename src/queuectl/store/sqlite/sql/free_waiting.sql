-- Those that waited for ?1 and for nothing else.
UPDATE jobs SET ready = coalesce(due_at, 0) <= ?2
WHERE seq IN (SELECT seq FROM waits WHERE needs = ?1) AND state = 'pending'
    AND NOT EXISTS (SELECT 1 FROM waits w WHERE w.seq = jobs.seq AND w.needs <> ?1)
RETURNING ready
