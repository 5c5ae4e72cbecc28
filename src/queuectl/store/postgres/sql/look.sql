-- $1 worker. As claim.sql, of which nothing is claimed.
SELECT false AS contended, false AS more, * FROM queuectl.look($1)
