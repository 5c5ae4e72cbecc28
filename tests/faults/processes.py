"""The processes of an arena: where they are started, and which of those alive are its own."""

from __future__ import annotations

import os
from typing import NamedTuple


class Process(NamedTuple):
    """One that carries the arena's mark; `kind` is worker, supervisor, guard, cli or job."""

    pid: int
    kind: str
    parent: int
    host: str


class Host(NamedTuple):
    """Where a process is started: what it has in its environment, and what leads there."""

    name: str = "here"
    env: dict[str, str] = {}  # noqa: RUF012 - never changed
    way: tuple[str, ...] = ()


HERE = Host()


def processes_of(folder: str) -> list[Process]:
    """Everything alive that belongs to the arena in that folder: zombies don't."""
    mark = f"ARENA={folder}".encode()
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            environ = _read(f"/proc/{name}/environ").split(b"\0")
            if mark not in environ:
                continue
            command = _read(f"/proc/{name}/cmdline").decode("utf-8", "replace")
            stat = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
        except OSError:
            continue
        if stat and stat[0] not in b"ZX":
            found.append(
                Process(int(name), _kind(environ, command), int(stat[1]), _host(environ))
            )
    # What a worker is just starting looks like itself until the exec.
    workers = {process.pid for process in found if process.kind == "worker"}
    return [
        p._replace(kind="job") if p.kind == "worker" and p.parent in workers else p
        for p in found
    ]


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _kind(environ: list[bytes], command: str) -> str:
    if any(line.startswith(b"QUEUECTL_RUN=") for line in environ):
        return "job"
    if "queuectl.worker.main" in command:
        return "worker"
    if "queuectl.worker.guard" in command:
        return "guard"
    return "supervisor" if "worker\0start" in command else "cli"


def _host(environ: list[bytes]) -> str:
    for line in environ:
        if line.startswith(b"ARENA_HOST="):
            return line.partition(b"=")[2].decode()
    return HERE.name
