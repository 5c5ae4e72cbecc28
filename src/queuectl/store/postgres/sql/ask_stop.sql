UPDATE queuectl.workers SET stop_seconds = least(stop_seconds, $2) WHERE id = ANY ($1::text[])
