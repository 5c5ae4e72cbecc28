SELECT name, value FROM queuectl.meta
UNION ALL
SELECT 'backend', pg_backend_pid()::text
UNION ALL
SELECT 'database', oid::text FROM pg_database WHERE datname = current_database()
