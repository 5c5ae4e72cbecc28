-- ?1 a public id, ?2 the number that it might be made up of.
SELECT ?1, state FROM jobs WHERE id = ?1
UNION ALL
SELECT ?1, state FROM jobs WHERE seq = ?2 AND id IS NULL
