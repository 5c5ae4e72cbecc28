-- Before a claim: $1 worker, $2 now, $3 how many jobs may become ready.
SELECT queuectl.line_up($1, $2, $3)
