SELECT seq FROM jobs WHERE seq = ?1 AND id IS NULL
