-- Of one queue, ?2 at most.
SELECT count(*) FROM (SELECT 1 FROM jobs WHERE ready = 1 AND queue = ?1 LIMIT ?2)
