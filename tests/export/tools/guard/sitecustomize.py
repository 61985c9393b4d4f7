"""Blocks every connection but to this machine, in each Python of the tools."""

from __future__ import annotations

import socket

_connect, _lookup = socket.socket.connect, socket.getaddrinfo
_LOCAL = {"127.0.0.1", "::1", "localhost"}


def _local_connect(self: socket.socket, address: object) -> None:
    if self.family != socket.AF_UNIX and address[0] not in _LOCAL:  # type: ignore[index]
        raise ConnectionRefusedError(f"blocked by the tests: a connection to {address}")
    _connect(self, address)


def _local_lookup(host: object, *arguments: object, **options: object) -> object:
    if host not in _LOCAL:
        raise socket.gaierror(f"blocked by the tests: a look-up of {host}")
    return _lookup(host, *arguments, **options)


socket.socket.connect = _local_connect
socket.getaddrinfo = _local_lookup
