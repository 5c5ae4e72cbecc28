UPDATE queuectl.jobs SET cancel = true, updated_at = $2
WHERE seq = ANY ($1::bigint[]) AND coalesce(state, '') = 'processing'
