-- Nor is anything handed over to it from here on.
UPDATE queuectl.workers SET session = $2, waits = NULL
WHERE id = $1 AND (session <> $2 OR waits IS NOT NULL)
