"""A full disk: every writer names the file, says what to do, and leaves nothing half-written."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.errors import DataError
from mentallama.files.atomic import (
    atomic_write,
    full_disk_named,
    is_full_disk,
    named_in_errors,
    system_error_sentence,
    write_json,
    write_text,
)
from mentallama.files.erasure_requests import NO_ERASURES, write_erasure_list
from mentallama.files.manifest import write_manifest
from mentallama.files.record_files import table_writer, write_records
from mentallama.files.spreadsheet import write_sheet
from mentallama.predict.journal import Journal
from mentallama.records import Prediction, Reading, Response

ROWS = [Response(example_id=f"{number:016x}", text=os.urandom(64).hex(), model="m") for number in range(3000)]
Write = Callable[[Path], Any]


def write_table(path: Path) -> None:
    with table_writer(path, ("a", "b")) as write:
        for row in ROWS:
            write((row.example_id, row.text))


WRITERS: dict[str, Write] = {
    "a.txt": lambda path: write_text(path, "x" * 100_000),
    "b.json": lambda path: write_json(path, ["x"] * 10_000),
    "c.jsonl": lambda path: write_records(path, ROWS),
    "d.jsonl.zst": lambda path: write_records(path, ROWS),
    "e.parquet": lambda path: write_records(path, ROWS),
    "f.csv": write_table,
    "g.jsonl": write_table,
    "h.parquet": write_table,
    "i.csv": lambda path: write_sheet(path, ("a",), [{"a": row.text} for row in ROWS]),
    "manifest.json": lambda path: write_manifest(path.parent, "report", {"x": "y" * 10_000}, (), {}, 0),
    "erasure_list.json": lambda path: write_erasure_list(path.parent, NO_ERASURES),
}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("has_former", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_names_the_file(name: str, has_former: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    if has_former:
        path.write_bytes(b"former")
    (tmp_path / f".{name}.partial").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as full:
        WRITERS[name](path)
    assert (full.value.errno, full.value.filename) == (errno.ENOSPC, str(path))
    assert system_error_sentence(full.value) == (
        f"{path}: {full.value.strerror}; free some space, and the same command resumes"
    )
    assert [(left.name, left.read_bytes()) for left in tmp_path.iterdir()] == (
        [(name, b"former")] if has_former else []
    )


def test_a_full_disk_names_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda *_: Full())
    prediction = Prediction(example_id="1", reading=Reading(status="parsed", label="no"), model="m")
    with Journal(tmp_path / "j.jsonl") as journal, pytest.raises(OSError, match=r"j\.jsonl"):
        journal.add(prediction)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG])
def test_only_errors_of_the_file_itself_are_renamed(number: int, tmp_path: Path) -> None:
    for named, expected in (
        (None, "x"),
        (str(tmp_path / "input.csv"), "input.csv"),
        (str(tmp_path / ".x.partial"), "x"),
    ):
        with pytest.raises(OSError, match=os.strerror(number)) as error, atomic_write(tmp_path / "x"):
            raise OSError(number, os.strerror(number), named)
        assert Path(error.value.filename).name == expected
        assert "; " in system_error_sentence(error.value)
    with pytest.raises(OSError, match="refused") as error, named_in_errors(tmp_path / "x"):
        raise OSError(errno.ECONNREFUSED, "refused")
    assert error.value.filename is None
    assert system_error_sentence(error.value) == "the system: refused"


def test_a_full_disk_costs_a_new_folder_and_no_other_error_does(tmp_path: Path) -> None:
    for number, error in enumerate(
        (RuntimeError("os error 28"), OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "x"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        with pytest.raises(OSError, match=str(folder)), full_disk_named(folder):
            raise error
        assert not folder.exists()
    for other in (DataError("bad", "no space left"), ValueError("bad")):
        (tmp_path / "kept").mkdir(exist_ok=True)
        with pytest.raises(type(other)), full_disk_named(tmp_path / "kept"):
            raise other
    assert (tmp_path / "kept").is_dir()


@pytest.mark.parametrize(
    ("message", "is_full"),
    [
        ("Error while serializing: I/O error: No space left on device (os error 28)", True),
        ('IoError(Os { code: 28, kind: StorageFull, message: "…" })', True),
        ("Disk quota exceeded (os error 122)", True),
        ("os error 281", False),
        ("the model has no layer", False),
    ],
)
def test_a_full_disk_in_the_words_of_other_libraries(message: str, is_full: bool, tmp_path: Path) -> None:
    assert is_full_disk(RuntimeError(message), tmp_path) == is_full
    wrapped = ValueError("outer")
    wrapped.__cause__ = RuntimeError(message)
    assert is_full_disk(wrapped, tmp_path) == is_full
