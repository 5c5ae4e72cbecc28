"""The guards of the SQLite store, and of what is charged."""

from __future__ import annotations

from .mutant import WORKER, Mutant

_SQL = "src/queuectl/store/sqlite/sql/"
_LITE = "src/queuectl/store/sqlite/"
_FINISH = "tests/store/test_finish.py -k sqlite"
_STALE = "tests/store/test_stale.py -k sqlite"
_RESCUE = "tests/store/test_rescue.py -k sqlite"
_OUTPUT = "tests/store/test_output.py -k sqlite"
_RACES = "tests/store/test_races_for_runs.py -k sqlite"
_NTH = "tests/faults/test_nth_operation.py"
_POWER = "tests/faults/test_power_cut.py"
_TROUBLE = "tests/faults/test_trouble.py"
_STORE = "tests/faults/test_store_guards.py"

SQLITE = [
    # tokens and states, in the store
    Mutant(
        "a finish needs no token",
        _SQL + "finish.sql",
        "AND token = ?2 AND state = 'processing'",
        "AND state = 'processing'",
        _FINISH,
    ),
    Mutant(
        "a finish needs no state",
        _SQL + "finish.sql",
        "AND token = ?2 AND state = 'processing'",
        "AND token = ?2",
        _FINISH,
    ),
    Mutant(
        "a repeated finish may have another end",
        _SQL + "was_finished.sql",
        " AND outcome = ?2 AND finished_at = ?3",
        "",
        _FINISH,
    ),
    Mutant(
        "a repeated finish may have another time",
        _SQL + "was_finished.sql",
        " AND finished_at = ?3",
        " AND ?3",
        _STORE,
    ),
    Mutant(
        "a finish given twice in one turn counts twice",
        _LITE + "ends.py",
        "if finish.token in recorded and finish.token not in fresh:",
        "if finish.token in recorded:",
        _FINISH,
    ),
    Mutant(
        "output needs no token",
        _SQL + "is_current.sql",
        " AND token = ?2",
        " AND ?2",
        _STORE,
    ),
    Mutant(
        "output needs no state",
        _SQL + "is_current.sql",
        " AND state = 'processing'",
        "",
        _OUTPUT,
    ),
    Mutant(
        "output needs no worker",
        _SQL + "is_current.sql",
        "worker_id = ?1 AND",
        "?1 AND",
        _OUTPUT,
    ),
    Mutant(
        "held needs no state",
        _SQL + "held.sql",
        " AND state = 'processing'",
        "",
        "tests/store/test_finish.py tests/store/test_workers.py -k sqlite",
    ),
    Mutant(
        "held needs no worker",
        _SQL + "held.sql",
        "worker_id = ?1 AND",
        "?1 AND",
        _FINISH,
    ),
    Mutant(
        "a release needs no token",
        _LITE + "engine.py",
        "            for token in tokens:\n                if token in held:\n",
        "            for token in list(held):\n                if token in held:\n",
        "tests/store/test_stale.py tests/store/test_release.py -k sqlite",
    ),
    Mutant(
        "what runs is picked",
        _SQL + "pick.sql",
        "WHERE j.ready = 1 AND j.queue = ?1",
        "WHERE j.queue = ?1",
        "tests/store/test_claim.py -k sqlite",
    ),
    Mutant(
        "tokens repeat",
        _SQL + "take_numbers.sql",
        "token = token + ?2",
        "token = token",
        "tests/store/test_claim.py -k sqlite",
    ),
    Mutant(
        "a claim does not take the write lock first",
        _LITE + "database.py",
        '"BEGIN IMMEDIATE")\n        self._reading',
        '"BEGIN")\n        self._reading',
        _RACES,
    ),
    Mutant(
        "a rescued worker may turn",
        _LITE + "engine.py",
        '            raise WorkerGone(f"worker {worker_id} was rescued")\n        if row[3]',
        '            return None, (), ""\n        if row[3]',
        f"{_STALE}; {_RESCUE}",
    ),
    Mutant(
        "a rescued worker may renew",
        _LITE + "engine.py",
        "if not self._db.connection.changes():",
        "if False:",
        _STALE,
    ),
    Mutant(
        "a worker that holds jobs may leave",
        _LITE + "engine.py",
        "            if held:\n                raise Refused",
        "            if False:\n                raise Refused",
        "tests/store/test_workers.py -k sqlite",
    ),
    Mutant(
        "another pid namespace is welcome",
        _LITE + "engine.py",
        "if other.alive and other.pid_namespace != worker.pid_namespace:",
        "if False:",
        "tests/store/test_workers.py -k sqlite",
    ),
    Mutant(
        "jobs with one try are claimed ahead",
        _LITE + "engine.py",
        "if row[7] <= 1:",
        "if False:",
        "tests/store/test_claim.py -k sqlite",
    ),
    Mutant(
        "a running job can be deleted",
        _LITE + "verbs.py",
        "if state == PROCESSING or (only and state not in only):",
        "if only and state not in only:",
        "tests/store/test_retry_delete_prune.py -k sqlite",
    ),
    Mutant(
        "a running job can be revived",
        _LITE + "verbs.py",
        "if state == PROCESSING or (state == COMPLETED and not again):",
        "if state == COMPLETED and not again:",
        "tests/store/test_retry_delete_prune.py -k sqlite",
    ),
    Mutant(
        "a job that is to be cancelled runs again",
        _SQL + "finish.sql",
        "ready = CASE WHEN cancel = 1 THEN NULL ELSE ?4 END",
        "ready = ?4",
        "tests/store/test_cancel.py -k sqlite",
    ),
    # what is charged
    Mutant(
        "a run cut off is never charged",
        "src/queuectl/transitions.py",
        "if kind == RELEASED and policy.limit > 1:",
        "if kind == RELEASED:",
        f"tests/test_transitions.py; {_FINISH}",
    ),
    Mutant(
        "one run more than allowed",
        "src/queuectl/transitions.py",
        "if charged >= policy.limit:",
        "if charged > policy.limit:",
        f"tests/test_transitions.py; {_FINISH}",
    ),
    Mutant(
        "rescue charges nobody",
        _LITE + "engine.py",
        "if token in never_started:",
        "if True:",
        _RESCUE,
    ),
    Mutant(
        "rescue charges everybody",
        _LITE + "engine.py",
        "if token in never_started:",
        "if False:",
        _RESCUE,
    ),
    Mutant(
        "rescue forgets that a run was to be cancelled",
        _LITE + "engine.py",
        'if cancel else (LOST, "its worker died")',
        'if False else (LOST, "its worker died")',
        _RESCUE,
    ),
    Mutant(
        "rescue does not forget the worker",
        _LITE + "engine.py",
        "settled.append(job_id)\n"
        '            self._db.execute(sql("delete_worker"), (worker_id,))',
        "settled.append(job_id)",
        _RESCUE,
    ),
    Mutant(
        "a file of another boot is believed",
        WORKER + "slots.py",
        "if not content or not _is_here(content):",
        "if not content:",
        "tests/worker/test_slots.py",
    ),
    Mutant(
        "an end is taken for recorded before it is",
        WORKER + "runs.py",
        '        reach("run.over")\n',
        '        reach("run.over")\n'
        "        self._slot_file.clear(self._entries[run.claim.token])\n",
        f"{_NTH} -k worker",
    ),
    Mutant(
        "a run is noted after its start",
        WORKER + "runs.py",
        "run.entry = self._slot_file.begin(claim.token, earliest)",
        "run.entry = self._slot_file.begin(0, earliest)",
        f"{_NTH} -k worker",
    ),
    # what is on the disk
    Mutant(
        "commits are not synced",
        _LITE + "database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = NORMAL",
        f"{_POWER} tests/store/test_sqlite_opening.py",
    ),
    Mutant(
        "nothing is synced",
        _LITE + "database.py",
        "PRAGMA synchronous = FULL",
        "PRAGMA synchronous = OFF",
        _POWER,
    ),
    Mutant(
        "a commit that failed is taken for done",
        _LITE + "database.py",
        "self._roll_back()\n"
        "                raise store_error(failure, database.path) from failure",
        "self._roll_back()\n                return",
        f"{_NTH} -k operation",
    ),
    Mutant(
        "an operation that failed is not rolled back",
        _LITE + "database.py",
        "if self._database.connection.in_transaction:",
        "if False:",
        "tests/store/test_enqueue.py -k sqlite",
    ),
    Mutant(
        "counts are not saved with what they count",
        _LITE + "shared.py",
        "                self._save()\n            except",
        "                pass\n            except",
        _FINISH,
    ),
    Mutant(
        "the file is opened and closed again",
        _LITE + "database.py",
        "if os.path.exists(path):\n        return\n",
        "if os.path.exists(path):\n        os.close(os.open(path, 2))\n        return\n",
        f"{_TROUBLE} -k connection",
    ),
    Mutant(
        "an I/O error while looking for changes is not caught",
        _LITE + "database.py",
        "except apsw.Error:  # busy, or worse: whoever asks further will hear",
        "except apsw.BusyError:",
        f"{_TROUBLE} -k mark",
    ),
    # order
    Mutant(
        "what falls due beyond one turn's measure has no order",
        _LITE + "engine.py",
        "if self._db.connection.changes() == PROMOTED_A_TURN:",
        "if False:",
        "tests/store/test_due.py -k sqlite",
    ),
    Mutant(
        "a worker's share of what is ready is all",
        _LITE + "engine.py",
        "(found - most) // parts",
        "found - most",
        "tests/store/test_plenty.py -k sqlite",
    ),
]
