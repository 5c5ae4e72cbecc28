-- Made-up ids stand in no index. Who chooses an id that looks made up keeps everybody else
-- from taking numbers meanwhile; who chooses none waits only for such a one.
SELECT CASE WHEN $1
    THEN pg_advisory_xact_lock(7816543, 1)
    ELSE pg_advisory_xact_lock_shared(7816543, 1)
END
