"""The store of one host: a SQLite file. One operation of the contract a method, split by
who calls it: what comes in (intake), the workers (engine), people (inquiry, verbs)."""

from __future__ import annotations

import os

from queuectl.config import Config, build
from queuectl.store.sqlite.database import Database, sql
from queuectl.store.sqlite.engine import Engine
from queuectl.store.sqlite.inquiry import Inquiry
from queuectl.store.sqlite.intake import Intake
from queuectl.store.sqlite.verbs import Verbs


class SqliteStore(Intake, Engine, Verbs, Inquiry):
    """See `queuectl.store.base.Store`."""

    leases = False

    def __init__(self, path: str, log_dir: str, wait_seconds: float = 30.0) -> None:
        self._db = Database(path, wait_seconds)
        self.url = self._db.path
        self.uid = self._db.uid
        self.slot_dir = self._db.path + "-workers"
        self.log_dir = log_dir
        self._captures = {}
        self._queue_names = {}

    def close(self) -> None:
        if not os.path.isdir(self.slot_dir):  # no worker is there to keep it short
            self._db.shorten_log()
        self._db.close()

    def config(self) -> Config:
        with self._db.read():
            return build(dict(self._db.execute(sql("config"))))

    def set_config(self, key: str, text: str | None) -> None:
        with self._db.write():
            if text is None:
                self._db.execute(sql("unset_config"), (key,))
            else:
                self._db.execute(sql("set_config"), (key, text))

    def change_mark(self) -> object:
        return self._db.change_mark()
