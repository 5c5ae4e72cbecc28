-- Before a claim: $1 worker, $2 now, $3 how many jobs may become ready, $4 how many are wanted.
SELECT queuectl.line_up($1, $2, $3, $4)
