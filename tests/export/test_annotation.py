"""The exports for Label Studio and Argilla: their SDKs validate them, and evidence is where it is in the post."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.quotations import QuoteMatch
from mentallama.check.gate_runner import QuoteMatches
from mentallama.errors import DataError, UsageError
from mentallama.export import export
from mentallama.export.source import ExportSource
from mentallama.files.record_files import read_records, write_records
from mentallama.predict.questions import QuestionRow
from mentallama.records import Post, Prediction, Reading, Span, example_id, example_of
from mentallama.run_files import POSTS_PATH, PREDICTIONS_PATH
from mentallama.tasks import load_tasks
from tests.factories.export_run import AUTHOR, COUNTS, FIRST, make_posts, make_run
from tests.factories.export_tools import needs_tools, run_script

N_POSTS = sum(COUNTS.values())
FORMATS = ("label-studio", "argilla")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def exports(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both exports of the run's predictions."""
    folder = tmp_path_factory.mktemp("exports")
    for name in FORMATS:
        exported(name, run, folder / name)
    return folder


def exported(format_name: str, source: Path, out: Path, posts: Path | None = None) -> Path:
    export(format_name, ExportSource(source, load_tasks(), posts=posts), out)
    return out


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def results(task: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    [prediction] = task["predictions"]
    return [result for result in prediction["result"] if result["type"] == kind]


@needs_tools
def test_label_studio_accepts_configurations_tasks_and_predictions(exports: Path, tmp_path: Path) -> None:
    found = run_script("validate_label_studio.py", exports / "label-studio", home=tmp_path)
    assert [found[name]["faults"] for name in ("CLP", "Irf")] == [[], []]
    assert [(found[name]["tasks"], found[name]["regions"]) for name in ("CLP", "Irf")] == [
        (N_POSTS, N_POSTS),
        (N_POSTS, 2 * N_POSTS),
    ]
    assert found["CLP"]["controls"] == ["evidence", "explanation_depression", "label_depression"]
    assert found["CLP"]["labels"] == {"label_depression": ["yes", "no"]}


@needs_tools
def test_label_studio_would_find_faults(exports: Path, tmp_path: Path) -> None:
    """The validation above is none of nothing: a label of no choice and a control of no name are faults."""
    folder = tmp_path / "damaged/CLP"
    folder.mkdir(parents=True)
    for path in (exports / "label-studio/CLP").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    tasks = read(folder / "test.json")
    results(tasks[0], "choices")[0]["value"]["choices"] = ["perhaps"]
    results(tasks[1], "textarea")[0]["from_name"] = "nobody"
    (folder / "test.json").write_text(json.dumps(tasks), encoding="utf-8")
    faults = run_script("validate_label_studio.py", tmp_path / "damaged", home=tmp_path / "home")["CLP"][
        "faults"
    ]
    assert len(faults) == 2


@needs_tools
def test_argilla_builds_settings_and_records(exports: Path, tmp_path: Path) -> None:
    found = run_script("build_argilla.py", exports / "argilla", home=tmp_path)
    assert {name: part["records"] for name, part in found.items()} == {"CLP": N_POSTS, "Irf": N_POSTS}
    assert found["CLP"]["questions"] == ["depression_label", "depression_explanation", "depression_evidence"]
    assert found["CLP"]["passages"] == ["sang"] * N_POSTS  # after an emoji
    assert len(found["Irf"]["passages"]) == 2 * N_POSTS


def test_a_task_holds_label_explanation_and_evidence(exports: Path) -> None:
    first, *rest = read(exports / "label-studio/CLP/test.json")
    assert len(rest) == COUNTS["test"] - 1
    [prediction] = first["predictions"]
    assert (prediction["model_version"], prediction["score"]) == ("linear:tiny", 0.75)
    assert results(first, "choices")[0]["value"] == {"choices": ["yes"]}
    assert results(first, "textarea")[0]["value"] == {"text": ["It says so."]}
    [region] = (result["value"] for result in results(first, "labels"))
    assert (region["text"], region["labels"]) == ("sang", ["depression"])
    assert first["data"]["text"][region["start"] : region["end"]] == "sang"
    assert first["data"]["split"] == "test"


@pytest.mark.parametrize("name", FORMATS)
def test_neither_authors_nor_labels_of_the_data_set_are_exported(run: Path, exports: Path, name: str) -> None:
    content = "".join(
        path.read_text(encoding="utf-8") for path in (exports / name).rglob("*") if path.is_file()
    )
    assert AUTHOR not in content
    assert '"label": "no"' not in content
    assert any("no" in post.labels.values() for post in read_records(run / POSTS_PATH, Post))


def test_an_answer_without_a_label_is_a_task_without_a_choice(run: Path, tmp_path: Path) -> None:
    posts = [post for post in make_posts() if post.set == "CLP"][:1]
    write_records(tmp_path / POSTS_PATH, posts)
    refused = Prediction(
        example_id=example_of(posts[0], "depression", "completion").id,
        reading=Reading(status="refused", reason="declined"),
        model="remote:m",
    )
    write_records(tmp_path / PREDICTIONS_PATH, [refused])
    [task] = read(exported("label-studio", tmp_path, tmp_path / "out") / "CLP/train.json")
    assert task["predictions"] == [{"model_version": "remote:m", "result": []}]
    [record] = read(exported("argilla", tmp_path, tmp_path / "argilla") / "CLP/train.json")
    assert record["suggestions"] == {}


def test_predictions_without_a_recipe_take_their_posts_from_elsewhere(run: Path, tmp_path: Path) -> None:
    """Here a question of another set is asked about a post, as predict --all does."""
    post = make_posts()[0]
    example = example_id(post.id, "stress", "instruction", "dreaddit")
    reading = Reading(status="parsed", label="no", explanation="Calm.")
    folder = tmp_path / "answers"
    write_records(
        folder / "predictions.jsonl.zst", [Prediction(example_id=example, reading=reading, model="m")]
    )
    row = QuestionRow(
        example_id=example, post_id=post.id, task="dreaddit", question="stress", file="made-up.csv", row=2
    )
    write_records(folder / "questions.jsonl.zst", [row])
    with pytest.raises(UsageError, match="name with --posts what --data of predict named"):
        exported("label-studio", folder, tmp_path / "out")
    [task] = read(exported("label-studio", folder, tmp_path / "out", run) / "dreaddit/train.json")
    assert results(task, "choices")[0]["value"] == {"choices": ["no"]}
    assert task["data"]["text"] == post.text


def test_posts_of_other_predictions_are_refused(run: Path, tmp_path: Path) -> None:
    stranger = make_posts()[0].model_copy(update={"id": "stranger"})
    write_records(tmp_path / "posts.jsonl", [stranger])
    with pytest.raises(UsageError, match="none of the predictions is about one of the posts"):
        exported("argilla", run / "predict", tmp_path / "out", tmp_path / "posts.jsonl")


def test_a_data_set_is_exported_with_the_quotations_of_its_teacher(run: Path, tmp_path: Path) -> None:
    check = make_run(tmp_path / "run") / "check"
    post = make_posts()[0]
    quotes = (QuoteMatch(kind="exact", spans=(Span(start=4, end=10),)), QuoteMatch(kind="not_found"))
    line = QuoteMatches(
        example_id=example_of(post, "depression", "instruction").id, model=FIRST, quotes=quotes
    )
    write_records(check / "quotes.jsonl.zst", [line])
    task = read(exported("label-studio", check, tmp_path / "out") / "CLP/train.json")[0]
    assert results(task, "labels")[0]["value"]["text"] == "kettle"
    assert results(task, "textarea")[0]["value"]["text"] == ["The post says “The kettle 🫖 sang 0 ”."]
    assert task["predictions"][0]["model_version"] == FIRST


def test_overlapping_evidence_is_one_span_in_argilla(tmp_path: Path) -> None:
    """Argilla refuses overlaps: of 0-4, 2-6, 6-8 the second goes; empty spans go too."""
    post = next(post for post in make_posts() if post.set == "CLP")
    write_records(tmp_path / POSTS_PATH, [post])
    spans = tuple(Span(start=start, end=end) for start, end in ((2, 6), (0, 4), (6, 8), (9, 9)))
    prediction = Prediction(
        example_id=example_of(post, "depression", "instruction").id,
        reading=Reading(status="parsed", label="yes"),
        evidence=spans,
        model="m",
    )
    write_records(tmp_path / PREDICTIONS_PATH, [prediction])
    [record] = read(exported("argilla", tmp_path, tmp_path / "out") / "CLP/train.json")
    evidence = record["suggestions"]["depression_evidence"]["value"]
    assert [(span["start"], span["end"]) for span in evidence] == [(0, 4), (6, 8)]


EVIDENCE = (
    {"start": 4, "end": 8, "text": "tea.", "weight": 1.5},
    {"start": 2, "end": 3, "text": "a", "weight": -0.5},  # speaks against the label
)


def table_row(body: str, question: str, label: str | None, evidence: object = ()) -> dict[str, object]:
    """A row as predict adds its columns to a user's."""
    status = "refused" if label is None else "parsed"
    return {
        "id": "u1", "body": body, "task": "Irf", "question": question, "label": label,
        "probability": None if label is None else 0.75, "probabilities": {}, "status": status,
        "reason": "declined" if label is None else None, "explanation": "So it says.", "evidence": list(evidence),
        "model": "linear:m",
    }  # fmt: skip


def table_rows() -> list[dict[str, object]]:
    first, second = load_tasks()["Irf"].questions
    return [
        table_row("🐕 a tea.", first, "yes", EVIDENCE),
        table_row("🐕 a tea.", second, None),
        table_row("🐕 a tea.", first, "no"),  # the same text again is another row of the user's
        table_row("", first, None),
    ]


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            nested = {name: json.dumps(row[name]) for name in ("probabilities", "evidence")}
            writer.writerow({name: "" if value is None else value for name, value in row.items()} | nested)


def write_json_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize(("name", "write"), [("mine.csv", write_csv), ("mine.jsonl", write_json_lines)])
def test_a_table_that_predict_answered_is_exported(
    tmp_path: Path, name: str, write: Callable[[Path, list[dict[str, object]]], None]
) -> None:
    write(tmp_path / name, table_rows())
    out = exported("label-studio", tmp_path / name, tmp_path / "out")
    first, again = read(out / "Irf/posts.json")
    [region] = (result["value"] for result in results(first, "labels"))
    assert first["data"]["text"][region["start"] : region["end"]] == region["text"] == "tea."
    assert [result["value"] for result in results(first, "choices")] == [
        {"choices": ["yes"]}
    ]  # one was refused
    assert [result["value"] for result in results(again, "choices")] == [{"choices": ["no"]}]
    first_row = 2 if name.endswith("csv") else 1
    assert (first["data"]["post_id"], again["data"]["post_id"]) == (str(first_row), str(first_row + 2))
    readme = (out / "README.md").read_text(encoding="utf-8")
    assert "personal details were not replaced" in readme
    assert "## Terms" not in readme  # those of a published set are not those of a user's own posts


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"model": None}, "not an Answer record: see model"),
        ({"evidence": "[{"}, "not an Answer record: see evidence"),
        ({"question": "mood"}, "that the task Irf does not have"),
        ({"label": "perhaps"}, "that the task Irf does not have"),
        (
            {"body": "A title\n\n🐕 a tea."},
            "row 1: the evidence is not where it should be in the column 'body'",
        ),
    ],
)
def test_a_table_with_other_answers_is_refused(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    write_json_lines(tmp_path / "mine.jsonl", [row | change for row in table_rows()[:1]])
    with pytest.raises(DataError, match=problem):
        exported("argilla", tmp_path / "mine.jsonl", tmp_path / "out")


def test_half_a_surrogate_pair_in_a_post_is_exported_as_a_mark(tmp_path: Path) -> None:
    evidence = [{"start": 0, "end": 3, "text": "\ufffd a", "weight": 1.0}]  # predict reads the mark
    row = table_rows()[0] | {"body": "\ud83d a tea.", "evidence": evidence}
    write_json_lines(tmp_path / "mine.jsonl", [row])
    for tool in ("label-studio", "argilla"):
        assert "\ufffd a tea." in (
            exported(tool, tmp_path / "mine.jsonl", tmp_path / tool) / "Irf/posts.json"
        ).read_text(encoding="utf-8")


def test_a_table_without_answers_or_posts_is_refused(tmp_path: Path) -> None:
    rows = table_rows()[:1]
    write_json_lines(tmp_path / "wide.jsonl", [{"body": "x", "label": "yes"}])
    with pytest.raises(UsageError, match="the column 'task' is missing"):
        exported("argilla", tmp_path / "wide.jsonl", tmp_path / "out")
    write_json_lines(
        tmp_path / "mine.jsonl", [{("words" if key == "body" else key): rows[0][key] for key in rows[0]}]
    )
    with pytest.raises(
        UsageError, match="name the column of the posts with --text; there are id, words, task"
    ):
        exported("argilla", tmp_path / "mine.jsonl", tmp_path / "out")
    export(
        "argilla", ExportSource(tmp_path / "mine.jsonl", load_tasks(), text_column="words"), tmp_path / "out"
    )
    assert len(read(tmp_path / "out/Irf/posts.json")) == 1


@pytest.mark.parametrize("wanted", [None, "BODY"])
def test_the_column_of_the_posts_is_found_in_any_case_as_predict_finds_it(
    tmp_path: Path, wanted: str | None
) -> None:
    write_json_lines(tmp_path / "mine.jsonl", [{"Body": row.pop("body"), **row} for row in table_rows()])
    source = ExportSource(tmp_path / "mine.jsonl", load_tasks(), text_column=wanted)
    export("argilla", source, tmp_path / "out")
    assert len(read(tmp_path / "out/Irf/posts.json")) == 2


def test_two_columns_with_usual_names_are_not_guessed_between(tmp_path: Path) -> None:
    write_json_lines(tmp_path / "mine.jsonl", [{"post": "a title", **row} for row in table_rows()])
    with pytest.raises(
        UsageError, match="name the column of the posts with --text; there are post, id, body"
    ):
        exported("argilla", tmp_path / "mine.jsonl", tmp_path / "out")


def test_the_file_of_predictions_stands_for_its_folder(run: Path, exports: Path, tmp_path: Path) -> None:
    out = exported("label-studio", run / PREDICTIONS_PATH, tmp_path / "out")
    assert (out / "CLP/test.json").read_bytes() == (exports / "label-studio/CLP/test.json").read_bytes()
