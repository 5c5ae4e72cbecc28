-- What an enqueue must know. $1 how many numbers, $2 chosen ids and $3 the numbers that
-- they might be made up of, $4 queues, $5 digests
-- of environments; where a job may be handed over to somebody who waits: $6 host, $7 boot,
-- $8 pid namespace, $9 slot folder. One row for each fact: kind, text, number, text.
SELECT 'seq', NULL, nextval('queuectl.seqs'), NULL FROM generate_series(1, $1)
UNION ALL
SELECT 'taken', g.id, NULL, coalesce(a.state, b.state)
FROM unnest($2::text[], $3::bigint[]) g (id, number)
    LEFT JOIN queuectl.jobs a ON a.id = g.id
    LEFT JOIN queuectl.jobs b ON b.seq = g.number AND b.id IS NULL
WHERE a.seq IS NOT NULL OR b.seq IS NOT NULL
UNION ALL
SELECT 'queue', name, number, NULL FROM queuectl.queues WHERE name = ANY ($4::text[])
UNION ALL
SELECT 'capture', digest, number, NULL FROM queuectl.captures WHERE digest = ANY ($5::text[])
UNION ALL
SELECT 'waits', id, pid, start_ticks::text FROM queuectl.workers
WHERE waits IS NOT NULL AND host = $6 AND boot_id = $7 AND pid_namespace = $8 AND slot_folder = $9
UNION ALL
SELECT 'numbered', NULL, NULL, NULL
WHERE EXISTS (SELECT FROM queuectl.jobs WHERE id >= 'j0' AND id < 'j:')
