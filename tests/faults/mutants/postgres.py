"""The guards of the PostgreSQL store, and of a fleet of hosts on it."""

from __future__ import annotations

from .mutant import WORKER, Mutant

_FINISH = "tests/store/test_finish.py -k postgres"
_OUTPUT = "tests/store/test_output.py -k postgres"
_FLEET = "tests/fleet/"
_PG = "src/queuectl/store/postgres/"
_PGSQL = "src/queuectl/store/postgres/sql/"
_LEASES = "tests/postgres/test_leases.py"
_HANDED = "tests/postgres/test_handed_to_nobody.py"
_WAITS = "tests/store/test_waits.py -k postgres"

POSTGRES = [
    # tokens and states
    Mutant(
        "PostgreSQL: a finish needs no token",
        _PGSQL + "finish.sql",
        "AND j.token = ($2::bigint[])[width_bucket(j.seq, $3::bigint[])]",
        "AND ($2::bigint[])[width_bucket(j.seq, $3::bigint[])] IS NOT NULL",
        _FINISH,
    ),
    Mutant(
        "PostgreSQL: a finish needs no state",
        _PGSQL + "finish.sql",
        "j.seq = ANY ($3::bigint[]) AND coalesce(j.state, '') = 'processing'",
        "j.seq = ANY ($3::bigint[])",
        _FINISH,
    ),
    Mutant(
        "PostgreSQL: a repeated finish may have another end",
        _PGSQL + "refused.sql",
        " AND a.outcome = e.outcome AND a.finished_at = e.finished_at",
        "",
        _FINISH,
    ),
    Mutant(
        "PostgreSQL: output needs no worker and no state",
        _PGSQL + "put_output.sql",
        "WHERE worker_id = $1 AND state = 'processing'",
        "WHERE worker_id IS NOT NULL OR $1 = ''",
        _OUTPUT,
    ),
    Mutant(
        "PostgreSQL: held needs no state",
        _PGSQL + "held.sql",
        " AND state = 'processing'",
        "",
        f"{_FINISH}; tests/store/test_workers.py -k postgres",
    ),
    Mutant(
        "PostgreSQL: a release needs no token",
        _PGSQL + "give_back.sql",
        "AND j.token = ANY ($2::bigint[])",
        "AND $2::bigint[] IS NOT NULL",
        "tests/store/test_stale.py tests/store/test_release.py -k postgres",
    ),
    Mutant(
        "PostgreSQL: what others are taking is not passed over",
        _PGSQL + "claim.sql",
        "        FOR UPDATE SKIP LOCKED\n    ) c",
        "        FOR UPDATE\n    ) c",
        "tests/postgres/test_concurrency.py",
    ),
    Mutant(
        "PostgreSQL: of several queues, what others are taking is not passed over",
        _PGSQL + "claim.sql",
        "    FOR UPDATE SKIP LOCKED\n), taken",
        "), taken",
        "tests/postgres/test_concurrency.py",
    ),
    Mutant(
        "PostgreSQL: what others held is not looked at again soon",
        _PG + "engine.py",
        "missed = look.contended and",
        "missed = False and",
        "tests/postgres/test_concurrency.py",
    ),
    Mutant(
        "PostgreSQL: what is due and held keeps workers busy",
        _PG + "engine.py",
        "overdue = not turn.claims and",
        "overdue = False and",
        "tests/postgres/test_concurrency.py",
    ),
    Mutant(
        "PostgreSQL: output that waited is lost beside the end of its run",
        _PG + "engine.py",
        "one_a_run([*output, *ends.values()])",
        "one_a_run([*(p for p in output if p.token not in ends), *ends.values()])",
        _OUTPUT,
    ),
    Mutant(
        "PostgreSQL: jobs with one try are claimed ahead",
        _PGSQL + "claim.sql",
        "(SELECT free FROM wanted) AND max_retries <= 1",
        "(SELECT free FROM wanted) AND max_retries <= -1",
        "tests/store/test_claim.py -k postgres",
    ),
    # what an enqueue claims for others
    Mutant(
        "PostgreSQL: a job is handed over in the middle of a turn",
        _PG + "migrations/001_first.sql",
        "        CONTINUE WHEN NOT pg_try_advisory_xact_lock(7816545, hashtext(worker));\n",
        "",
        _HANDED,
    ),
    Mutant(
        "PostgreSQL: a job is handed to a worker that may claim no more",
        _PG + "migrations/001_first.sql",
        "w.waits >= m.value::integer",
        "w.waits IS NOT NULL",
        _HANDED,
    ),
    Mutant(
        "PostgreSQL: a job is handed to a worker that was told to stop",
        _PG + "migrations/001_first.sql",
        " AND w.stop_seconds IS NULL\n            AND w.lease_until",
        "\n            AND w.lease_until",
        _WAITS,
    ),
    Mutant(
        "PostgreSQL: a job is handed to a worker whose heartbeats are overdue",
        _PG + "migrations/001_first.sql",
        "clock_timestamp() + lease_seconds * interval '0.6 seconds'",
        "clock_timestamp()",
        _HANDED,
    ),
    Mutant(
        "PostgreSQL: a job is handed to a worker that is suspended",
        _PG + "proof.py",
        "_runs(pid, start_ticks) and not host.is_suspended(pid)",
        "_runs(pid, start_ticks)",
        _HANDED,
    ),
    Mutant(
        "PostgreSQL: a job that is handed over passes others by",
        _PG + "migrations/001_first.sql",
        "j.seq <> job LIMIT 1",
        "j.seq <> job LIMIT 0",
        _WAITS,
    ),
    Mutant(
        "PostgreSQL: a job that is handed over passes by what fell due",
        _PG + "migrations/001_first.sql",
        "NOT ready AND due_at <= at) THEN\n        RETURN NULL;",
        "NOT ready AND due_at < 0) THEN\n        RETURN NULL;",
        _WAITS,
    ),
    Mutant(
        "PostgreSQL: a worker that lost an answer is handed jobs",
        _PGSQL + "adopt_worker.sql",
        ", waits = NULL",
        "",
        _WAITS,
    ),
    Mutant(
        "PostgreSQL: a claim that was told comes again",
        _PGSQL + "nothing_handed.sql",
        "SET handed = NULL",
        "SET handed = handed",
        _WAITS,
    ),
    Mutant(
        "a worker that leaves keeps what came at the last moment",
        WORKER + "turns.py",
        "store.release(self._worker_id, store.held(self._worker_id), now_ms())",
        "store.held(self._worker_id)",
        _HANDED,
    ),
    Mutant(
        "PostgreSQL: a slot that a job was handed to is free",
        _PGSQL + "claim.sql",
        "greatest(0, $3 - unknown) AS free",
        "$3 AS free",
        "tests/postgres/test_handover.py",
    ),
    Mutant(
        "PostgreSQL: of what falls due plenty has no order",
        _PG + "claims.py",
        "(PROMOTED_A_TURN, want.jobs, candidates)",
        "(PROMOTED_A_TURN, most, candidates)",
        "tests/store/test_due.py -k postgres",
    ),
    Mutant(
        "who frees jobs and takes none calls nobody",
        WORKER + "turns.py",
        "(answer.more or answer.freed > len(answer.claims))",
        "answer.more",
        "tests/worker/test_turns.py",
    ),
    Mutant(
        "PostgreSQL: a worker's share of what is ready is all",
        _PGSQL + "claim.sql",
        "(count(*) - $4) / (SELECT parts FROM fleet)",
        "count(*) - $4",
        "tests/store/test_plenty.py -k postgres",
    ),
    Mutant(
        "PostgreSQL: a running job can be deleted",
        _PG + "verbs.py",
        "if state != PROCESSING and (not only or state in only)",
        "if not only or state in only",
        "tests/store/test_retry_delete_prune.py -k postgres",
    ),
    Mutant(
        "PostgreSQL: a running job can be revived",
        _PG + "verbs.py",
        "refused = state == PROCESSING or (state == COMPLETED and not again)",
        "refused = state == COMPLETED and not again",
        "tests/store/test_retry_delete_prune.py -k postgres",
    ),
    # leases and rescue
    Mutant(
        "PostgreSQL: a lease that has ended can be renewed",
        _PGSQL + "heartbeat.sql",
        " AND lease_until > clock_timestamp()",
        "",
        _LEASES,
    ),
    Mutant(
        "PostgreSQL: a worker whose lease has ended may turn",
        _PG + "migrations/001_first.sql",
        "IF NOT FOUND OR row.lease_until <= clock_timestamp() THEN",
        "IF NOT FOUND THEN",
        _LEASES,
    ),
    Mutant(
        "PostgreSQL: rescue does not look again",
        _PG + "engine.py",
        "if not ended and not is_dead_here(",
        "if False and not is_dead_here(",
        _LEASES,
    ),
    Mutant(
        "PostgreSQL: rescue does not wait for a turn that is under way",
        _PGSQL + "lock_turns.sql",
        "pg_advisory_xact_lock(7816545, hashtext($1))",
        "hashtext($1)",
        f"{_LEASES} -k 'under_way or lost'",
    ),
    Mutant(
        "PostgreSQL: rescue does not lock out heartbeats",
        _PGSQL + "lock_worker.sql",
        "\nFOR UPDATE",
        "",
        f"{_LEASES} -k heartbeat",
    ),
    Mutant(
        "PostgreSQL: a turn may come over a connection that was given up",
        _PG + "migrations/001_first.sql",
        "ELSIF row.session <> caller THEN",
        "ELSIF false THEN",
        _LEASES,
    ),
    Mutant(
        "PostgreSQL: rescue charges nobody",
        _PG + "engine.py",
        "if token in never_started:",
        "if True:",
        "tests/store/test_rescue.py -k postgres",
    ),
    Mutant(
        "PostgreSQL: rescue does not forget the worker",
        _PG + "engine.py",
        "            self._finish(worker_id, finishes, now)\n"
        '            self._db.execute(sql("delete_worker"), (worker_id,))\n',
        "            self._finish(worker_id, finishes, now)\n",
        "tests/store/test_rescue.py -k postgres",
    ),
    # what is on the disk
    Mutant(
        "PostgreSQL: commits are not synced where the server says so by default",
        _PGSQL + "begin.sql",
        "WHEN 'off' THEN 'on'",
        "WHEN 'off' THEN 'off'",
        "tests/postgres/test_database.py -k on_disk",
    ),
    Mutant(
        "PostgreSQL: a stricter default of the server is lowered",
        _PGSQL + "begin.sql",
        "ELSE current_setting('synchronous_commit') END",
        "ELSE 'on' END",
        "tests/postgres/test_database.py -k stricter",
    ),
    # a fleet
    Mutant(
        "nobody keeps the fences of dead workers",
        WORKER + "supervisor.py",
        "            self._keep_fences()\n",
        "",
        f"{_FLEET}test_cut_off.py",
    ),
    Mutant(
        "a guard looks on",
        WORKER + "guard.py",
        "                end_runs(path, self._store_uid)\n",
        "",
        f"{_FLEET}test_hosts.py -k outlive",
    ),
    Mutant(
        "a guard that was lost is not missed",
        WORKER + "guard.py",
        "        if pid == self._pid:\n            self._pid = 0",
        "        if pid == self._pid:\n            pass",
        f"{_FLEET}test_hosts.py -k outlive",
    ),
    Mutant(
        "the fence falls with the lease",
        WORKER + "heart.py",
        "self._margin = min(lease / 2, max(_LEAST_MARGIN, lease / 10))",
        "self._margin = 0.0",
        f"{_FLEET}test_cut_off.py",
    ),
    Mutant(
        "a worker's heart waits long on a dead connection",
        WORKER + "heart.py",
        "wait = max(_LEAST_WAIT, pause)",
        "wait = 30.0",
        f"{_FLEET}test_trouble.py -k dead",
    ),
    Mutant(
        "a rescue's grace outlives the lease",
        WORKER + "rescue.py",
        "min(grace, self._seconds_left())",
        "grace",
        "tests/faults/test_rescue_guards.py -k grace",
    ),
    Mutant(
        "PostgreSQL: a worker without a slot file is dead though it runs",
        "src/queuectl/store/postgres/proof.py",
        "is_locked(slot_dir, worker_id) is False",
        "not is_locked(slot_dir, worker_id)",
        "tests/store/test_rescue.py -k postgres",
    ),
    Mutant(
        "a worker of another home is dead with its process",
        "src/queuectl/store/postgres/proof.py",
        'if tuple(place) != here(slot_dir) or "" in (place[1], place[3]):',
        'if tuple(place)[:3] != here(slot_dir)[:3] or "" == place[1]:',
        f"{_FLEET}test_cut_off.py tests/postgres/test_leases.py",
    ),
    Mutant(
        "PostgreSQL: what falls due beyond one turn's measure has no order",
        _PG + "migrations/001_first.sql",
        "IF queuectl.promote(at, most) = most THEN",
        "IF queuectl.promote(at, most) < 0 THEN",
        "tests/store/test_due.py -k postgres",
    ),
    Mutant(
        "PostgreSQL: what is much and goes on is given up",
        _PG + "wire.py",
        "                    self._connection.renew()  # much takes long, and goes on\n",
        "",
        "tests/postgres/test_wire.py",
    ),
    Mutant(
        "PostgreSQL: who stops in the middle keeps its locks",
        _PG + "wire.py",
        "            self._sync()\n        if self._error",
        "            self._pg.send_flush_request()\n            self._receive()\n"
        "        if self._error",
        "tests/postgres/test_connection.py",
    ),
]
