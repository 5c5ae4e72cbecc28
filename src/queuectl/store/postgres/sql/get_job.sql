SELECT * FROM queuectl.whole_jobs WHERE seq = $1
