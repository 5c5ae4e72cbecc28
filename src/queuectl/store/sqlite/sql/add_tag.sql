INSERT INTO tags (tag, seq) VALUES (?1, ?2)
