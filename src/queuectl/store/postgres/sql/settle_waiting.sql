SELECT queuectl.settle_waiting($1::bigint[], $2, $3)
