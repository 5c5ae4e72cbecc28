SELECT EXISTS (SELECT 1 FROM jobs WHERE ready = 1 AND queue = ?1)
