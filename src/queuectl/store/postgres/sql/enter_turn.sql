-- $1 worker, $2 the connection, $3 what version we know, NULL to claim nothing.
SELECT queuectl.enter_turn($1, $2, $3)
