SELECT * FROM whole_jobs WHERE seq = ?1
