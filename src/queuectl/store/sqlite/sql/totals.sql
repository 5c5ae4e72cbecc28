SELECT event, n FROM totals
