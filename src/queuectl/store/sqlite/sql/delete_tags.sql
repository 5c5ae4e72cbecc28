-- By the tags that the job names, since they lie by tag first.
DELETE FROM tags WHERE seq = ?1 AND tag IN (
    SELECT t.value FROM specs s, json_each(s.tags) t WHERE s.seq = ?1
)
