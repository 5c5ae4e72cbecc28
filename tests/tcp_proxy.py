"""A TCP proxy between a client and a server of the tests, to cut, to stall and to delay."""

from __future__ import annotations

import contextlib
import heapq
import selectors
import socket
import threading
import time
from collections.abc import Iterator


class TcpProxy:
    """Listens on `port` of 127.0.0.1 and passes everything to the target.

    `delay` is the seconds that each way takes, `rate` the bytes a second that pass. While
    `stalled` nothing passes and nothing is closed: a half-open connection. While `muted` only
    answers don't pass: the server does what it is told, and nobody learns of it. `cut()` resets
    what is open; after `forget()` nothing passes on what is open, and neither end is told.
    """

    def __init__(self, target_port: int, delay: float = 0.0) -> None:
        self.delay = delay
        self.rate = float("inf")
        self.stalled = False
        self.muted = False
        self.refuse = False
        self._target = ("127.0.0.1", target_port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._servers: set[socket.socket] = set()
        self._late: list[tuple[float, int, socket.socket, bytes]] = []
        self._number = 0
        self._forgotten: set[socket.socket] = set()
        self._cut = False
        self._is_cut = threading.Event()
        self._over = False
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self) -> None:
        """Reset every connection."""
        self._is_cut.clear()
        self._cut = True
        self._waker.send(b"!")
        if self._thread.is_alive():
            assert self._is_cut.wait(20)

    def forget(self) -> None:
        """What a firewall does that was started anew."""
        self._forgotten |= set(self._pairs)

    def close(self) -> None:
        self._over = True
        with contextlib.suppress(OSError):
            self._waker.send(b"!")
        self._thread.join(5)

    def _run(self) -> None:
        while not self._over:
            pause = max(0.0, self._late[0][0] - time.monotonic()) if self._late else 0.05
            for key, _events in self._selector.select(min(pause, 0.05)):
                source = key.fileobj
                assert isinstance(source, socket.socket)
                if source is self._listener:
                    self._accept()
                elif source is self._wake:
                    source.recv(100)
                elif self.stalled or (self.muted and source in self._servers):
                    time.sleep(0.001)
                elif source in self._forgotten:
                    self._selector.unregister(source)
                else:
                    self._take(source)
            if self._cut:
                for end in list(self._pairs):
                    self._drop(end)
                self._cut = False
                self._is_cut.set()
            self._deliver()
        for end in list(self._pairs):
            self._drop(end)
        for end in (self._listener, self._wake, self._waker):
            end.close()
        self._selector.close()

    def _accept(self) -> None:
        client, _address = self._listener.accept()
        if self.refuse:
            client.close()
            return
        try:
            server = socket.create_connection(self._target, 5)
        except OSError:
            client.close()
            return
        self._servers.add(server)
        for end, other in ((client, server), (server, client)):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pairs[end] = other
            self._selector.register(end, selectors.EVENT_READ)

    def _take(self, source: socket.socket) -> None:
        other = self._pairs.get(source)
        if other is None:
            return
        try:
            data = source.recv(65536)
        except OSError:
            data = b""
        time.sleep(len(data) / self.rate)
        self._number += 1
        heapq.heappush(self._late, (time.monotonic() + self.delay, self._number, source, data))
        if not data:
            self._selector.unregister(source)

    def _deliver(self) -> None:
        while self._late and not self.stalled and self._late[0][0] <= time.monotonic():
            _at, _number, source, data = heapq.heappop(self._late)
            other = self._pairs.get(source)
            if other is None:
                continue
            if not data:
                self._drop(source)
                continue
            with contextlib.suppress(OSError):
                other.sendall(data)

    def _drop(self, end: socket.socket) -> None:
        other = self._pairs.pop(end, None)
        if other is None:
            return
        self._pairs.pop(other, None)
        for side in (end, other):
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(side)
            self._servers.discard(side)
            self._forgotten.discard(side)
            side.close()


@contextlib.contextmanager
def tcp_proxy(target_port: int, delay: float = 0.0) -> Iterator[TcpProxy]:
    """One for the block."""
    proxy = TcpProxy(target_port, delay)
    try:
        yield proxy
    finally:
        proxy.close()
