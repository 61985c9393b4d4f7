"""Damage to a valid input: bytes, structure, and values that files in the field hold where others are expected."""

from __future__ import annotations

import random
from collections.abc import Callable

TOKENS = (
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\xed\xa0\x80",
        b"\r",
        b"\r\n",
        b"\n",
        b"\t",
        b"\x1b[31m",
        b"\x85",
    ),
    *(
        b'"',
        b"'",
        b"`",
        b"{",
        b"}",
        b"[",
        b"]",
        b"<",
        b">",
        b"&",
        b"*",
        b":",
        b"-",
        b",",
        b";",
        b"|",
        b"%",
        b"@",
        b"!",
    ),
    *(b"!!int ''", b"!!binary x", b"!!python/name:os.system", b"&a [*a]", b"<<: *x", b"---\n", b"? ", b"|\n"),
    *(
        b"null",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"0",
        b"0.0",
        b"true",
        b"no",
        b"2024-13-45",
        b"12:61:61",
    ),
    *(b"9" * 400, b"-9223372036854775809", b"0x1F", b"1_0", b"{}", b"[]", b'""', b"''", b"{{}}", b"${HOME}"),
    *(b"[" * 2000, b"{" * 300, b'{"a":' * 1200, b" " * 5000, b"A" * 20_000, b"\n" * 3000),
    *(
        "é".encode(),
        "한국어".encode(),
        "\u202e".encode(),
        "😢".encode(),
        "\u2028".encode(),
        "é".encode("latin-1"),
    ),
    *(
        b"../../x",
        b"/etc/passwd",
        b"C:\\x",
        b"=1+1",
        b"<!ENTITY a 'b'>",
        b"<a>" * 500,
        b"\\u0000",
        b"\\ud800",
    ),
)
"""Inserted or put in the place of something else."""

Mutation = Callable[[bytes, random.Random], bytes]


def _flip_bytes(raw: bytes, draw: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(draw.choice((1, 1, 3, 20))):
        if changed:
            changed[draw.randrange(len(changed))] = draw.randrange(256)
    return bytes(changed)


def _truncate(raw: bytes, draw: random.Random) -> bytes:
    return raw[: draw.randrange(len(raw) + 1)]


def _insert_token(raw: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(raw) + 1)
    return raw[:at] + draw.choice(TOKENS) + raw[at:]


def _replace_word(raw: bytes, draw: random.Random) -> bytes:
    """Put a token in the place of one word or number, so that the structure around it stays valid."""
    starts = [i for i in range(1, len(raw)) if raw[i : i + 1].isalnum() and not raw[i - 1 : i].isalnum()]
    if not starts:
        return _insert_token(raw, draw)
    start = end = draw.choice(starts)
    while end < len(raw) and raw[end : end + 1].isalnum():
        end += 1
    return raw[:start] + draw.choice(TOKENS) + raw[end:]


def _repeat_piece(raw: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(raw) + 1)
    end = min(len(raw), start + draw.randrange(1, 200))
    return raw[:end] + raw[start:end] * draw.choice((1, 2, 50)) + raw[end:]


def _delete_piece(raw: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(raw) + 1)
    return raw[:start] + raw[start + draw.randrange(1, 60) :]


def _swap_lines(raw: bytes, draw: random.Random) -> bytes:
    lines = raw.split(b"\n")
    first, second = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(lines)


def _reencode(raw: bytes, draw: random.Random) -> bytes:
    encoding = draw.choice(("utf-16", "utf-16-be", "utf-32", "cp949", "mac-roman", "utf-8-sig"))
    return raw.decode("utf-8", "replace").encode(encoding, "replace")


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bytes,
    _truncate,
    _insert_token,
    _replace_word,
    _replace_word,
    _repeat_piece,
    _delete_piece,
    _swap_lines,
    _reencode,
)


def damage(raw: bytes, draw: random.Random) -> bytes:
    """Apply one to three mutations."""
    for _ in range(draw.choice((1, 1, 2, 3))):
        raw = draw.choice(MUTATIONS)(raw, draw)
    return raw
