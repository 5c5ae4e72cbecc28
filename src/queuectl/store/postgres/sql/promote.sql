UPDATE queuectl.jobs SET ready = true WHERE seq = ANY (ARRAY(
    SELECT seq FROM queuectl.jobs WHERE NOT ready AND due_at <= $1
    ORDER BY due_at LIMIT $2
    FOR UPDATE SKIP LOCKED
))
