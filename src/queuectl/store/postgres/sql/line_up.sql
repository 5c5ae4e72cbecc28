-- Before a claim: $1 worker, $2 now, $3 how many jobs may become ready, $4 how many are wanted,
-- $5 candidates (see claim.sql).
SELECT queuectl.line_up($1, $2, $3, $4, $5)
