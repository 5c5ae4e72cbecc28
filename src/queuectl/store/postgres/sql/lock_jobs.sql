-- In order, so that two who lock several don't wait for each other.
SELECT seq, state FROM queuectl.jobs WHERE seq = ANY ($1::bigint[]) ORDER BY seq FOR UPDATE
