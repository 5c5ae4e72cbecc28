"""Files that can't be a store, and how a store's own files lie on the disk."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from queuectl.errors import STORE_FAILED, QueuectlError, StoreError, StoreGone, StoreTooNew
from queuectl.model import PENDING, Filter
from queuectl.store import open_store
from queuectl.store.sqlite.whole import SqliteStore

from .helpers import T0, a_job, add, audit, counted, states


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUEUECTL_HOME", str(tmp_path / "home"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(str(tmp_path / "queue.db"), str(tmp_path / "logs")) as store:
        yield store


def refusal(path: Path | str) -> StoreError:
    """The error of opening this; it must be clear and change nothing."""
    with pytest.raises(StoreError) as refused:
        open_store(str(path))
    error = refused.value
    assert error.exit_code == STORE_FAILED
    assert str(path) in error.message
    assert "\n" not in error.message
    return error


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert "directory" in refusal(tmp_path).message


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    refusal(tmp_path / "file" / "queue.db")


@pytest.mark.parametrize(
    "content", [b"not a database" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    assert "not a database" in refusal(path).message
    assert path.read_bytes() == content


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE photos (name TEXT)")
        database.execute("INSERT INTO photos VALUES ('x')")
    database.close()
    before = path.read_bytes()
    assert "something else" in refusal(path).message
    assert path.read_bytes() == before


def test_a_database_of_something_else_with_a_meta_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "photos.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE meta (photo TEXT, size INTEGER, name TEXT, value TEXT)")
        database.execute("CREATE TABLE jobs (x)")
    database.close()
    refusal(path)


def test_a_store_of_a_newer_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with open_store(str(path)) as store:
        add(store, "a")
    database = apsw.Connection(str(path))
    database.execute("UPDATE meta SET value = 1000 WHERE name IN ('version', 'min_compatible')")
    database.close()
    error = refusal(path)
    assert isinstance(error, StoreTooNew)
    assert "newer" in error.message
    assert error.hint


def test_a_newer_store_that_says_it_is_compatible_is_used(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with open_store(str(path)) as store:
        add(store, "a")
    database = apsw.Connection(str(path))
    database.execute("UPDATE meta SET value = 1000 WHERE name = 'version'")
    database.close()
    with open_store(str(path)) as store:
        assert states(store) == {"a": PENDING}
        add(store, "b")


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    path.touch()
    with open_store(str(path)) as store:
        add(store, "a")
        assert counted(store) == {PENDING: 1}


# -- rights ----------------------------------------------------------------------------------


def _open_as_an_ordinary_user(path: Path, answer: Any) -> None:
    if os.getuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    try:
        open_store(str(path)).close()
        answer.send(("opened", 0))
    except QueuectlError as error:
        answer.send((error.message, error.exit_code))
    except BaseException as error:
        answer.send((repr(error), None))


def as_an_ordinary_user(path: Path) -> tuple[str, int]:
    """What opening says to a user whom file modes bind (for root: to `nobody`)."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_open_as_an_ordinary_user, args=(path, theirs))
    process.start()
    assert ours.poll(30)
    answer = ours.recv()
    process.join(30)
    return answer


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may reach, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="queuectl-test-"))
    folder.chmod(0o755)
    yield folder
    folder.chmod(0o700)
    shutil.rmtree(folder)


@pytest.mark.parametrize("mode", [0o444, 0o000])
def test_a_file_without_the_rights_is_refused(open_folder: Path, mode: int) -> None:
    path = open_folder / "queue.db"
    open_store(str(path)).close()
    path.chmod(mode)
    message, code = as_an_ordinary_user(path)
    assert code == STORE_FAILED, message
    assert str(path) in message
    assert "ermission" in message or "read-only" in message


def test_a_folder_without_the_rights_is_refused(open_folder: Path) -> None:
    open_folder.chmod(0o555)
    message, code = as_an_ordinary_user(open_folder / "queue.db")
    assert code == STORE_FAILED, message
    assert "ermission" in message


def test_a_store_in_a_read_only_folder_is_refused(open_folder: Path) -> None:
    path = open_folder / "queue.db"
    open_store(str(path)).close()
    for leftover in open_folder.glob("queue.db-*"):
        leftover.unlink() if leftover.is_file() else leftover.rmdir()
    path.chmod(0o666)
    open_folder.chmod(0o555)
    message, code = as_an_ordinary_user(path)
    assert code == STORE_FAILED, message
    assert str(path) in message


@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777 - 0o700])
def test_files_and_folders_are_for_this_user_alone_whatever_the_umask(
    tmp_path: Path, umask: int
) -> None:
    old = os.umask(umask)
    try:
        path = tmp_path / "new" / "home" / "queue.db"
        with open_store(str(path)) as store:
            add(store, "a")
            modes = {
                file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()
            }
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    finally:
        os.umask(old)
    assert modes["queue.db"] == 0o600
    assert {mode & 0o077 for mode in modes.values()} == {0}


# -- durability ------------------------------------------------------------------------------


def test_a_commit_is_on_disk_when_it_returns(store: SqliteStore) -> None:
    database = store._db.connection
    assert database.execute("PRAGMA journal_mode").get == "wal"
    assert database.execute("PRAGMA synchronous").get == 2  # FULL: the log is synced
    assert add(store, "a") == ["a"]


def test_a_full_disk_is_refused_and_loses_nothing(store: SqliteStore) -> None:
    add(store, "a")
    database = store._db.connection
    pages = database.execute("PRAGMA page_count").get
    database.execute(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StoreError, match="disk is full") as refused:
        store.enqueue([a_job(command="x" * 10_000) for _ in range(50)], T0)
    assert refused.value.exit_code == STORE_FAILED
    assert states(store) == {"a": PENDING}
    database.execute("PRAGMA max_page_count = 1000000")
    store.enqueue([a_job(command="x" * 10_000) for _ in range(50)], T0)
    assert counted(store) == {PENDING: 51}
    assert database.execute("PRAGMA integrity_check").get == "ok"
    audit(store)


def test_a_disk_that_has_no_room_for_a_new_store_is_told_as_such(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, before[1]))
    try:
        with pytest.raises(StoreError, match="disk"):
            open_store(str(path))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with open_store(str(path)) as store:
        assert add(store, "a") == ["a"]


# -- a file that others no longer see --------------------------------------------------------


@pytest.mark.parametrize("harm", ["removed", "replaced", "moved with its folder"])
def test_a_store_that_is_no_more_under_its_name_takes_nothing(
    tmp_path: Path, harm: str
) -> None:
    folder = tmp_path / "place"
    path = str(folder / "queue.db")
    with SqliteStore(path, str(tmp_path / "logs")) as store:
        add(store, "a")
        mark = store.change_mark()
        assert store.change_mark() == mark
        if harm == "moved with its folder":
            folder.rename(tmp_path / "elsewhere")
        else:
            os.unlink(path)
        if harm == "replaced":
            Path(path).touch()
        assert store.change_mark() != store.change_mark()
        with pytest.raises(StoreGone, match="removed"):
            add(store, "b")
        with pytest.raises(StoreGone, match="removed"):
            store.get("a")


# -- locks -----------------------------------------------------------------------------------


def test_a_store_locked_beyond_the_deadline_is_refused(store: SqliteStore) -> None:
    add(store, "a")
    with SqliteStore(store.url, store.log_dir, wait_seconds=0.05) as hasty:
        blocker = apsw.Connection(store.url)
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked") as refused:
            add(hasty, "b")
        assert refused.value.exit_code == STORE_FAILED
        assert states(hasty) == {"a": PENDING}
        blocker.execute("ROLLBACK")
        add(hasty, "b")
        blocker.close()
    assert set(states(store)) == {"a", "b"}


def test_a_lock_that_ends_in_time_is_waited_for(store: SqliteStore) -> None:
    started = threading.Event()
    blocker = apsw.Connection(store.url)
    blocker.execute("BEGIN IMMEDIATE")

    def add_from_a_thread() -> None:
        with SqliteStore(store.url, store.log_dir, wait_seconds=30) as patient:
            started.set()
            add(patient, "a")

    thread = threading.Thread(target=add_from_a_thread)
    thread.start()
    assert started.wait(30)
    assert states(store) == {}
    blocker.execute("COMMIT")
    thread.join(30)
    assert states(store) == {"a": PENDING}
    blocker.close()


def test_readers_are_never_held_up_by_a_writer(store: SqliteStore) -> None:
    add(store, "a")
    with SqliteStore(store.url, store.log_dir, wait_seconds=0) as reader:
        blocker = apsw.Connection(store.url)
        blocker.execute("BEGIN IMMEDIATE; UPDATE jobs SET priority = 1")
        assert reader.get("a").priority == 5
        assert reader.stats().counts[PENDING] == 1
        assert len(reader.list_jobs(Filter())) == 1
        assert reader.config().max_retries == 3
        reader.change_mark()
        blocker.execute("ROLLBACK")
        blocker.close()


def test_every_error_of_the_store_is_one_of_ours(store: SqliteStore) -> None:
    store._db.connection.execute("DROP TABLE specs")
    with pytest.raises(QueuectlError):
        add(store, "a")
    assert store.stats().counts[PENDING] == 0


@pytest.mark.parametrize(
    "name", ["queue with spaces.db", "ünïcode.db", "a?b=c#d%20.db", "file:x"]
)
def test_odd_file_names_are_file_names(tmp_path: Path, name: str) -> None:
    with open_store(str(tmp_path / name)) as store:
        add(store, "a")
    assert (tmp_path / name).is_file()
    with open_store(str(tmp_path / name)) as store:
        assert states(store) == {"a": PENDING}


def test_sqlite_urls_are_relative_with_three_slashes_and_absolute_with_four(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///one.db") as store:
        assert store.url == str(tmp_path / "one.db")
    with open_store(f"sqlite:///{tmp_path}/two.db") as store:
        assert store.url == f"{tmp_path}/two.db"
