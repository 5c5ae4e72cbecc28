-- $1 worker: it is told of all that it holds, however that came.
UPDATE queuectl.workers SET handed = NULL WHERE id = $1 AND handed IS NOT NULL
