-- The very end that is sent again; not one that a rescuer wrote.
SELECT 1 FROM attempts WHERE token = ?1 AND outcome = ?2 AND finished_at = ?3
