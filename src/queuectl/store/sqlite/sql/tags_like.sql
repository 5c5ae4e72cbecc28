-- Tags that begin with ?1, the first ?2 and the last: a seek each, however many jobs have them.
WITH RECURSIVE found (tag) AS (
    SELECT (SELECT min(tag) FROM tags WHERE tag >= ?1 AND tag < ?1 || '~')
    UNION ALL
    SELECT (SELECT min(t.tag) FROM tags t WHERE t.tag > found.tag AND t.tag < ?1 || '~')
    FROM found WHERE found.tag IS NOT NULL
)
SELECT tag FROM (SELECT tag FROM found WHERE tag IS NOT NULL LIMIT ?2) first
UNION
SELECT tag FROM (
    SELECT tag FROM tags WHERE tag >= ?1 AND tag < ?1 || '~'
    ORDER BY tag DESC LIMIT 1
) last
