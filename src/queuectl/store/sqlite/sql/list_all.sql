-- Any state, newest first. ?1 queue number, ?2 since, ?3 ended before, ?4 limit (-1: all), ?5 the
-- seq that the page before ended with.
WITH found AS MATERIALIZED (
    SELECT seq FROM jobs
    WHERE seq < ?5
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR (ready IS NULL AND finished_at < ?3))
    ORDER BY seq DESC
    LIMIT ?4
)
SELECT w.* FROM found f CROSS JOIN whole_jobs w ON w.seq = f.seq ORDER BY f.seq DESC
