-- Who waits for whom, from these jobs on.
WITH RECURSIVE found(needs, seq) AS (
    SELECT w.needs, w.seq FROM queuectl.waits w WHERE w.needs = ANY ($1::bigint[])
    UNION
    SELECT w.needs, w.seq FROM found f JOIN queuectl.waits w ON w.needs = f.seq
)
SELECT coalesce(n.id, 'j' || n.seq), coalesce(c.id, 'j' || c.seq)
FROM found f
    JOIN queuectl.jobs n ON n.seq = f.needs
    JOIN queuectl.jobs c ON c.seq = f.seq
ORDER BY f.seq
