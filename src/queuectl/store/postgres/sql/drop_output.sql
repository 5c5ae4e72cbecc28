DELETE FROM queuectl.output o
USING unnest($2::bigint[], $3::bigint[]) AS d (token, number)
WHERE o.token = d.token AND o.number = d.number AND o.token = ANY (ARRAY(
    SELECT token FROM queuectl.jobs WHERE worker_id = $1 AND state = 'processing'))
