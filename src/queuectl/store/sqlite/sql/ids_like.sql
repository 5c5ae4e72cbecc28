-- Chosen ids that begin with ?1, of jobs in the states ?2 (JSON): the first ?3 and the last. Of
-- those that begin so 10,000 are looked at from each end. (No id has a sign after ~.)
SELECT id FROM (
    SELECT id FROM (
        SELECT id, state FROM jobs INDEXED BY jobs_id
        WHERE id >= ?1 AND id < ?1 || '~'
        ORDER BY id LIMIT 10000
    ) first
    WHERE state IN (SELECT value FROM json_each(?2))
    ORDER BY id LIMIT ?3
) first
UNION
SELECT id FROM (
    SELECT id FROM (
        SELECT id, state FROM jobs INDEXED BY jobs_id
        WHERE id >= ?1 AND id < ?1 || '~'
        ORDER BY id DESC LIMIT 10000
    ) last
    WHERE state IN (SELECT value FROM json_each(?2))
    ORDER BY id DESC LIMIT 1
) last
