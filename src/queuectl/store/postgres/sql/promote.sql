SELECT queuectl.promote($1, $2)
