"""All operations together."""

from __future__ import annotations

from queuectl.store.sqlite.database import sql
from queuectl.store.sqlite.engine import Engine
from queuectl.store.sqlite.inquiry import Inquiry
from queuectl.store.sqlite.intake import SqliteIntake
from queuectl.store.sqlite.verbs import Verbs


class SqliteStore(SqliteIntake, Engine, Verbs, Inquiry):
    """See `queuectl.store.base.Store`."""

    def __init__(self, path: str, log_dir: str, wait_seconds: float = 30.0) -> None:
        super().__init__(path, wait_seconds)
        self.log_dir = log_dir
        self._captures = {}
        self._queue_names = {}

    def set_config(self, key: str, text: str | None) -> None:
        with self._db.write():
            if text is None:
                self._db.execute(sql("unset_config"), (key,))
            else:
                self._db.execute(sql("set_config"), (key, text))

    def give_way(self) -> None:
        self._db.give_way()

    def change_mark(self) -> object:
        return self._db.change_mark()
