SELECT seq FROM jobs
WHERE ready IS NULL AND finished_at IS NOT NULL AND finished_at < ?1
ORDER BY finished_at
LIMIT ?2
