"""A PgBouncer in transaction mode, in front of the tests' server.

The one that `make test` has unpacked (get_pgbouncer.sh), else the system's;
`QUEUECTL_TEST_PGBOUNCER` names another program.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import pytest

from postgres_server import PostgresServer

_CONFIG = """
[databases]
* = host=127.0.0.1 port={server} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 3
server_idle_timeout = 1
"""
_UNPACKED = f"{sys.prefix}/pgbouncer"


@contextlib.contextmanager
def pgbouncer(server: PostgresServer) -> Iterator[int]:
    """The port of one for the block."""
    program = find_program()
    if program is None:
        pytest.skip("needs PgBouncer: make test fetches it where apt-get can")
    folder = tempfile.mkdtemp(prefix="qpgb", dir="/tmp")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = f"{folder}/pgbouncer.ini"
    with open(path, "w", encoding="ascii") as file:
        file.write(_CONFIG.format(server=server.port, port=port))
        if os.getuid() == 0:  # as whom it refuses to run
            file.write("user = nobody\n")
    libraries = glob.glob(f"{_UNPACKED}/usr/lib/*")
    with open(f"{folder}/log", "wb") as log:
        process = subprocess.Popen(
            [program, path],
            env=os.environ | {"LD_LIBRARY_PATH": ":".join(libraries)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        _wait_for(port, process)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)


def find_program() -> str | None:
    """The path of it, if there is one."""
    unpacked = f"{_UNPACKED}/usr/sbin/pgbouncer"
    return (
        os.environ.get("QUEUECTL_TEST_PGBOUNCER")
        or (unpacked if os.path.exists(unpacked) else None)
        or shutil.which("pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin")
    )


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, "PgBouncer did not start"
            assert time.monotonic() < deadline
            time.sleep(0.02)
