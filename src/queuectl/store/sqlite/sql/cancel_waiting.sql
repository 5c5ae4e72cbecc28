-- Those that wait for one of ?1 (JSON), which are ?3 now.
UPDATE jobs SET state = 'cancelled', ready = NULL, due_at = NULL, finished_at = ?2,
    updated_at = ?2, outcome = 'cancelled', error = 'waited for ' || (
        SELECT coalesce(n.id, 'j' || n.seq) FROM waits w CROSS JOIN jobs n ON n.seq = w.needs
        WHERE w.seq = jobs.seq AND w.needs IN (SELECT value FROM json_each(?1))
        ORDER BY w.needs LIMIT 1
    ) || ', which is ' || ?3
WHERE state = 'pending' AND seq IN (
    SELECT w.seq FROM json_each(?1) g CROSS JOIN waits w ON w.needs = g.value
)
RETURNING seq, queue
