-- Jobs in the states ?1 (JSON), of queue ?2 if there is one; no row where there are none.
SELECT state, sum(n) FROM counts
WHERE state IN (SELECT value FROM json_each(?1)) AND (?2 IS NULL OR queue = ?2)
GROUP BY state HAVING sum(n) > 0
