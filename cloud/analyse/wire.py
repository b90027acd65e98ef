"""What service and child process say to each other over a socket pair: MessagePack with its length in front."""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

_LENGTH = struct.Struct("<I")
MAX_MESSAGE = 64_000_000
"""Bytes. A child that has been taken over by a file must not fill the service's memory."""


def send(connection: socket.socket, message: Any, *, fds: tuple[int, ...] = ()) -> None:
    """Send a message, and open files with it. Raises OSError if the other side is gone."""
    packed = msgspec.msgpack.encode(message)
    header = _LENGTH.pack(len(packed))
    if fds:
        socket.send_fds(connection, [header], list(fds))
    else:
        connection.sendall(header)
    connection.sendall(packed)


def receive(connection: socket.socket, *, max_fds: int = 0) -> tuple[Any, list[int]]:
    """Return the next message and the open files that came with it.

    Raises EOFError if the other side is gone, ValueError if it sends nonsense, TimeoutError by the socket's timeout.
    """
    header, fds, _, _ = socket.recv_fds(connection, _LENGTH.size, max_fds)
    if not header:
        raise EOFError
    header += _exactly(connection, _LENGTH.size - len(header))
    (length,) = _LENGTH.unpack(header)
    if length > MAX_MESSAGE:
        raise ValueError(f"a message of {length} bytes")
    return msgspec.msgpack.decode(_exactly(connection, length)), list(fds)


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
