INSERT INTO queuectl.waits (needs, seq) SELECT * FROM unnest($1::bigint[], $2::bigint[])
ON CONFLICT DO NOTHING
