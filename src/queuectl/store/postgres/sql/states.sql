-- $1 public ids, $2 the numbers that they might be made up of.
SELECT g.id, coalesce(a.state, b.state)
FROM unnest($1::text[], $2::bigint[]) g (id, number)
    LEFT JOIN queuectl.jobs a ON a.id = g.id
    LEFT JOIN queuectl.jobs b ON b.seq = g.number AND b.id IS NULL
WHERE a.seq IS NOT NULL OR b.seq IS NOT NULL
