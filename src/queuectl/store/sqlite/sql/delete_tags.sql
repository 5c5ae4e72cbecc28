DELETE FROM tags WHERE seq = ?1
