"""Files that a table names, and every row of every format as a post or a reject."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import mentallama.collect.run as collect
from mentallama.collect.inputs import find_input_files, read_inputs, survey
from mentallama.collect.placeholders import Placeholders
from mentallama.collect.readers import RawPost, Reject
from mentallama.collect.stage import collect_inputs
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Post
from mentallama.tasks import Source, load_tasks

TASKS = {"CLP": load_tasks()["CLP"]}
COLUMNS = {"text": "text", "labels": {"depression": "label"}}


def put(data: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        path = data / "sources/CLP" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return data


def find(data: Path, **source: Any) -> list[str]:
    declared = {"CLP": [Source.model_validate({"columns": {"text": "text"}, **source})]}
    return [Path(file.name).name for file in find_input_files(data, TASKS, "instruction", declared)]


def test_a_folder_or_a_pattern_stands_for_its_tables(tmp_path: Path) -> None:
    files = dict.fromkeys(("a/s2.xml", "a/s1.xml", "a/b/s3.xml.gz", "a/notes.md", "t.csv", "golden.csv"), "x")
    files |= dict.fromkeys(("a/._s1.xml", "a/.trash/s9.xml", "a/~$t.xlsx"), "x")
    put(tmp_path, files)
    assert find(tmp_path, file="a") == ["s3.xml.gz", "s1.xml", "s2.xml"]
    assert find(tmp_path, file="a/*.xml") == ["s1.xml", "s2.xml"]
    assert find(tmp_path, file="a/notes.md") == [
        "notes.md"
    ]  # named exactly: its format is judged when it is read
    labels = {"labels_file": {"file": "golden.csv", "match": {"id": "id"}}}
    assert find(tmp_path, file="*.csv", **labels) == ["t.csv"]
    with pytest.raises(UsageError, match="there is no such file"):
        find(tmp_path, file="a/*.csv")
    with pytest.raises(UsageError, match=r"gold\.csv: the labels of t\.csv should be in this file"):
        find(tmp_path, file="t.csv", labels_file={"file": "gold.csv", "match": {"id": "id"}})


@pytest.mark.parametrize("file", ["/etc/passwd.csv", "../CLP/t.csv", "a/../../t.csv", "", "a\0.csv"])
def test_a_file_stays_below_the_sets_folder(file: str) -> None:
    with pytest.raises(ValidationError, match="below sources/<set>/"):
        Source.model_validate({"file": file, "columns": {"text": "text"}})


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [("encoding", "utf\0", "no encoding"), ("encoding", "klingon", "no encoding"), ("delimiter", ",,", "one character"),
     ("delimiter", '"', "one character"),
     ("quoting", "all", "'minimal', 'backslash' or 'none'"), ("format", "doc", "'csv'")],
)  # fmt: skip
def test_a_layout_that_cannot_be_is_refused_on_load(key: str, value: str, what: str) -> None:
    with pytest.raises(ValidationError, match=what):
        Source.model_validate({"file": "a.csv", "columns": {"text": "text"}, key: value})


def test_files_that_are_no_tables_are_no_fault_of_a_survey(tmp_path: Path) -> None:
    put(tmp_path, {"posts.csv": "text\na\nb,c\n", "README.md": "x", "golden_truth.txt": "s1 0\n"})
    (entry,) = survey(tmp_path, TASKS, "instruction")
    assert entry.upstream == {"posts.csv": 2}


def recipe(data: Path, table: dict[str, Any], **settings: Any) -> Recipe:
    content = {
        "tables": {"CLP": [{"columns": COLUMNS, "codes": {"0": "no", "1": "yes"}, **table}]},
        **settings,
    }
    return Recipe.model_validate({"name": "a", "data": data, "sets": ["CLP"], "jobs": 1, "collect": content})


def subject(name: str, *texts: str) -> str:
    writings = "".join(f"<WRITING><TITLE/><TEXT>{text}</TEXT></WRITING>" for text in texts)
    return f"<INDIVIDUAL><ID>{name}</ID>{writings}</INDIVIDUAL>"


def test_a_folder_of_subjects_with_their_golden_truth(tmp_path: Path) -> None:
    put(
        tmp_path,
        {
            "subjects/s1.xml": subject("s1", "the bus was late again", "[deleted]", ""),
            "subjects/s2.xml": subject("s2", "soup and a walk by the lake"),
            "subjects/s3.xml": subject("s3", "nobody gave me a label"),
            "golden_truth.txt": "s1\t1\ns2\t0\n",
        },
    )
    columns = {"text": ["TITLE", "TEXT"], "labels": {"depression": "risk"}, "author": "ID"}
    labels = {"file": "golden_truth.txt", "names": ["id", "risk"], "match": {"ID": "id"}}
    made = recipe(tmp_path, {"file": "subjects", "columns": columns, "labels_file": labels})
    assert "sources/CLP/golden_truth.txt" in collect_inputs(made, tmp_path / "run")
    (tmp_path / "out").mkdir()
    summary = collect.run(made, tmp_path / "out")
    posts = list(read_records(tmp_path / "out/posts.jsonl.zst", Post))
    assert sorted((post.text, post.labels["depression"]) for post in posts) == [
        ("soup and a walk by the lake", "no"), ("the bus was late again", "yes"),
    ]  # fmt: skip
    assert len({post.author for post in posts}) == 2
    rejects = list(read_records(tmp_path / "out/rejects.jsonl", Reject))
    assert [(reject.file[-6:], reject.row, reject.reason) for reject in rejects] == [
        ("s1.xml", 2, "the text is a placeholder for removed text"),
        ("s1.xml", 3, "the text is empty"),
        ("s3.xml", 1, "golden_truth.txt has no row for the id in column 'ID'"),
    ]
    assert (summary.rows_read, summary.rejected) == (5, 3)


def test_a_split_that_stays_empty_is_in_the_summary(tmp_path: Path) -> None:
    words = ["bread", "winter", "garden", "river", "cat", "paper", "lamp", "coat", "movie", "letter", "soup"]
    texts = [" ".join(words[(n * k + k * k) % 11] for k in range(1, 9)) + f" {n}" for n in range(60)]

    def empty(author: str) -> dict[str, tuple[str, ...]]:
        put(tmp_path, {"p.csv": "text,label,who\n" + "".join(f"{text},0,{author}\n" for text in texts)})
        columns = {**COLUMNS, "author": "who"}
        made = recipe(tmp_path, {"file": "p.csv", "columns": columns}, test_share=0.3, validation_share=0.3)
        out = tmp_path / f"out-{author}"
        out.mkdir()
        summary = collect.run(made, out)
        assert sum(summary.posts["CLP"].values()) + sum(entry.posts for entry in summary.removed) == 60
        return summary.empty_splits

    (splits,) = empty("ana").values()  # one person: all posts are in one split
    assert len(splits) == 2
    assert empty("[deleted]") == {}  # nobody: each post is drawn for itself


# --- every row, in every format ------------------------------------------------------------------------------

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress, ".zst": zstandard.compress,
}  # fmt: skip

Row = tuple[str, str]


def delimited(delimiter: str, quoting: int) -> Callable[[list[Row]], bytes]:
    def write(rows: list[Row]) -> bytes:
        out = io.StringIO()
        csv.writer(out, delimiter=delimiter, quoting=quoting).writerows([("text", "label"), *rows])  # type: ignore[arg-type]
        return out.getvalue().encode()

    return write


def unquoted_tsv(rows: list[Row]) -> bytes:
    return "".join(f"{text}\t{label}\n" for text, label in [("text", "label"), *rows]).encode()


def workbook(rows: list[Row]) -> bytes:
    book, out = openpyxl.Workbook(), io.BytesIO()
    for row in [("text", "label"), *rows]:
        book.worksheets[0].append(row)
    book.save(out)
    return out.getvalue()


def as_json(indent: int | None, ascii_only: bool) -> Callable[[list[Row]], bytes]:
    return lambda rows: json.dumps([dict(zip(("text", "label"), row, strict=True)) for row in rows], indent=indent,
                                   ensure_ascii=ascii_only).encode()  # fmt: skip


def json_lines(rows: list[Row]) -> bytes:
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows).encode()


FORMATS: dict[str, Callable[[list[Row]], bytes]] = {
    "minimal.csv": delimited(",", csv.QUOTE_MINIMAL),
    "all.csv": delimited(",", csv.QUOTE_ALL),
    "semicolon.csv": delimited(";", csv.QUOTE_MINIMAL),
    "all.tsv": delimited("\t", csv.QUOTE_ALL),
    "unquoted.tsv": unquoted_tsv,
    "a.json": as_json(None, True),
    "indented.json": as_json(1, False),
    "a.jsonl": json_lines,
    "a.ndjson": json_lines,
    "a.xlsx": workbook,
}

printable = st.characters(
    codec="utf-8", exclude_categories=("Cc", "Cs"), exclude_characters="\ufdd0\ufffe\uffff"
)
texts = st.text(st.one_of(printable, st.sampled_from('",;|')), min_size=1, max_size=12).filter(
    lambda text: text.strip() and not text.startswith("=")  # openpyxl writes a formula, which has no value
)
rows_of_posts = st.lists(
    st.tuples(texts, st.sampled_from(["0", "1", "1.0", "x", ""])), min_size=1, max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=120)
@given(
    rows=rows_of_posts, name=st.sampled_from(sorted(FORMATS)), compression=st.sampled_from(sorted(COMPRESS))
)
def test_each_row_in_gives_one_post_or_reject(
    rows: list[Row], name: str, compression: str, tmp_path: Path
) -> None:
    file = name if name.endswith("xlsx") else name + compression
    raw = FORMATS[name](rows)
    put(tmp_path, {file: raw if file == name else COMPRESS[compression](raw)})
    made = recipe(tmp_path, {"file": file}).collect
    assert made is not None
    files = find_input_files(tmp_path, TASKS, "instruction", made.tables)
    nothing_removed = Placeholders(removed_text=())
    ((_, found),) = [(file, list(read)) for file, read in read_inputs(files, nothing_removed)]
    first = 1 if ".json" in name or "ndjson" in name else 2
    assert [each.row for each in found] == list(range(first, first + len(rows)))
    for (text, label), each in zip(rows, found, strict=True):
        assert isinstance(each, RawPost if label in {"0", "1", "1.0"} else Reject)
        if isinstance(each, RawPost) and name != "unquoted.tsv":
            assert each.text == text
            assert each.labels == {"depression": "no" if label == "0" else "yes"}
        if isinstance(each, RawPost) and name == "unquoted.tsv":
            assert each.text.replace('"', "") == text.replace('"', "")
