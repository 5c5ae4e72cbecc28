SELECT stop_seconds, queues, host,
    (SELECT value FROM meta WHERE name = 'min_compatible'),
    (SELECT value FROM meta WHERE name = 'version')
FROM workers WHERE id = ?1
