SELECT name, value FROM queuectl.meta
UNION ALL
SELECT 'backend', pg_backend_pid()::text
