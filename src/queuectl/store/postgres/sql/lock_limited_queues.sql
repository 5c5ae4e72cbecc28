-- Claims of a queue with a limit stand in line, so that each counts what the last one took.
SELECT q.number FROM queuectl.queues q JOIN queuectl.workers w ON w.id = $1
WHERE q.max_running IS NOT NULL AND NOT q.paused
    AND (w.queues = '{}' OR q.name = ANY (w.queues))
ORDER BY q.number
FOR NO KEY UPDATE OF q
