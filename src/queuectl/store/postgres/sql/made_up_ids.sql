-- Made-up ids from $1 to $2, of jobs in the states $3: the first $4 and the last. Of
-- all jobs of those numbers 10,000 are looked at from each end.
SELECT id FROM (
    SELECT 'j' || seq AS id, seq AS place FROM (
        SELECT seq, id, state FROM queuectl.jobs
        WHERE seq BETWEEN $1 AND $2
        ORDER BY seq LIMIT 10000
    ) first
    WHERE id IS NULL AND state = ANY ($3::text[])
    ORDER BY place LIMIT $4
) first
UNION
SELECT id FROM (
    SELECT 'j' || seq AS id, seq AS place FROM (
        SELECT seq, id, state FROM queuectl.jobs
        WHERE seq BETWEEN $1 AND $2
        ORDER BY seq DESC LIMIT 10000
    ) last
    WHERE id IS NULL AND state = ANY ($3::text[])
    ORDER BY place DESC LIMIT 1
) last
