SELECT EXISTS (SELECT FROM queuectl.waits WHERE needs = ANY ($1::bigint[]))
