SELECT coalesce(j.id, 'j' || j.seq), j.seq, j.state FROM queuectl.jobs j
WHERE j.seq = ANY ($1::bigint[])
