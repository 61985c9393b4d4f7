"""Compressed files are read whole or not at all, within a bound on memory."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from mentallama.files.compression import DamagedStreamError, open_binary

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}
WORDS = " ".join(map(str, range(9000))).encode()

each_kind = pytest.mark.parametrize("suffix", COMPRESS)


def read(path: Path, raw: bytes) -> bytes:
    path.write_bytes(raw)
    with open_binary(path) as file:
        return file.read()


@each_kind
def test_members_one_after_the_other_and_padding_are_read(suffix: str, tmp_path: Path) -> None:
    member = COMPRESS[suffix](WORDS)
    path = tmp_path / f"a{suffix.upper()}"
    assert read(path, member) == WORDS
    assert read(path, member + member + b"\0" * 5000) == WORDS * 2
    many = b"".join(COMPRESS[suffix](bytes([n])) for n in range(250))
    assert read(path, many) == bytes(range(250))


@each_kind
def test_a_cut_off_or_a_tail_of_garbage_is_damage_never_the_end(suffix: str, tmp_path: Path) -> None:
    member = COMPRESS[suffix](WORDS)
    path = tmp_path / f"a{suffix}"
    for end in [*range(20), *range(20, len(member), 499), len(member) - 1]:
        with pytest.raises(DamagedStreamError):
            read(path, member[:end])
        with pytest.raises(DamagedStreamError):
            read(path, member + (member[:end] or b"garbage"))
    with pytest.raises(DamagedStreamError):
        read(path, member + b"<html>not found</html>")


@each_kind
def test_a_changed_byte_is_damage_or_changes_nothing(suffix: str, tmp_path: Path) -> None:
    # zstd has a checksum only where it is asked for
    member = zstandard.ZstdCompressor(write_checksum=True).compress(WORDS)
    member = member if suffix == ".zst" else COMPRESS[suffix](WORDS)
    damaged = 0
    for place in random.Random(0).sample(range(len(member)), 100):
        changed = member[:place] + bytes([member[place] ^ 0x10]) + member[place + 1 :]
        try:
            assert read(tmp_path / f"a{suffix}", changed) == WORDS
        except DamagedStreamError:
            damaged += 1
    assert damaged > 80


def test_the_largest_window_of_zstd_is_read(tmp_path: Path) -> None:
    settings = zstandard.ZstdCompressionParameters.from_level(1, window_log=31, enable_ldm=False)
    writer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    frame = writer.compress(WORDS) + writer.flush()
    assert zstandard.get_frame_parameters(frame).window_size == 2**31
    assert read(tmp_path / "a.zst", frame) == WORDS


@pytest.mark.parametrize(
    ("suffix", "size", "bound"),
    [
        (".gz", 1 << 26, 1 << 24),
        (".bz2", 1 << 26, 1 << 24),
        (".xz", 1 << 26, 1 << 24),  # half of it is the dictionary
        (".zst", 1 << 28, (1 << 27) + (1 << 22)),  # the pieces that 2 KiB stand for, and their join
    ],
)
def test_a_bomb_is_inflated_only_as_far_as_it_is_read(
    suffix: str, size: int, bound: int, tmp_path: Path
) -> None:
    import tracemalloc

    (tmp_path / f"a{suffix}").write_bytes(COMPRESS[suffix](b"a" * size))
    tracemalloc.start()
    with open_binary(tmp_path / f"a{suffix}") as file:
        assert file.read(1 << 10) == b"a" * (1 << 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < bound < size


@each_kind
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.zst"])
def test_the_content_says_how_it_is_compressed(name: str, suffix: str, tmp_path: Path) -> None:
    assert read(tmp_path / name, COMPRESS[suffix](WORDS)) == WORDS
