INSERT INTO queuectl.output (token, number, stream, start, data)
SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::bytea[])
    AS c (token, number, stream, start, data)
WHERE c.token = ANY (ARRAY(
    SELECT token FROM queuectl.jobs WHERE worker_id = $1 AND state = 'processing'))
ON CONFLICT (token, number) DO UPDATE
    SET stream = excluded.stream, start = excluded.start, data = excluded.data
