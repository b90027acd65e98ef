"""A cable between device and broker that tests can pull, hold, and make slow."""

from __future__ import annotations

import queue
import select
import socket
import struct
import threading
import time

WAIT_S = 15.0


class Cable:
    """A TCP relay in front of a broker: pulled it breaks all connections, held it lets nothing back to the device, slow
    it takes so many bytes a second from the device."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._ears, self._voice = socket.socketpair()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._far: set[socket.socket] = set()
        self._orders: queue.SimpleQueue[tuple[str, threading.Event]] = queue.SimpleQueue()
        self._plugged, self._held, self._open = True, False, True
        self._bytes_per_s: float | None = None
        self._rest_until = 0.0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def pull(self) -> None:
        self._order("pull")

    def plug(self) -> None:
        self._order("plug")

    def hold(self) -> None:
        self._order("hold")

    def release(self) -> None:
        self._order("release")

    def slow(self, bytes_per_s: float | None) -> None:
        """From now on take so many bytes a second from the device; None: as many as it gives."""
        self._bytes_per_s, self._rest_until = bytes_per_s, 0.0
        self._order("slow")

    def close(self) -> None:
        self._order("close")
        self._thread.join(WAIT_S)
        for end in (self._listener, self._ears, self._voice):
            end.close()

    def _order(self, what: str) -> None:
        done = threading.Event()
        self._orders.put((what, done))
        self._voice.send(b".")
        assert done.wait(WAIT_S)

    def _run(self) -> None:
        while self._open:
            rest_s = max(0.0, self._rest_until - time.monotonic())
            idle = self._far if self._held else set()
            if rest_s:
                idle = idle | (set(self._peers) - self._far)
            sources = [end for end in self._peers if end not in idle]
            for end in select.select([self._listener, self._ears, *sources], [], [], rest_s or None)[0]:
                if end is self._ears:
                    self._ears.recv(1)
                    self._obey(*self._orders.get())
                elif end is self._listener:
                    self._accept()
                elif end in self._peers:
                    self._relay(end)

    def _obey(self, what: str, done: threading.Event) -> None:
        if what in ("pull", "close"):
            for end in list(self._peers):
                # A reset, not the orderly end that a broker gives to a connection of which it wants no more.
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._drop(end)
        self._plugged = what == "plug" or (self._plugged and what != "pull")
        self._held = what == "hold" or (self._held and what != "release")
        self._open = what != "close"
        done.set()

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            if not self._plugged:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
        else:
            # Small buffers: what a slow line cannot take yet must wait in the device, not in this machine's kernel.
            near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            self._far.add(far)
            self._peers |= {near: far, far: near}

    def _relay(self, source: socket.socket) -> None:
        try:
            data = source.recv(65536 if source in self._far or self._bytes_per_s is None else 512)
            if data:
                if source not in self._far and self._bytes_per_s is not None:
                    self._rest_until = time.monotonic() + len(data) / self._bytes_per_s
                self._peers[source].sendall(data)
                return
        except OSError:
            pass
        sink = self._peers[source]
        self._drop(source)
        self._drop(sink)

    def _drop(self, end: socket.socket) -> None:
        del self._peers[end]
        self._far.discard(end)
        end.close()
