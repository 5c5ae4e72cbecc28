INSERT INTO queuectl.tags (tag, seq) SELECT * FROM unnest($1::text[], $2::bigint[])
