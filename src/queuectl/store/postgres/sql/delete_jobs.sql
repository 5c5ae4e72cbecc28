-- With all that belongs to them.
WITH gone AS (
    DELETE FROM queuectl.jobs
    WHERE seq = ANY ($1::bigint[]) AND state <> 'processing'
    RETURNING seq
), runs AS (
    DELETE FROM queuectl.attempts WHERE seq = ANY (ARRAY(SELECT seq FROM gone))
    RETURNING token
), kept AS (
    DELETE FROM queuectl.output WHERE token = ANY (ARRAY(SELECT token FROM runs))
), marks AS (
    DELETE FROM queuectl.tags WHERE seq = ANY (ARRAY(SELECT seq FROM gone))
), needs AS (
    DELETE FROM queuectl.waits WHERE seq = ANY (ARRAY(SELECT seq FROM gone))
)
DELETE FROM queuectl.specs WHERE seq = ANY (ARRAY(SELECT seq FROM gone))
