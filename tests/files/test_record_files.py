"""Record files: round trips, failed writers that leave nothing behind, errors on damaged files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from mentallama.errors import DataError, UsageError
from mentallama.files.atomic import write_json, write_text
from mentallama.files.record_files import read_json, read_records, record_writer, write_records
from mentallama.records import (
    Example,
    Post,
    Prediction,
    Provenance,
    Reading,
    Record,
    Response,
    Span,
    Verdict,
)

FORMATS = ("records.jsonl", "records.jsonl.zst", "records.parquet")
every_format = pytest.mark.parametrize("name", FORMATS)
in_one_folder = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None
)

words = st.text(max_size=30)  # any Unicode that UTF-8 can hold
maybe = st.none() | words
labels = st.dictionaries(words, words, max_size=3)
numbers = st.floats(allow_nan=False, allow_infinity=False)
spans = st.builds(Span, start=st.integers(0, 10**6), end=st.integers(0, 10**6), weight=st.none() | numbers)
places = st.builds(
    Provenance,
    file=words,
    row=st.integers(),
    origin=st.sampled_from(["release", "upstream", "table"]),
    synthetic=st.booleans(),
    original_text=maybe,
)
splits = st.sampled_from(["train", "validation", "test"])
readings = st.builds(
    Reading,
    status=st.sampled_from(["parsed", "unparsed", "refused", "truncated"]),
    label=maybe,
    explanation=words,
    reason=maybe,
)
STRATEGIES: dict[type[BaseModel], st.SearchStrategy[Any]] = {
    Post: st.builds(
        Post,
        id=words,
        set=words,
        split=splits,
        text=words,
        labels=labels,
        evidence=st.dictionaries(words, st.lists(spans, max_size=2).map(tuple), max_size=2),
        author=maybe,
        time=maybe,
        language=maybe,
        provenance=places,
    ),
    Example: st.builds(
        Example,
        id=words,
        post_id=words,
        task=words,
        question=words,
        form=st.sampled_from(["instruction", "completion"]),
        text=words,
        label=maybe,
        response=maybe,
    ),
    Response: st.builds(
        Response,
        example_id=words,
        text=words,
        model=words,
        finish_reason=maybe,
        usage=st.dictionaries(words, st.integers(), max_size=2),
        request_hash=maybe,
    ),
    Reading: readings,
    Verdict: st.builds(
        Verdict,
        example_id=words,
        model=words,
        gate=words,
        ok=st.booleans(),
        reason=maybe,
        score=st.none() | numbers,
    ),
    Prediction: st.builds(
        Prediction,
        example_id=words,
        reading=readings,
        model=words,
        probabilities=st.dictionaries(words, st.floats(0, 1), max_size=3),
        evidence=st.lists(spans, max_size=2).map(tuple),
    ),
}


class Rating(Record):
    example_id: str
    rater: str
    aspect: str
    score: int = Field(ge=0, le=3)


def ratings(count: int) -> list[Rating]:
    return [Rating(example_id=f"e{n}", rater="ana", aspect="overall", score=n % 4) for n in range(count)]


@every_format
@pytest.mark.parametrize("kind", STRATEGIES, ids=lambda kind: kind.__name__)
@in_one_folder
@given(drawn=st.data())
def test_what_is_written_is_read(
    name: str, kind: type[BaseModel], drawn: st.DataObject, tmp_path: Path
) -> None:
    records = drawn.draw(st.lists(STRATEGIES[kind], max_size=4))
    assert write_records(tmp_path / name, records) == len(records)
    assert list(read_records(tmp_path / name, kind)) == records


@every_format
def test_line_breaks_inside_a_text_do_not_break_the_line(name: str, tmp_path: Path) -> None:
    # all that some reader takes for a line's end: LF, CR, next line, line and paragraph separator
    text = "one\ntwo\rthree\r\nfour\x85five\u2028six\u2029seven\0eight"
    write_records(tmp_path / name, [Response(example_id="e", text=text, model="m")])
    (found,) = read_records(tmp_path / name, Response)
    assert found.text == text


@every_format
def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_else(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_records(path, ratings(3))
    before = path.read_bytes()

    def fails() -> Iterator[Rating]:
        yield from ratings(5000)  # more than one Parquet batch, so that something was written
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        write_records(path, fails())
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [name]


@every_format
def test_a_file_is_not_seen_before_it_is_whole(name: str, tmp_path: Path) -> None:
    with record_writer(tmp_path / name) as write:
        for rating in ratings(10):
            write(rating)
        assert not (tmp_path / name).exists()
    assert len(list(read_records(tmp_path / name, Rating))) == 10


@every_format
def test_records_already_in_json_are_passed_on(name: str, tmp_path: Path) -> None:
    with record_writer(tmp_path / name) as write:
        write('{"example_id":"e","rater":"ana","aspect":"overall","score":2}')
    assert list(read_records(tmp_path / name, Rating)) == [
        Rating(example_id="e", rater="ana", aspect="overall", score=2)
    ]


def test_more_than_one_batch_of_parquet_keeps_its_order(tmp_path: Path) -> None:
    write_records(tmp_path / "many.parquet", ratings(9000))  # a batch is 4,096
    assert list(read_records(tmp_path / "many.parquet", Rating)) == ratings(9000)


@every_format
def test_a_missing_file_is_wrong_use(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no such file"):
        list(read_records(tmp_path / name, Rating))


@every_format
def test_a_bad_line_is_named_by_row_and_field_without_its_content(name: str, tmp_path: Path) -> None:
    with record_writer(tmp_path / name) as write:
        write(ratings(1)[0])
        write('{"example_id":"e","rater":"secret words","aspect":"overall","score":9}')
    with pytest.raises(DataError) as fault:
        list(read_records(tmp_path / name, Rating))
    assert (fault.value.file, fault.value.row) == (str(tmp_path / name), 2)
    assert "score" in str(fault.value)
    assert "secret" not in str(fault.value)
    assert fault.value.__cause__ is None  # a traceback would show the words


def test_an_unknown_field_and_a_line_that_is_not_json_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"status": "parsed", "label": "yes", "colour": "blue"}\n', encoding="utf-8")
    with pytest.raises(DataError, match=r"row 1: not a Reading record: see colour$"):
        list(read_records(path, Reading))
    path.write_text("so tired today\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"row 1: not a Reading record: see the line$"):
        list(read_records(path, Reading))


@pytest.mark.parametrize("name", FORMATS[1:])
def test_a_file_cut_off_anywhere_is_bad_data(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    write_records(path, ratings(40))
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError):
            list(read_records(path, Rating))
    assert len(whole) > 100


def test_a_flipped_bit_anywhere_in_a_compressed_file_is_bad_data_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    write_records(path, ratings(40))
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :])
        try:
            assert list(read_records(path, Rating)) == ratings(40)
        except DataError:
            refused += 1
    assert refused > 0.9 * len(whole)


def test_zst_frames_one_after_the_other_are_all_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"  # as `cat` joins compressed files
    parts = [rating.model_dump_json().encode() + b"\n" for rating in ratings(3)]
    path.write_bytes(b"".join(zstandard.compress(part) for part in parts))
    assert list(read_records(path, Rating)) == ratings(3)


def test_long_compressed_lines_cross_the_readers_blocks(tmp_path: Path) -> None:
    long = [Response(example_id=str(n), text=chr(0x4E00 + n) * 200_000, model="m") for n in range(4)]
    write_records(tmp_path / "a.jsonl.zst", long)  # 2.4 MB of text; a block is 128 KiB
    assert list(read_records(tmp_path / "a.jsonl.zst", Response)) == long


def test_a_parquet_table_of_other_columns_is_bad_data(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="only column should be “record”"):
        list(read_records(tmp_path / "a.parquet", Rating))


def test_wrong_bytes_in_lines_are_bad_data_after_the_row_before(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = ratings(1)[0].model_dump_json().encode() + b"\n"
    path.write_bytes(good * 20_000 + b"\xff\n")  # past the first decoded block
    with pytest.raises(DataError, match="damaged or truncated") as fault:
        list(read_records(path, Rating))
    assert fault.value.row is not None
    assert 0 < fault.value.row <= 20_000


def test_text_and_json_are_written_atomically(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"title": "ñ 我", "n": [1, 2]})
    assert path.read_text(encoding="utf-8") == '{\n  "title": "ñ 我",\n  "n": [\n    1,\n    2\n  ]\n}\n'
    assert read_json(path) == {"title": "ñ 我", "n": [1, 2]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half a character \ud83d")
    assert read_json(path) == {"title": "ñ 我", "n": [1, 2]}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]


@pytest.mark.parametrize("raw", [b"{", b"", b"\xff\xfe", b"{'a': 1}", b"[" * 9000, b"9" * 5000])
def test_what_is_not_json_is_bad_data(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(raw)
    with pytest.raises(DataError, match="not a JSON file"):
        read_json(tmp_path / "a.json")


def test_an_endless_line_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    path.write_bytes(zstandard.compress(b"a" * (1 << 25)))
    with pytest.raises(DataError, match="row 1: the line is longer than 16,777,216 characters"):
        list(read_records(path, Rating))


def test_records_are_read_from_any_compression(tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(
        gzip.compress(b"".join(rating.model_dump_json().encode() + b"\n" for rating in ratings(3)))
    )
    assert list(read_records(path, Rating)) == ratings(3)
