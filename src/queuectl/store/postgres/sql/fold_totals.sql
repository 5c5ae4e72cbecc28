WITH gone AS (
    DELETE FROM queuectl.total_changes WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM queuectl.total_changes LIMIT 2000 FOR UPDATE SKIP LOCKED
    ))
    RETURNING event, n
)
INSERT INTO queuectl.totals AS t (event, n)
SELECT event, sum(n) FROM gone GROUP BY event ORDER BY event
ON CONFLICT (event) DO UPDATE SET n = t.n + excluded.n
