SELECT id FROM queuectl.jobs WHERE id = ANY ($1::text[])
