DELETE FROM queuectl.output WHERE token = ANY ($1::bigint[])
