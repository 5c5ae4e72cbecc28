UPDATE queuectl.queues SET paused = coalesce($2, paused),
    max_running = CASE WHEN $3::integer IS NULL THEN max_running ELSE nullif($3::integer, 0) END
WHERE name = $1
