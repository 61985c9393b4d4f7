"""Open compressed files for reading: gzip, zstd, bzip2 and xz, with a bound on memory and no silent truncation."""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import zstandard

MAX_INPUT_BYTES = 2048
"""Compressed bytes decoded at a time. 4 bytes of zstd can stand for 128 KiB, so that 2 KiB give at most 64 MiB."""

MAX_OUTPUT_BYTES = 1 << 20
"""Bytes that bzip2 and xz give at a time; a few bytes of bzip2 can stand for 46 MB."""

MAX_ZSTD_WINDOW = 2**31
"""The largest window that zstd has (`--ultra --long=31`), as in dumps of whole platforms."""


class DamagedStreamError(EOFError):
    """A compressed stream is damaged, or ends before its end."""


def _zstd() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW).decompressobj()


def _gzip() -> Any:
    return zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    ".zst": _zstd,
    ".gz": _gzip,
    ".bz2": bz2.BZ2Decompressor,
    ".xz": lzma.LZMADecompressor,
}

_MAGIC = {b"\x28\xb5\x2f\xfd": ".zst", b"\x1f\x8b\x08": ".gz", b"BZh91AY&SY": ".bz2", b"\xfd7zXZ\x00": ".xz"}
"""First bytes of compressed files; no text begins so."""

COMPRESSION_SUFFIXES = tuple(_DECOMPRESSORS)


def open_binary(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed if its first bytes or its suffix (`COMPRESSION_SUFFIXES`) say so.

    Reading raises `DamagedStreamError` where a compressed file is damaged or truncated.
    """
    raw = path.open("rb")
    start = raw.peek(max(map(len, _MAGIC)))
    found = next((suffix for magic, suffix in _MAGIC.items() if start.startswith(magic)), path.suffix.lower())
    decompressor = _DECOMPRESSORS.get(found)
    return io.BufferedReader(_MemberReader(raw, decompressor), 1 << 17) if decompressor else raw


class _MemberReader(io.RawIOBase):
    """Reader of concatenated compressed members (zstd calls them frames, xz streams).

    The readers of zstandard, gzip and bz2 take a truncated frame, or garbage after a member, for the end of the file.
    """

    def __init__(self, raw: IO[bytes], new_member: Callable[[], Any]) -> None:
        self._raw, self._new_member = raw, new_member
        self._member: Any = None
        self._input, self._ready = memoryview(b""), memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._raw.close()
        super().close()

    def readinto(self, target: Any) -> int:
        try:
            while not self._ready:
                if not self._input and not self._has_output():
                    self._input = memoryview(self._raw.read(1 << 17))
                    if not self._input:
                        return self._end()
                self._ready = memoryview(self._decompress())
        except DamagedStreamError:
            raise
        except (zstandard.ZstdError, zlib.error, OSError, ValueError, lzma.LZMAError) as fault:
            raise DamagedStreamError("a compressed stream is damaged") from fault
        size = min(len(target), len(self._ready))
        target[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _has_output(self) -> bool:
        """Whether the decompressor holds output that it gives without further input (bzip2, xz)."""
        return not (self._member is None or self._member.eof or getattr(self._member, "needs_input", True))

    def _decompress(self) -> bytes:
        if self._has_output():
            return cast(bytes, self._member.decompress(b"", MAX_OUTPUT_BYTES))
        piece = bytes(self._input[:MAX_INPUT_BYTES])
        if self._member is None or self._member.eof:
            padded, piece = piece, piece.lstrip(b"\0")  # tape and xz allow padding between members
            self._input = self._input[len(padded) - len(piece) :]
            if not piece:
                return b""
            self._member = self._new_member()
        limit = (MAX_OUTPUT_BYTES,) if hasattr(self._member, "needs_input") else ()
        ready: bytes = self._member.decompress(piece, *limit)
        self._input = self._input[len(piece) - len(self._member.unused_data) :]
        return ready

    def _end(self) -> int:
        if self._member is None or not self._member.eof:  # an empty file has no member either
            raise DamagedStreamError("a compressed stream is truncated")
        return 0
