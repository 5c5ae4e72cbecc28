SELECT coalesce(c.id, 'j' || c.seq), coalesce(n.id, 'j' || n.seq)
FROM queuectl.waits w
    JOIN queuectl.jobs c ON c.seq = w.seq
    JOIN queuectl.jobs n ON n.seq = w.needs
WHERE w.seq = ANY ($1::bigint[])
ORDER BY w.needs
