SELECT seq, after FROM queuectl.specs WHERE seq = ANY ($1::bigint[])
