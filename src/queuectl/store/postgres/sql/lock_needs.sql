-- Jobs that others will wait for stay as they are until the waiting ones are in: one that
-- ended meanwhile would not see them. What has ended already needs no lock.
SELECT seq FROM queuectl.jobs
WHERE seq = ANY ($1::bigint[]) AND state IN ('pending', 'processing', 'failed')
ORDER BY seq
FOR SHARE
