"""The command line in this process, in a directory where a canary would be seen."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from queuectl.cli.main import command_line
from queuectl.model import Filter
from queuectl.records import Record
from queuectl.store import open_store
from queuectl.text import visible

from .hostile import CANARY


class Said(Record):
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Desk:
    """One store, and `queuectl` on it. `check` after each attack."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.db = str(folder / "store" / "queue.db")
        self.store = open_store(self.db)
        self._tables = self._look("SELECT type, name, sql FROM sqlite_master ORDER BY name")

    def run(self, *words: str, input: bytes = b"") -> Said:
        """A command on the desk's store, in this process."""
        return self.run_anywhere("--db", self.db, *words, input=input)

    def run_anywhere(self, *words: str, input: bytes = b"") -> Said:
        """A command line."""
        with _streams(self.folder / "input", input) as (out, err):
            code = command_line(list(words))
            return Said(code, out.getvalue().decode(), err.getvalue().decode())

    def jobs(self) -> int:
        return sum(self.store.stats().counts.values())

    def ids(self) -> list[str]:
        return [job.id for job in self.store.list_jobs(Filter())]

    def check(self) -> None:
        """Nothing was run, and the store is what it was."""
        assert not (self.folder / CANARY).exists()
        assert self._look("PRAGMA integrity_check") == [("ok",)]
        assert (
            self._look("SELECT type, name, sql FROM sqlite_master ORDER BY name")
            == self._tables
        )

    def _look(self, statement: str) -> list[tuple[object, ...]]:
        connection = apsw.Connection(self.db)
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    def close(self) -> None:
        self.store.close()


def is_refusal(said: Said, *codes: int) -> None:
    """One clear line (and a hint) on stderr, nothing on stdout, no traceback."""
    assert said.code in (codes or (2,)), said
    assert said.out == "", said
    lines = said.err.splitlines()
    assert 1 <= len(lines) <= 2, said
    assert lines[0].startswith("queuectl: "), said
    assert visible(said.err.replace("\n", "")) == said.err.replace("\n", ""), said


@contextmanager
def _streams(file: Path, input: bytes) -> Iterator[tuple[io.BytesIO, io.BytesIO]]:
    """Standard input, output and error of one command."""
    before = sys.stdin, sys.stdout, sys.stderr
    out, err = io.BytesIO(), io.BytesIO()
    file.write_bytes(input)
    kept = os.dup(0)
    with file.open("rb") as source:
        os.dup2(source.fileno(), 0)
    sys.stdout = io.TextIOWrapper(out, encoding="utf-8", write_through=True)
    sys.stderr = io.TextIOWrapper(err, encoding="utf-8", write_through=True)
    try:
        yield out, err
    finally:
        sys.stdin, sys.stdout, sys.stderr = before
        os.dup2(kept, 0)
        os.close(kept)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """A new store, and a work folder with nothing in it to stand in."""
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("QUEUECTL_DB", raising=False)
    desk = Desk(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield desk
    desk.check()
    desk.close()
