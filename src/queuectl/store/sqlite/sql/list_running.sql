-- What runs, the longest first: read whole, since no more runs than there are slots.
-- ?1 queue number, ?2 since, ?3 ended before, ?4 limit (-1: all), ?5 tag.
WITH found AS MATERIALIZED (
    SELECT seq, started_at FROM jobs INDEXED BY jobs_held
    WHERE state = 'processing'
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR finished_at < ?3)
        AND (?5 IS NULL OR EXISTS (SELECT 1 FROM tags t WHERE t.tag = ?5 AND t.seq = jobs.seq))
    ORDER BY started_at, seq
    LIMIT ?4
)
SELECT w.* FROM found f CROSS JOIN whole_jobs w ON w.seq = f.seq
ORDER BY f.started_at, f.seq
