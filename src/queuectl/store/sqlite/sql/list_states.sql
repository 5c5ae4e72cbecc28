-- Chosen states, newest first: an arm a state, so that each finds its index by a literal,
-- merged by seq. What runs is few; an index by seq of its own would be written by each run.
-- ?1 queue number, ?2 since, ?3 ended before, ?4 limit (-1: all), ?5 to ?10 which states,
-- ?11 the seq that the page before ended with.
WITH found AS MATERIALIZED (
    SELECT seq FROM (
        SELECT * FROM jobs WHERE ?5 AND state = 'pending'
        UNION ALL
        SELECT * FROM jobs INDEXED BY jobs_held WHERE ?6 AND state = 'processing'
        UNION ALL
        SELECT * FROM jobs WHERE ?7 AND state = 'completed'
        UNION ALL
        SELECT * FROM jobs WHERE ?8 AND state = 'failed'
        UNION ALL
        SELECT * FROM jobs WHERE ?9 AND state = 'dead'
        UNION ALL
        SELECT * FROM jobs WHERE ?10 AND state = 'cancelled'
    )
    WHERE seq < ?11
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    ORDER BY seq DESC
    LIMIT ?4
)
SELECT w.* FROM found f CROSS JOIN whole_jobs w ON w.seq = f.seq
ORDER BY f.seq DESC
