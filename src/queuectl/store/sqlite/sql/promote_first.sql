UPDATE jobs SET ready = 1 WHERE seq IN (
    SELECT seq FROM jobs WHERE ready = 0 AND queue = ?1 AND priority = ?2 AND due_at <= ?3
    ORDER BY due_at, seq LIMIT ?4
)
