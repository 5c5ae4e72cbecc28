-- Which transactions have ended is which changes can be seen. (A position in the log would
-- not do: it moves before the commit can be seen.)
SELECT pg_current_snapshot()::text
