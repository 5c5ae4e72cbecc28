-- Jobs of a tag, newest first. ?1 to ?11 as in list_states, ?12 the tag.
WITH found AS MATERIALIZED (
    SELECT t.seq FROM tags t JOIN jobs j ON j.seq = t.seq
    WHERE t.tag = ?12 AND t.seq < ?11
        AND (?1 IS NULL OR j.queue = ?1)
        AND (?2 IS NULL OR j.created_at >= ?2)
        AND (?3 IS NULL OR (j.ready IS NULL AND j.finished_at < ?3))
        AND ((?5 AND j.state = 'pending') OR (?6 AND j.state = 'processing')
            OR (?7 AND j.state = 'completed') OR (?8 AND j.state = 'failed')
            OR (?9 AND j.state = 'dead') OR (?10 AND j.state = 'cancelled'))
    ORDER BY t.seq DESC
    LIMIT ?4
)
SELECT w.* FROM found f CROSS JOIN whole_jobs w ON w.seq = f.seq ORDER BY f.seq DESC
