"""The store of a fleet: a schema in a PostgreSQL database. Split as the SQLite store is:
what comes in (intake), the workers (engine), people (inquiry, verbs)."""

from __future__ import annotations

import os

from queuectl.config import Config, build
from queuectl.errors import StoreError
from queuectl.store.postgres import urls as urls
from queuectl.store.postgres.database import Database, sql
from queuectl.store.postgres.engine import Engine
from queuectl.store.postgres.failures import again_after_conflicts
from queuectl.store.postgres.inquiry import Inquiry
from queuectl.store.postgres.intake import Intake
from queuectl.store.postgres.notify import Listener, Ringer
from queuectl.store.postgres.verbs import Verbs


class PostgresStore(Intake, Engine, Verbs, Inquiry):
    """See `queuectl.store.base.Store`. `home` is this user's folder on this host."""

    leases = True

    def __init__(self, url: str, home: str, wait_seconds: float = 30.0) -> None:
        self._db = Database(url, wait_seconds)
        self.url = self._db.url
        self._workers_dir = os.path.join(home, "workers")
        self._named(self._db.uid)
        self.log_dir = os.path.join(home, "logs")
        self._captures = {}
        self._waiters = set()
        self._handed = {}
        self._ringer: Ringer | None = None

    def _named(self, uid: str) -> None:
        self.uid = uid
        self.slot_dir = os.path.join(self._workers_dir, uid)

    @again_after_conflicts
    def settle_in(self) -> None:
        with self._db.read():
            is_copy = self._db.is_copy()
        if is_copy:
            with self._db.write():
                self._db.rename()
        self._named(self._db.uid)

    def close(self) -> None:
        if self._ringer is not None:
            self._ringer.close()
        self._db.close()

    def config(self) -> Config:
        with self._db.read():
            rows = self._db.execute(sql("config"))
        return build(dict(rows.fetchall()))

    def set_config(self, key: str, text: str | None) -> None:
        with self._db.write():
            if text is None:
                self._db.execute(sql("unset_config"), (key,))
            else:
                self._db.execute(sql("set_config"), (key, text))

    def change_mark(self) -> object:
        try:
            return self._db.execute_alone(sql("change_mark"))
        except StoreError:
            return object()  # it may have changed: who asks further learns what is wrong

    def listen(self) -> Listener | None:
        """Hear `announce` from any host. None behind a pooler, which passes nothing on."""
        if not self._db.is_direct:
            return None
        return Listener(self._db.parameters, self.uid, self._db.wait_seconds)

    def announce(self) -> None:
        """Wake the workers that listen: there is something to claim. To be called after
        the enqueue, for NOTIFY holds a lock over its commit that the whole server shares."""
        if self._ringer is None:
            self._ringer = Ringer(self._db, self.uid)
        self._ringer.ring()
