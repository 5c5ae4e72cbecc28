INSERT INTO output (token, number, stream, start, data) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (token, number) DO UPDATE SET stream = ?3, start = ?4, data = ?5
