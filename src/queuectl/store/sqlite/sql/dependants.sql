-- Who waits for whom, from these jobs on.
WITH RECURSIVE found(needs, seq) AS (
    SELECT w.needs, w.seq FROM json_each(?1) g CROSS JOIN waits w ON w.needs = g.value
    UNION
    SELECT w.needs, w.seq FROM found f CROSS JOIN waits w ON w.needs = f.seq
)
SELECT coalesce(n.id, 'j' || n.seq), coalesce(c.id, 'j' || c.seq)
FROM found f CROSS JOIN jobs n ON n.seq = f.needs CROSS JOIN jobs c ON c.seq = f.seq
ORDER BY f.seq
