"""A table in, a table out: every row comes back, whatever is in it, and every question is asked once."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from mentallama.analysts.answer import ANSWER_COLUMNS
from mentallama.answers.format import write_answer
from mentallama.cli import app as cli
from mentallama.config import Predict
from mentallama.errors import DataError, MentallamaError, TooManyRejectsError, UsageError
from mentallama.files.record_files import write_records
from mentallama.files.tables import UnreadableRow, read_verbatim
from mentallama.files.tables.column_kinds import column_kinds
from mentallama.files.tables.writers import OutputColumns, OutputFormat, table_writer
from mentallama.predict.stage import PredictJob
from mentallama.predict.tables.command import TableCommand
from mentallama.predict.tables.run import TableSummary, predict_table
from mentallama.tasks import load_tasks
from mentallama.text.clean_post import MAX_POST_CHARS
from mentallama.text.repair import NUL_STAND_IN
from mentallama.train.linear.trainer import train_linear
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.linear_cases import QUICK, depression_posts, make_post, wellness_posts
from tests.factories.project import ROOT

TASKS = load_tasks()
FORMATS = ("csv", "tsv", "jsonl", "parquet", "xlsx")
YES = write_answer("DR", None, "yes", "It says so.")


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model of DR (one question) and MultiWD (two)."""
    folder = tmp_path_factory.mktemp("model") / "train"
    train_linear(depression_posts() + wellness_posts(), folder, QUICK)
    return f"linear:{folder}"


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("script") / "answers.jsonl"
    path.write_text(json.dumps({"task": "DR", "question": "depression", "text": YES}) + "\n")
    return f"scripted:{path}"


def predict(spec: str, data: Path | str, out: Path | str, *names: str, **options: Any) -> TableSummary:
    own = {key: options.pop(key) for key in list(options) if key in Predict.model_fields}
    job = PredictJob(spec, Predict(mode="free", **own), TASKS)
    lines = options.pop("log", [])
    return predict_table(
        TableCommand(job, str(data), str(out), questions=names or ("DR",), **options), lines.append
    )


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    columns = OutputColumns(column_kinds(list(rows[0]), {}))
    with path.open("wb") as file, table_writer(file, OutputFormat.of(path), columns) as add:
        for row in rows:
            add(row)
    return path


def rows_of(path: Path) -> list[dict[str, Any]]:
    rows = list(read_verbatim(path))
    return [row[1] for row in rows if not isinstance(row, UnreadableRow)]


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


# --- every row comes back ------------------------------------------------------------------------------


CELLS = st.text(
    st.one_of(st.sampled_from(" ab,;\"\\='\r\n"), st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co"))),
    max_size=8,
)


@pytest.mark.parametrize("source", FORMATS)
@settings(max_examples=3, deadline=None)
@given(texts=st.lists(CELLS, min_size=1, max_size=4))
def test_rows_of_every_format_come_back_in_order_in_every_format(
    source: str, scripted: str, tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    own = [
        {"n": str(number), "text": text.replace("\t", " ")} for number, text in enumerate([*texts, "a", "a"])
    ]
    data = write(folder / f"in.{source}", own)
    for target in FORMATS:
        out = folder / f"out.{target}"
        predict(scripted, data, out)
        found = rows_of(out)
        assert [{key: row[key] or "" for key in ("n", "text")} for row in found] == own
        assert [row["status"] for row in found[-2:]] == ["parsed", "parsed"]
        assert [name for name in found[0] if name not in own[0]] == list(ANSWER_COLUMNS)
        assert all((row["label"] or "") == ("yes" if row["status"] == "parsed" else "") for row in found)
        assert [path.name for path in folder.glob("*.part")] == []


ODD_ROWS = (
    b"\xef\xbb\xbfid,text,note\n"
    b"1,a walk,x\n"
    b"1,a walk,the same id and text\n"
    b"2,,empty\n"
    b"3,   ,spaces\n"
    b"\n"
    b'4,"she said ""no"", and left","a, b"\n'
    b"5,nul \x00 byte,\n"
    b"6,short\n"
    b"7,too,many,cells\n"
    b",,\n"
    b"8,=1+1,\"'\n"
)


def test_as_many_lines_come_out_as_went_in_whatever_is_in_them(scripted: str, tmp_path: Path) -> None:
    long = b"9," + b"x" * (MAX_POST_CHARS + 1) + b",\n"
    (tmp_path / "in.csv").write_bytes(ODD_ROWS.replace(b"\"'\n", b"'\n") + long)
    log: list[str] = []
    summary = predict(scripted, tmp_path / "in.csv", tmp_path / "out.csv", id_column="id", log=log)
    assert lines(tmp_path / "out.csv") == lines(tmp_path / "in.csv") == summary.rows + 1 == 13
    found = rows_of(tmp_path / "out.csv")
    assert [(row["id"], row["status"], row["reason"]) for row in found] == [
        ("1", "parsed", ""),
        ("1", "parsed", ""),
        ("2", "skipped", "the text is empty"),
        ("3", "skipped", "the text is empty"),
        ("", "skipped", "the row is blank"),
        ("4", "parsed", ""),
        ("5", "skipped", "the text contains NUL bytes; the file is damaged or binary"),
        ("6", "skipped", "the row has 2 cells, the header 3; the file may be truncated"),
        ("7", "skipped", "the row has 4 cells, the header 3; a cell may need quotation marks"),
        ("", "skipped", "the text is empty"),
        ("8", "parsed", ""),
        ("9", "skipped", "the text has 100,001 characters; posts have at most 100,000"),
    ]
    assert [row["text"] for row in found[5:9]] == [
        'she said "no", and left',
        f"nul {NUL_STAND_IN} byte",
        "short",
        "too",
    ]
    assert b"nul \x00 byte" in (tmp_path / "out.csv").read_bytes()
    assert "note: predict: 3 of 12 rows cannot be read and are skipped; the first is row 6" in log
    assert "note: predict: 1 of 12 rows repeat the id of an earlier row; the first is row 3" in log
    assert not any("walk" in line for line in log)


def test_blank_and_broken_lines_of_json_come_back(scripted: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"text": "a"}\n\n[1]\n{"text": ["a"]}\n{"other": 1}\n')
    predict(scripted, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    found = rows_of(tmp_path / "out.jsonl")
    assert [row["reason"] for row in found] == [
        None,
        "the row is blank",
        "not a JSON object",
        "the cell of column 'text' holds no text but a list or an object",
        "the text is empty",
    ]
    assert [{key: row[key] for key in ("text", "other") if key in row} for row in found] == [
        {"text": "a"},
        {},
        {},
        {"text": ["a"]},
        {"other": 1},
    ]


def test_values_keep_their_types(scripted: str, tmp_path: Path) -> None:
    own = {"id": 7, "share": 0.5, "ok": True, "tags": ["a", "b"], "gone": None, "text": "a walk"}
    (tmp_path / "in.jsonl").write_text(json.dumps(own) + "\n")
    predict(scripted, tmp_path / "in.jsonl", tmp_path / "out.jsonl")
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert {key: row[key] for key in own} == own
    assert (row["probabilities"], row["evidence"], row["reason"]) == ({}, [], None)


def test_columns_of_parquet_keep_their_types(scripted: str, tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    own = arrow.table(
        {
            "id": arrow.array([1, 2], arrow.int16()),
            "text": ["a", None],
            "time": arrow.array([1, 2], arrow.timestamp("ms", "UTC")),
            "tags": [["x"], []],
        }
    )
    parquet.write_table(own, tmp_path / "in.parquet")
    predict(scripted, tmp_path / "in.parquet", tmp_path / "out.parquet")
    out = parquet.read_table(tmp_path / "out.parquet")
    assert out.select(own.column_names).equals(own)
    assert out.schema.field("probability").type == arrow.float64()


def test_long_integers_beside_fractions_are_exact_in_parquet(scripted: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    values = [2**53 + 1, 0.5, 2**53]
    (tmp_path / "in.jsonl").write_text("".join(f'{{"text": "a", "n": {value}}}\n' for value in values))
    predict(scripted, tmp_path / "in.jsonl", tmp_path / "out.parquet")
    assert [row["n"] for row in rows_of(tmp_path / "out.parquet")] == list(map(str, values))
    (tmp_path / "ids.jsonl").write_text('{"text": "a", "n": 9007199254740993}\n{"text": "a", "n": 1}\n')
    predict(scripted, tmp_path / "ids.jsonl", tmp_path / "ids.parquet")
    assert [row["n"] for row in rows_of(tmp_path / "ids.parquet")] == [2**53 + 1, 1]


def test_a_text_that_looks_like_rows_comes_back_once_quoting_is_named(scripted: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,text\n1,"my list:\n1, eat\n2, sleep"\n')
    with pytest.raises(DataError, match=r"row 2: .*--quoting"):
        predict(scripted, tmp_path / "in.csv", tmp_path / "out.csv")
    predict(scripted, tmp_path / "in.csv", tmp_path / "out.csv", quoting="minimal")
    (row,) = rows_of(tmp_path / "out.csv")
    assert (row["text"], row["status"]) == ("my list:\n1, eat\n2, sleep", "parsed")


# --- columns -------------------------------------------------------------------------------------------


def test_evidence_is_quoted_from_the_cell_as_it_stands(linear: str, tmp_path: Path) -> None:
    text = "  @maple_7 I am so tired, empty and hopeless &amp; numb  "
    data = write(tmp_path / "in.csv", [{"body": text, "n": "1"}])
    predict(linear, data, tmp_path / "out.jsonl")
    (row,) = rows_of(tmp_path / "out.jsonl")
    assert row["label"] == "yes"
    assert row["probability"] == row["probabilities"]["yes"] > 0.5
    assert row["evidence"]
    assert all(text[quote["start"] : quote["end"]] == quote["text"] for quote in row["evidence"])
    assert (row["task"], row["question"], row["model"]) == ("DR", "depression", linear)


def test_wide_columns_have_the_names_of_their_questions(linear: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.csv", [{"text": "so tired today", "n": "1"}, {"text": "", "n": "2"}])
    names = ("MultiWD:social", "DR")
    predict(linear, data, tmp_path / "long.csv", *names)
    predict(linear, data, tmp_path / "wide.csv", *names, wide=True, prefix="p_")
    predict(linear, data, tmp_path / "one.csv", "DR", wide=True)
    long, wide, one = (rows_of(tmp_path / f"{name}.csv") for name in ("long", "wide", "one"))
    assert [(row["n"], row["task"], row["question"]) for row in long] == [
        ("1", "MultiWD", "social"),
        ("1", "DR", "depression"),
        ("2", "MultiWD", "social"),
        ("2", "DR", "depression"),
    ]
    assert [row["n"] for row in wide] == ["1", "2"]
    for number, name in enumerate(("MultiWD.social", "DR.depression")):
        for column in ("label", "probability", "status", "reason", "explanation", "evidence"):
            assert [row[f"p_{name}.{column}"] for row in wide] == [row[column] for row in long[number::2]]
    own = ["label", "probability", "probabilities", "status", "reason", "explanation", "evidence", "model"]
    assert list(one[0]) == ["text", "n", *own]
    assert wide[0]["p_model"] == linear


def test_a_column_that_would_be_there_twice_is_wrong_use_before_any_work(
    scripted: str, tmp_path: Path
) -> None:
    data = write(tmp_path / "in.csv", [{"text": "a", "label": "x", "model": "y"}])
    with pytest.raises(UsageError, match=r"answers would add \('label', 'model'\); --prefix predicted_"):
        predict(scripted, data, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
    predict(scripted, data, tmp_path / "out.csv", prefix="predicted_")
    (row,) = rows_of(tmp_path / "out.csv")
    assert (row["label"], row["predicted_label"]) == ("x", "yes")


@pytest.mark.parametrize("name", ["text", "Body", "post", "SELFTEXT"])
def test_the_column_of_the_texts_is_found_by_its_usual_names(
    name: str, scripted: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"n;{name}\n1;a walk\n")  # separated as spreadsheets do in Europe
    assert predict(scripted, tmp_path / "in.csv", tmp_path / "out.csv").answers == {"parsed": 1}
    assert rows_of(tmp_path / "out.csv")[0][name] == "a walk"


@pytest.mark.parametrize(
    ("header", "options", "sentence"),
    [
        ("n,message", {}, "name the column of the texts with --text; the columns are 'n', 'message'"),
        ("text,body", {}, "name the column of the texts with --text; the columns are 'text', 'body'"),
        (
            "n,text",
            {"text_columns": ("bdy",)},
            r"there is no column 'bdy' \(--text\); the columns are 'n', 'text'",
        ),
        ("n,text", {"id_column": "key"}, r"there is no column 'key' \(--id\); the columns are 'n', 'text'"),
        ("n,text", {"text_columns": ("text", "TEXT")}, "--text names the column 'text' twice"),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(
    header: str, options: dict[str, Any], sentence: str, scripted: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"{header}\n1,2\n")
    with pytest.raises(UsageError, match=sentence):
        predict(scripted, tmp_path / "in.csv", tmp_path / "out.csv", **options)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_several_text_columns_are_joined_and_quoted_from_the_joined_text(linear: str, tmp_path: Path) -> None:
    own = [{"title": "so tired", "body": "empty and hopeless"}, {"title": "so numb ", "body": ""}]
    data = write(tmp_path / "in.csv", own)
    predict(linear, data, tmp_path / "out.jsonl", text_columns=("title", "body"))
    for row, joined in zip(
        rows_of(tmp_path / "out.jsonl"), ("so tired\n\nempty and hopeless", "so numb"), strict=True
    ):
        assert row["evidence"]
        assert all(joined[quote["start"] : quote["end"]] == quote["text"] for quote in row["evidence"])


def test_a_model_of_several_tasks_needs_to_be_told_which(linear: str, scripted: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.csv", [{"text": "so tired", "n": "1"}])
    job = PredictJob(linear, Predict(), TASKS)
    with pytest.raises(
        UsageError, match="answers the questions of DR, MultiWD; name those to ask with --task"
    ):
        predict_table(TableCommand(job, str(data), str(tmp_path / "out.csv")), print)
    predict_table(TableCommand(job, str(data), str(tmp_path / "out.csv"), all_questions=True), print)
    assert len(rows_of(tmp_path / "out.csv")) == 3
    with pytest.raises(UsageError, match="takes any task; name one"):
        predict_table(
            TableCommand(PredictJob(scripted, Predict(), TASKS), str(data), str(tmp_path / "b.csv")), print
        )


def test_limit_takes_the_first_rows(scripted: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.csv", [{"text": str(number), "n": str(number)} for number in range(5)])
    predict(scripted, data, tmp_path / "out.csv", limit=2)
    assert [row["n"] for row in rows_of(tmp_path / "out.csv")] == ["0", "1"]


# --- what is asked -------------------------------------------------------------------------------------


def remote(server: Server) -> str:
    return f"remote:test-model@{server.url}"


def texts_table(path: Path, count: int, copies: int = 1) -> Path:
    return write(path, [{"n": str(n), "text": f"A canal walk, number {n // copies}."} for n in range(count)])


def test_equal_texts_are_asked_once_and_the_host_is_named(tmp_path: Path) -> None:
    data, log = texts_table(tmp_path / "in.csv", 12, copies=4), list[str]()
    with serving(Plan(reply=lambda _: YES)) as server:
        predict(remote(server), data, tmp_path / "out.csv", log=log)
        assert sorted(server.hashes.values()) == [1, 1, 1]
    assert [row["label"] for row in rows_of(tmp_path / "out.csv")] == ["yes"] * 12
    assert f"note: predict: the posts of {data} leave this machine: they are sent to 127.0.0.1" in log


def fails_for(*numbers: int) -> Callable[[Body, str], tuple[int, Body] | None]:
    bad = {"object": "error", "message": "bad template", "code": 400}
    return lambda body, _: (400, bad) if any(f"number {n}." in str(body) for n in numbers) else None


def test_failed_calls_are_rows_that_the_same_command_asks_again(tmp_path: Path) -> None:
    data, out = texts_table(tmp_path / "in.csv", 40), tmp_path / "out.csv"
    with serving(Plan(reply=lambda _: YES, respond=fails_for(7, 9))) as server:
        with pytest.raises(TooManyRejectsError, match=r"2 of 40 requests failed .* listed in .*out\.csv"):
            predict(remote(server), data, out)
        found = rows_of(out)
        assert [row["n"] for row in found if row["status"] == "failed"] == ["7", "9"]
        assert [row["n"] for row in found] == [str(number) for number in range(40)]
        assert "HTTP 400" in found[7]["reason"]
        seen = server.hashes.total()
        server.plan.respond = None
        summary = predict(remote(server), data, out)
        assert (summary.failed, server.hashes.total() - seen) == ({}, 2)
    assert {row["status"] for row in rows_of(out)} == {"parsed"}
    assert not (tmp_path / "out.csv.part").exists()


def test_an_allowed_share_of_failures_is_no_error_and_a_changed_output_is_not_replaced(
    tmp_path: Path,
) -> None:
    data, out = texts_table(tmp_path / "in.csv", 40), tmp_path / "out.csv"
    with serving(Plan(reply=lambda _: YES, respond=fails_for(7))) as server:
        predict(remote(server), data, out, max_failed_share=0.1)
        out.write_text(out.read_text() + "edited\n")
        with pytest.raises(UsageError, match="there is such a file already, and predict replaces none"):
            predict(remote(server), data, out, max_failed_share=0.1)


def test_calls_that_all_fail_write_nothing(tmp_path: Path) -> None:
    data = texts_table(tmp_path / "in.csv", 3)
    with (
        serving(Plan(respond=fails_for(0, 1, 2))) as server,
        pytest.raises(MentallamaError, match=r"no question was answered \(3 "),
    ):
        predict(remote(server), data, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_questions_that_are_added_are_in_the_estimate(tmp_path: Path) -> None:
    data, out, log = texts_table(tmp_path / "in.csv", 40), tmp_path / "out.csv", list[str]()
    with serving(Plan(reply=lambda _: YES, respond=fails_for(7))) as server:
        with pytest.raises(TooManyRejectsError):
            predict(remote(server), data, out)
        server.plan.respond = None
        predict(remote(server), data, out, "DR", "dreaddit", log=log)
    assert any("an estimated 41 requests" in line for line in log)  # one of DR again, and all of dreaddit


def test_a_budget_stops_and_a_larger_one_goes_on_without_paying_twice(tmp_path: Path) -> None:
    data, out, log = texts_table(tmp_path / "in.csv", 60), tmp_path / "out.csv", list[str]()
    prices = {"input_price": 1000.0, "output_price": 1000.0, "max_concurrency": 2, "max_new_tokens": 64}
    with serving(Plan(reply=lambda _: YES)) as server:
        with pytest.raises(MentallamaError, match="budget"):
            predict(remote(server), data, out, budget=1.0, log=log, **prices)
        assert 0 < server.hashes.total() < 60
        summary = predict(remote(server), data, out, budget=1000.0, log=log, **prices)
        assert (set(server.hashes.values()), len(server.hashes)) == ({1}, 60)
    assert summary.cost is not None
    assert 0 < summary.cost < 1000
    assert f"predict: the calls cost {summary.cost:.6g}, in the currency of the prices" in log
    assert sum("estimated" in line or "cost" in line for line in log) >= 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


# --- resuming ------------------------------------------------------------------------------------------


def test_kill_9_and_the_same_command_give_the_bytes_of_an_undisturbed_one(tmp_path: Path) -> None:
    data = texts_table(tmp_path / "in.csv", 120)
    with serving(Plan(reply=lambda _: YES)) as server:
        predict(remote(server), data, tmp_path / "whole.csv")
        once = server.hashes.total()
        server.plan.delay = 0.2
        command = [
            sys.executable, "-m", "mentallama", "predict", "--model", remote(server), "--data", str(data),
            "--task", "DR", "--mode", "free", "--max-concurrency", "8", "--out", str(tmp_path / "out.csv"),
        ]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        killed = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while server.outcomes.total() < once + 60:
            assert killed.poll() is None
            time.sleep(0.01)
        killed.kill()
        assert killed.wait() == -signal.SIGKILL
        assert not (tmp_path / "out.csv").exists()
        server.plan.delay = 0.0
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'out.csv'}\n")
        # no more than what a second of commits may lose, eight calls every 0.2 s, and what was under way
        assert server.hashes.total() - once <= 120 + 8 * 7
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv", "whole.csv"]


def test_answers_of_another_model_are_not_mixed_in(tmp_path: Path, scripted: str) -> None:
    data, out = texts_table(tmp_path / "in.csv", 40), tmp_path / "out.csv"
    with (
        serving(Plan(reply=lambda _: YES, respond=fails_for(7))) as server,
        pytest.raises(TooManyRejectsError),
    ):
        predict(remote(server), data, out)
    before = out.read_bytes()
    with pytest.raises(UsageError, match="this folder holds answers of another model, other settings"):
        predict(scripted, data, out)
    assert out.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet", "out.xlsx", "out.csv.gz"])
def test_a_full_disk_is_one_error_that_names_the_output_and_nothing_is_asked_again(
    name: str, tmp_path: Path
) -> None:
    data = texts_table(tmp_path / "in.csv", 3)
    (tmp_path / f".{name}.partial").symlink_to("/dev/full")
    with serving(Plan(reply=lambda _: YES)) as server:
        with pytest.raises(OSError, match="No space left") as full:
            predict(remote(server), data, tmp_path / name)
        assert str(full.value.filename) == str(tmp_path / name)
        predict(remote(server), data, tmp_path / name)
        assert server.hashes.total() == 3


def test_a_file_of_someone_else_is_not_replaced(scripted: str, tmp_path: Path) -> None:
    data = texts_table(tmp_path / "in.csv", 3)
    (tmp_path / "out.csv").write_text("mine\n")
    for out in ("out.csv", "in.csv"):
        with pytest.raises(UsageError, match="there is such a file already"):
            predict(scripted, data, tmp_path / out)
    (tmp_path / "a.csv.part").mkdir()
    (tmp_path / "a.csv.part/notes.txt").write_text("mine\n")
    with pytest.raises(UsageError, match=r"contains other files, such as notes\.txt"):
        predict(scripted, data, tmp_path / "a.csv")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(UsageError, match="this is a folder; name a file"):
        predict(scripted, data, tmp_path / "b.csv")
    assert (tmp_path / "out.csv").read_text() == "mine\n"


def test_what_a_kill_left_of_a_finished_part_folder_goes(scripted: str, tmp_path: Path) -> None:
    data, out = texts_table(tmp_path / "in.csv", 3), tmp_path / "out.csv"
    predict(scripted, data, out)
    (tmp_path / "out.csv.part").mkdir()
    (tmp_path / "out.csv.part/.lock").touch()
    with pytest.raises(UsageError, match="there is such a file already"):
        predict(scripted, data, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "out.csv"]


def test_a_symbolic_link_is_not_replaced(scripted: str, tmp_path: Path) -> None:
    data = texts_table(tmp_path / "in.csv", 3)
    (tmp_path / "out.csv").symlink_to(tmp_path / "to-come.csv")
    with pytest.raises(UsageError, match="there is such a file already"):
        predict(scripted, data, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").is_symlink()


def test_a_file_that_appears_meanwhile_is_not_replaced_and_a_changed_table_is_said(tmp_path: Path) -> None:
    data, out = texts_table(tmp_path / "in.csv", 3), tmp_path / "out.csv"
    whole = data.read_bytes()

    def meanwhile(_: Body) -> str:
        assert (tmp_path / "out.csv.part").stat().st_mode & 0o077 == 0  # nobody else reads the answers so far
        out.write_text("mine\n")
        return YES

    def cut(_: Body) -> str:
        data.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
        return YES

    with serving(Plan(reply=meanwhile)) as server:
        with pytest.raises(UsageError, match="there is such a file already"):
            predict(remote(server), data, out)
        assert out.read_text() == "mine\n"
        server.plan.reply = cut
        with pytest.raises(DataError, match=r"in\.csv: the table was changed while it was being answered"):
            predict(remote(server), data, tmp_path / "other.csv")
        assert not (tmp_path / "other.csv").exists()
        assert predict(remote(server), data, tmp_path / "other.csv").rows == 2


def test_a_sheet_has_no_more_columns_than_the_format_allows(scripted: str, tmp_path: Path) -> None:
    names = ["text", *(f"c{number}" for number in range(16_374))]
    (tmp_path / "in.csv").write_text(",".join(names) + "\n" + "a," * (len(names) - 1) + "b\n")
    with pytest.raises(UsageError, match=r"would have 16,385 columns, and a sheet has at most 16,384"):
        predict(scripted, tmp_path / "in.csv", tmp_path / "out.xlsx")


def test_a_table_that_cannot_be_read_to_its_end_stops_before_any_question(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('n,text\n1,a\n2,b\n3,"cut off')
    with serving(Plan(reply=lambda _: YES)) as server:
        with pytest.raises(DataError, match=r"in\.csv, row 4: not a table"):
            predict(remote(server), tmp_path / "in.csv", tmp_path / "out.csv")
        assert server.hashes.total() == 0


def test_a_cell_too_long_for_a_workbook_stops_before_any_question(scripted: str, tmp_path: Path) -> None:
    data = write(tmp_path / "in.csv", [{"text": "a", "n": "1"}, {"text": "x" * 40_000, "n": "2"}])
    with pytest.raises(DataError, match=r"in\.csv, row 3: the cell of column 'text' has 40,000 characters"):
        predict(scripted, data, tmp_path / "out.xlsx")
    assert not (tmp_path / "out.xlsx.part").exists()


# --- the command line ----------------------------------------------------------------------------------


Told = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Told:
    """The exit code, standard output and the error stream of the command, given its options and standard input."""

    def run(*arguments: object, stdin: bytes = b"") -> tuple[int, bytes, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["mentallama", "predict", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(str(ended.code or 0))
        captured = capsysbinary.readouterr()
        return code, captured.out, captured.err.decode()

    return run


def test_standard_input_and_output(told: Told, scripted: str, tmp_path: Path) -> None:
    options = ("--model", scripted, "--data", "-", "--task", "DR", "--mode", "free")
    code, out, err = told(*options, "--out", "-", stdin=b"n,text\n1,a walk\n")
    assert (code, [row[2:5] for row in csv.reader(out.decode().splitlines())]) == (
        0,
        [["task", "question", "label"], ["DR", "depression", "yes"]],
    ), err
    code, out, err = told(*options, "--format", "jsonl", "--out", "-", stdin=b'{"text": "a walk", "n": 1}\n')
    assert (code, json.loads(out)["n"], json.loads(out)["label"]) == (0, 1, "yes"), err
    code, out, err = told(*options, "--out", "labelled.tsv", stdin=b"n,text\n1,a walk\n")
    assert (code, out, [path.name for path in tmp_path.iterdir()]) == (
        0,
        b"labelled.tsv\n",
        ["labelled.tsv"],
    ), err


def test_a_closed_standard_output_is_no_success(scripted: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("n,text\n1,a walk\n")
    command = [
        sys.executable, "-m", "mentallama", "predict", "--model", scripted, "--data", "in.csv", "--task", "DR",
        "--out", "-",
    ]  # fmt: skip
    done = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", *command], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "standard output is closed; name the output with --out" in done.stderr


def test_a_file_of_posts_is_answered_as_before_unless_it_is_to_be_a_table(
    told: Told, linear: str, tmp_path: Path
) -> None:
    write_records(tmp_path / "posts.jsonl", [make_post("DR", "test", "so tired", {"depression": "yes"})])
    assert told("--model", linear, "--data", "posts.jsonl", "--out", "folder")[0] == 0
    assert (tmp_path / "folder/predictions.jsonl.zst").is_file()
    code, _, err = told("--model", linear, "--data", "posts.jsonl", "--task", "DR", "--out", "table.jsonl")
    assert code == 0, err
    (row,) = rows_of(tmp_path / "table.jsonl")
    assert (row["labels"], row["label"]) == ({"depression": "yes"}, "yes")


def test_json_lines_from_standard_input_are_recognised(told: Told, scripted: str, tmp_path: Path) -> None:
    options = ("--model", scripted, "--data", "-", "--task", "DR", "--out", "labelled.csv")
    code, _, err = told(*options, stdin=b' {"text": "a walk"}\n')
    assert (code, err) == (2, "mentallama: standard input looks like JSON Lines; add --format jsonl\n")
    assert list(tmp_path.iterdir()) == []


def test_the_sheet_of_a_workbook_can_be_named(told: Told, scripted: str, tmp_path: Path) -> None:
    book = Workbook()
    for sheet, text in ((book.active, "a walk"), (book.create_sheet("May"), "a swim")):
        sheet.append(["text"])
        sheet.append([text])
    book.save(tmp_path / "in.xlsx")
    options = ("--model", scripted, "--data", "in.xlsx", "--task", "DR", "--out", "out.csv")
    code, _, err = told(*options)
    assert (code, "name one with --sheet" in err) == (1, True)
    assert told(*options, "--sheet", "May")[0] == 0
    assert [row["text"] for row in rows_of(tmp_path / "out.csv")] == ["a swim"]


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--split", "test"], 2, "--split is for posts of a run or of the release; a table has neither"),
        (["--sets", "DR"], 2, "--task names the questions"),
        (["--task", "DRR"], 2, "there is no task named 'DRR'; did you mean DR"),
        (["--task", "DR:mood"], 2, "DR has no question 'mood'"),
        (["--format", "xml"], 2, "--format xml: standard input and output are one of csv, tsv, jsonl"),
        (["--form", "verse"], 2, "--form verse: there are instruction and completion"),
        (["--out", "out.txt"], 2, "the name of the output says its format"),
        (["--data", "none.csv"], 2, "none.csv: there is no such file"),
        (["--data", "."], 2, "--task is for a table of your own, and . is a folder"),
        (["--quoting", "odd"], 2, "--quoting odd: there are minimal, backslash, none"),
        (["--data", "/dev/null"], 2, "/dev/null: this is no file; a table from a pipe is read with --data -"),
        (["--data", "-", "--quoting", "none"], 1, "standard input: the file is empty"),
        (["--encoding", "klingon"], 2, "there is no encoding named 'klingon'"),
        (["--encoding", "ascii"], 1, "byte 0xc3 in line 2 is not ascii"),
    ],
)
def test_wrong_use_is_one_sentence(
    options: list[str], code: int, sentence: str, told: Told, scripted: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("n,text\n1,é\n", encoding="utf-8")
    given = {"--model": scripted, "--data": "in.csv", "--task": "DR", "--out": "out.csv"}
    others = [x for pair in given.items() if pair[0] not in options for x in pair]
    found, _, err = told(*options, *others)
    assert (found, err.count("\n")) == (code, 1), err
    assert sentence in err
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]
