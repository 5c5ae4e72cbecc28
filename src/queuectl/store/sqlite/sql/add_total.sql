INSERT INTO totals (event, n) VALUES (?1, ?2)
ON CONFLICT (event) DO UPDATE SET n = n + ?2
