-- Before a claim: $1 worker, $2 now, $3 how many jobs may become ready. Claims of a queue with
-- a limit stand in line, so that each counts what the last one took. Not by a lock on the
-- row, which would be a write even where there is nothing to claim.
SELECT queuectl.promote($2, $3)
UNION ALL
SELECT pg_advisory_xact_lock(7816544, number)
FROM (
    SELECT q.number FROM queuectl.queues q JOIN queuectl.workers w ON w.id = $1
    WHERE q.max_running IS NOT NULL AND NOT q.paused
        AND (w.queues = '{}' OR q.name = ANY (w.queues))
    ORDER BY q.number
    OFFSET 0
) limited
