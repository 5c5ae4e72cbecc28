UPDATE jobs SET ready = 1 WHERE seq IN (
    SELECT seq FROM jobs WHERE ready = 0 AND due_at <= ?1 ORDER BY due_at LIMIT ?2
)
