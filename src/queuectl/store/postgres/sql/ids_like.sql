-- Chosen ids that begin with $1, of jobs in the states $2: the first $3 and the last. Of
-- those that begin so 10,000 are looked at from each end. (No id has a sign after ~.)
SELECT id FROM (
    SELECT id FROM (
        SELECT id, state FROM queuectl.jobs
        WHERE id >= $1::text AND id < $1::text || '~'
        ORDER BY id LIMIT 10000
    ) first
    WHERE state = ANY ($2::text[])
    ORDER BY id LIMIT $3
) first
UNION
SELECT id FROM (
    SELECT id FROM (
        SELECT id, state FROM queuectl.jobs
        WHERE id >= $1::text AND id < $1::text || '~'
        ORDER BY id DESC LIMIT 10000
    ) last
    WHERE state = ANY ($2::text[])
    ORDER BY id DESC LIMIT 1
) last
