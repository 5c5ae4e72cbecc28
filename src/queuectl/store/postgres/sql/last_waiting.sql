-- Of those of $1 that are waited for: where in $1 the last stands who waits, or beyond its end.
SELECT w.needs, max(coalesce(g.place, cardinality($1::bigint[]) + 1))
FROM queuectl.waits w
    LEFT JOIN unnest($1::bigint[]) WITH ORDINALITY g (seq, place) ON g.seq = w.seq
WHERE w.needs = ANY ($1::bigint[])
GROUP BY w.needs
