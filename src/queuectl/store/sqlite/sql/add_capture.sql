INSERT INTO captures (env) VALUES (?1) RETURNING number
