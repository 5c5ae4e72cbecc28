UPDATE queuectl.workers SET session = $2 WHERE id = $1 AND session <> $2
