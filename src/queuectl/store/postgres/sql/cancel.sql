WITH gone AS (
    DELETE FROM queuectl.waits WHERE seq = ANY ($1::bigint[])
)
UPDATE queuectl.jobs SET state = 'cancelled', ready = NULL, due_at = NULL, cancel = NULL,
    finished_at = $2, updated_at = $2, outcome = 'cancelled',
    error = coalesce($3::text,
        CASE WHEN runs > 0 THEN 'cancelled before it ran again' ELSE 'cancelled before it ran' END)
WHERE seq = ANY ($1::bigint[]) AND state IN ('pending', 'failed')
