WITH gone AS (
    DELETE FROM queuectl.waits WHERE seq = ANY ($1::bigint[])
)
UPDATE queuectl.jobs SET state = 'cancelled', ready = NULL, due_at = NULL, cancel = NULL,
    finished_at = $2, updated_at = $2, outcome = 'cancelled', error = $3
WHERE seq = ANY ($1::bigint[]) AND state IN ('pending', 'failed')
