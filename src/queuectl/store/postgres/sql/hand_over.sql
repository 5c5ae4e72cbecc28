-- $1 a new job, $2 workers that wait to be called, $3 now. Tells which of them has it.
SELECT queuectl.hand_over($1, $2, $3)
