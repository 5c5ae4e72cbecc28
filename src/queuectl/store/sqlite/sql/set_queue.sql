UPDATE queues SET paused = coalesce(?2, paused),
    max_running = CASE WHEN ?3 IS NULL THEN max_running ELSE nullif(?3, 0) END
WHERE number = ?1
