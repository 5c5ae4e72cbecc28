"""Hosts with a kernel's eyes: each a network, a process table and a name of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest

from faults.arena import until
from faults.processes import Host
from postgres_server import PostgresServer

from .fleet import Fleet

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def _find(*programs: str) -> list[str]:
    return [shutil.which(name, path=_PATH) or "" for name in programs]


class Network:
    """For each host a namespace and a pair of veths, the near end of which has an address
    for the server. Gone when it is closed, with everything that ran there."""

    def __init__(self, names: list[str]) -> None:
        self._ip, self._unshare, self._nsenter = _find("ip", "unshare", "nsenter")
        if os.getuid() != 0 or "" in (self._ip, self._unshare, self._nsenter):
            pytest.skip("needs root, iproute2 and util-linux for network namespaces")
        self._names = names
        self._made: list[str] = []
        self._inits: dict[str, subprocess.Popen[bytes]] = {}

    def server_address(self, name: str) -> str:
        """Where the host finds the server; its own is the next one."""
        high, low = divmod(os.getpid() % 16384, 256)
        return f"10.{192 + high}.{low}.{4 * self._names.index(name) + 1}"

    def _unique(self, name: str) -> str:
        return f"q{os.getpid()}{name}"

    def _do(self, *words: str) -> None:
        done = subprocess.run([self._ip, *words], capture_output=True, check=False)
        if done.returncode:
            raise OSError(f"ip {' '.join(words)}: {done.stderr.decode().strip()}")

    def open(self) -> None:
        """Make it, or skip where the kernel does not let us."""
        try:
            for name in self._names:
                self._add(name)
        except OSError as error:
            pytest.skip(f"needs network namespaces: {error}")

    def _add(self, name: str) -> None:
        space, near, far = (
            self._unique(name),
            self._unique(f"{name}0"),
            self._unique(f"{name}1"),
        )
        address = self.server_address(name)
        head, _dot, last = address.rpartition(".")
        self._do("netns", "add", space)
        self._made.append(name)
        self._do("link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
        self._do("address", "add", f"{address}/30", "dev", near)
        self._do("link", "set", near, "up")
        self._do("-n", space, "address", "add", f"{head}.{int(last) + 1}/30", "dev", far)
        self._do("-n", space, "link", "set", far, "up")
        script = 'echo "$0" > /proc/sys/kernel/hostname; echo ready; while :; do sleep 60; done'
        init = subprocess.Popen(
            [self._ip, "netns", "exec", space, self._unshare, "--uts", "--pid", "--fork",
             "--kill-child", "--mount-proc", "sh", "-c", script, f"host-{name}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._inits[name] = init
        assert init.stdout is not None
        if init.stdout.readline() != b"ready\n":
            raise OSError("unshare did not do")

    def way(self, name: str) -> tuple[str, ...]:
        """What leads into the host."""
        (pid,) = _children(self._inits[name].pid)
        return (self._nsenter, "-t", str(pid), "--uts", "--pid", "--net", "--mount", "--")

    def set_link(self, name: str, state: str) -> None:
        """Down, the host hears nothing and is told nothing: no reset, no refusal."""
        self._do("link", "set", self._unique(f"{name}0"), state)

    def close(self) -> None:
        for init in self._inits.values():
            for pid in _children(init.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)  # the kernel ends all that ran there
            init.kill()
            init.wait()
            if init.stdout:
                init.stdout.close()
        for name in self._made:
            with contextlib.suppress(OSError):
                self._do("link", "delete", self._unique(f"{name}0"))
            with contextlib.suppress(OSError):
                self._do("netns", "delete", self._unique(name))


def _children(pid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []


@contextlib.contextmanager
def real_hosts(
    *names: str,
) -> Iterator[tuple[Fleet, dict[str, Host], Network]]:
    """A fleet of them, on a server that listens where they can reach it."""
    network = Network(list(names))
    server: PostgresServer | None = None
    try:
        network.open()
        addresses = [network.server_address(name) for name in names]
        server = PostgresServer(listen_addresses=",".join(["127.0.0.1", *addresses]))
        for address in addresses:
            server.admit(f"{address}/30")
        with Fleet(server) as fleet:
            hosts = {}
            for name in names:
                url = f"postgresql://postgres@{network.server_address(name)}:{server.port}"
                way = network.way(name)
                hosts[name] = fleet.host_at(name, f"{url}/{fleet.database}", way)
            try:
                yield fleet, hosts, network
            finally:
                network.close()
                until(lambda: not fleet.processes(), 5)
    finally:
        network.close()
        if server is not None:
            server.remove()
