-- What is dead, what died last first.
-- ?1 queue number, ?2 since, ?3 ended before, ?4 limit (-1: all), ?5 tag,
-- ?6 and ?7 the end and the seq that the page before ended with.
WITH found AS MATERIALIZED (
    SELECT seq, finished_at FROM jobs INDEXED BY jobs_died
    WHERE state = 'dead' AND (finished_at, seq) < (?6, ?7)
        AND (?1 IS NULL OR queue = ?1)
        AND (?2 IS NULL OR created_at >= ?2)
        AND (?3 IS NULL OR finished_at < ?3)
        AND (?5 IS NULL OR EXISTS (SELECT 1 FROM tags t WHERE t.tag = ?5 AND t.seq = jobs.seq))
    ORDER BY finished_at DESC, seq DESC
    LIMIT ?4
)
SELECT w.* FROM found f CROSS JOIN whole_jobs w ON w.seq = f.seq
ORDER BY f.finished_at DESC, f.seq DESC
