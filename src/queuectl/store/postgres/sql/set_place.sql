-- Which database the uid is made for: a copy is another one.
INSERT INTO queuectl.meta (name, value)
SELECT 'place', oid::text FROM pg_database WHERE datname = current_database()
ON CONFLICT (name) DO UPDATE SET value = excluded.value
