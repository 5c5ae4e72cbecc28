SELECT event, sum(n)::bigint FROM (
    SELECT event, n FROM queuectl.totals
    UNION ALL
    SELECT event, n FROM queuectl.total_changes
) both_kinds
GROUP BY event
