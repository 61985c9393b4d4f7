"""Decoded lines of a plain or compressed text file, with a bound on the length of a row."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from pathlib import Path

from mentallama.errors import DataError, UsageError
from mentallama.files.compression import DamagedStreamError, open_binary
from mentallama.files.record_files import MAX_ROW_CHARS
from mentallama.files.tables.rows import LONE_SURROGATE, too_long
from mentallama.text.repair import NUL_STAND_IN

_ENCODING_BY_BOM = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def open_text(path: Path, encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    """Open a file as text with its own line ends; a byte order mark overrides `encoding`.

    Raises
    ------
    UsageError
        There is no such encoding.
    """
    file = open_binary(path)
    try:
        start = file.peek(4) if isinstance(file, io.BufferedReader) else b""
        found = next((name for bom, name in _ENCODING_BY_BOM.items() if start.startswith(bom)), encoding)
        return io.TextIOWrapper(file, encoding=found, errors=errors, newline="")
    except DamagedStreamError:
        file.close()
        raise DataError("damaged or truncated at its start", path) from None
    except (LookupError, ValueError):
        file.close()
        raise UsageError(f"{path}: there is no encoding named {encoding!r}") from None


class TextLines:
    """Iterator over the lines of a file.

    Whoever reads rows from the lines calls `end_row` after each, so that errors name the row and its length is
    bounded. NUL bytes are replaced by `NUL_STAND_IN`.
    """

    def __init__(self, path: Path, encoding: str) -> None:
        self.path, self.rows = path, 0
        self._encoding = encoding
        self._text = open_text(path, encoding)
        self._line, self._row_chars = "", 0

    def __enter__(self) -> TextLines:
        return self

    def __exit__(self, *_: object) -> None:
        self._text.close()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._read(MAX_ROW_CHARS + 1, "readline")
        if not line:
            raise StopIteration
        if not self._line:  # files that are saved again and again have several byte order marks
            line = line.lstrip("\ufeff")
        self._line = line
        return line.replace("\0", NUL_STAND_IN)

    def read(self, size: int) -> str:
        """The next `size` characters, without regard to lines; "" at the end."""
        return self._read(size, "read")

    def _read(self, size: int, method: str) -> str:
        try:
            text: str = getattr(self._text, method)(size)
        except DamagedStreamError:
            raise DataError("damaged or truncated after this row", self.path, self.rows or None) from None
        except UnicodeDecodeError as fault:
            byte, location = fault.object[fault.start], self._locate_undecodable_line()
            raise DataError(
                f"byte 0x{byte:02x}{location} is not {self._encoding}; does the file have another encoding? "
                "Name it with --encoding, in a recipe with the key encoding",
                self.path,
            ) from None
        except UnicodeError:  # UTF-16 without byte order mark, or truncated inside a character
            raise DataError(
                f"not {self._encoding}, or truncated; does the file have another encoding?", self.path
            ) from None
        self._row_chars += len(text)
        if self._row_chars > MAX_ROW_CHARS:
            too_long(self.path, self.rows + 1)
        return text

    def end_row(self) -> int:
        """Count a row, and return its number."""
        self._row_chars = 0
        self.rows += 1
        return self.rows

    @property
    def is_cut_off(self) -> bool:
        """Whether the line read last has no line end, so that it is the last one and may be truncated."""
        return not self._line.endswith(("\n", "\r"))

    def _locate_undecodable_line(self) -> str:
        """Find the line in a second pass, as lines are decoded in blocks; "" if it cannot be located."""
        try:
            with open_text(self.path, self._encoding, "surrogateescape") as lines:
                number = 1
                while line := lines.readline(MAX_ROW_CHARS):
                    if LONE_SURROGATE.search(line):
                        return f" in line {number}"
                    number += 1
        except UnicodeError:  # UTF-16 has no such escape
            pass
        return ""
