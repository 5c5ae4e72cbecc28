SELECT coalesce(c.id, 'j' || c.seq), coalesce(n.id, 'j' || n.seq)
FROM json_each(?1) g
    CROSS JOIN waits w ON w.seq = g.value
    CROSS JOIN jobs c ON c.seq = w.seq
    CROSS JOIN jobs n ON n.seq = w.needs
ORDER BY w.needs
