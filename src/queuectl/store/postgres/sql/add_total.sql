INSERT INTO queuectl.total_changes (event, n) VALUES ($1, $2)
