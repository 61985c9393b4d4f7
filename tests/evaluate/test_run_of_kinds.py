"""From posts and predictions of every kind of answer to scores, tables and pages."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentallama.answers.format import write_answer
from mentallama.cli.tables import score_notes, score_tables
from mentallama.errors import DataError
from mentallama.evaluate.prediction_source import analyst_predictions
from mentallama.evaluate.run import evaluate_predictions, evaluate_responses
from mentallama.evaluate.score_file import ScoreFile, read_scores
from mentallama.evaluate.scores import (
    NOTHING_TO_FIND,
    ScoredRow,
    compute_scores,
    nothing_to_find,
    score_row,
)
from mentallama.files.record_files import read_records, write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Post, Prediction, Reading, Record, example_of
from mentallama.report.comparison.comparison import read_comparison
from mentallama.report.comparison.comparison_file import comparison_file
from mentallama.report.comparison.systems import read_system
from mentallama.report.run import build_comparison, build_page, render_template
from mentallama.report.run_artifacts import read_run_artifacts
from mentallama.run_files import (
    POSTS_PATH,
    PREDICTIONS_PATH,
    SCORED_ROWS_FILE,
    SCORES_PATH,
)
from mentallama.tasks import write_query
from tests.factories.kind_posts import PHRASES, posts_of_kind
from tests.factories.kind_run import KINDS, kind_tasks, make_kind_run
from tests.factories.model_outputs import write_csv

TASKS = kind_tasks()


def score(run: Path) -> ScoreFile:
    return evaluate_predictions(
        run / POSTS_PATH, analyst_predictions(run / PREDICTIONS_PATH), run / "evaluate", "instruction", TASKS
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two scored runs over the same posts; the second is right more often."""
    folder = tmp_path_factory.mktemp("kinds")
    for name, right in (("first", 0.4), ("second", 0.9)):
        make_kind_run(folder / name, right=right)
        score(folder / name)
    return folder / "first", folder / "second"


def test_every_kind_has_its_metrics(runs: tuple[Path, Path]) -> None:
    first, second = (read_scores(run / SCORES_PATH) for run in runs)
    assert [one.kind for one in first.sets.values()] == list(KINDS)
    assert first.missing == ()
    for name, scores in first.sets.items():
        assert second.sets[name].weighted_f1 > scores.weighted_f1
        assert scores.weighted_f1_interval is not None
        assert scores.undefined == {}
    assert set(first.majority) == {name for name, one in first.sets.items() if one.kind != "spans"}


def test_the_files_of_scores_hold_no_quotation(runs: tuple[Path, Path]) -> None:
    """Predictions and gold answers quote posts; neither scored rows nor scores do."""
    phrases = [phrase for of_label in PHRASES.values() for phrase in of_label]
    quoted = "".join(
        prediction.model_dump_json() for prediction in _records(runs[0] / PREDICTIONS_PATH, Prediction)
    )
    assert any(phrase in quoted for phrase in phrases)
    for name in (SCORED_ROWS_FILE, "explanations.jsonl.zst"):
        text = "".join(row.model_dump_json() for row in _records(runs[0] / "evaluate" / name, Anything))
        assert len(text) > 1000
        assert [phrase for phrase in phrases if phrase in text] == []
    scores = (runs[0] / SCORES_PATH).read_text(encoding="utf-8")
    assert [phrase for phrase in phrases if phrase in scores] == []


class Anything(Record, extra="allow"):
    """A record with any fields."""


def _records(path: Path, kind: type[Record]) -> list[Record]:
    return list(read_records(path, kind))


def test_the_terminal_has_a_table_for_each_kind_and_one_for_the_parts(runs: tuple[Path, Path]) -> None:
    scores = read_scores(runs[0] / SCORES_PATH)
    tables = {table.title: table for table in score_tables(scores)}
    assert list(tables) == [
        "Test, instruction form, answers: an ordered level",
        "Test, instruction form, answers: any number of labels",
        "Test, instruction form, answers: typed quotations",
        "Test, instruction form, answers: the items of a scale",
        "synthetic-multi, by label",
        "synthetic-spans, by type",
        "synthetic-scale, by item",
    ]
    ordinal = tables["Test, instruction form, answers: an ordered level"]
    assert ordinal.header[5:10] == ("accuracy", "macro F1", "quadratic kappa", "mean error", "Spearman")
    scale = tables["synthetic-scale, by item"]
    assert [row[0] for row in scale.rows] == ["sleep", "energy"]
    assert scale.header[1:4] == ("rows", "not filled", "filled without a gold level")
    assert any("Hamming loss" in note for note in score_notes(scores))


def test_a_frame_has_the_columns_of_the_kinds(runs: tuple[Path, Path]) -> None:
    scores = read_scores(runs[0] / SCORES_PATH)
    frame = scores.to_frame().set_index("set")
    assert frame.loc["synthetic-multi", "hamming_loss"] == scores["synthetic-multi"].metrics["hamming_loss"]
    assert frame["quadratic_kappa"].isna().tolist() == [False, True, True, True]
    html = scores._repr_html_()
    assert html.count("<table>") == 4
    assert "partial span F1" in html


def test_the_page_of_a_run(runs: tuple[Path, Path]) -> None:
    page = render_template("page.html.j2", build_page(read_run_artifacts(runs[0], TASKS), "Kinds"))
    for text in (
        "Scores by label, type and item",
        "an answer is typed quotations",
        "Levels stand in their order",
        "synthetic-scale, by item: 2 tables",
        "synthetic-scale, by item; kappa and Spearman’s correlation up to 1, errors in numbers of levels.",
        "filled without a gold level",
    ):
        assert text in page
    # the confusion matrix of the ordinal set has the levels from lowest to highest
    levels = re.findall(r"<th[^>]*scope=\"row\"[^>]*>(minimal|mild|moderate|severe)</th>", page)
    assert levels[:4] == ["minimal", "mild", "moderate", "severe"]


def test_two_runs_side_by_side(runs: tuple[Path, Path]) -> None:
    comparison = read_comparison(runs, TASKS)
    page = render_template("page.md.j2", build_comparison(comparison))
    assert "Hamming loss, of sets whose answer is any number of labels." in page
    # F1 counts other things in each kind, so that no mean is taken over them
    leaderboards = {name for one in comparison.leaderboards for name in one.sets if len(one.sets) == 1}
    assert leaderboards == set(TASKS)
    assert {part.direction for part in comparison.differences.values()} >= {1}
    written = comparison_file(comparison).model_dump_json()
    phrases = [phrase for of_label in PHRASES.values() for phrase in of_label]
    assert [phrase for phrase in phrases if phrase in written] == []


@pytest.mark.parametrize(
    ("kind", "label", "sentence"),
    [
        ("ordinal", "terrible", "'terrible' is not a label of synthetic-ordinal"),
        ("multi", "low mood; sleep", "'low mood; sleep' is not a label of synthetic-multi"),
        ("scale", "sleep: always", "'sleep: always' is not a label of synthetic-scale"),
        ("spans", 'pain: "a secret"', "the label is not a label of synthetic-spans"),
        (
            "spans",
            'sleep: "a secret"',
            "a quotation of the gold answer, for sleep, does not stand in the post",
        ),
    ],
)
def test_gold_answers_that_are_none_of_the_task(tmp_path: Path, kind: str, label: str, sentence: str) -> None:
    make_kind_run(tmp_path)
    posts = [
        post.model_copy(update={"labels": {"about": label}}) if post.set == f"synthetic-{kind}" else post
        for post in read_records(tmp_path / POSTS_PATH, Post)
    ]
    write_records(tmp_path / POSTS_PATH, posts)
    with pytest.raises(DataError, match=re.escape(sentence)) as caught:
        score(tmp_path)
    assert caught.value.file == str(tmp_path / POSTS_PATH)
    assert caught.value.row is not None
    assert "secret" not in str(caught.value)


def test_a_prediction_that_is_no_answer_of_the_task(tmp_path: Path) -> None:
    make_kind_run(tmp_path)
    predictions = list(read_records(tmp_path / PREDICTIONS_PATH, Prediction))
    index = next(
        index
        for index, one in enumerate(predictions)
        if one.reading.label and one.reading.label.startswith("sleep: ") and '"' in one.reading.label
    )
    bad = predictions[index].reading.model_copy(update={"label": 'hunger: "a secret"'})
    predictions[index] = predictions[index].model_copy(update={"reading": bad})
    write_records(tmp_path / PREDICTIONS_PATH, predictions)
    with pytest.raises(DataError, match="synthetic-spans has no label") as caught:
        score(tmp_path)
    assert caught.value.row == index + 1
    assert "secret" not in str(caught.value)


def test_a_set_whose_gold_answers_are_all_empty_has_no_score(tmp_path: Path) -> None:
    make_kind_run(tmp_path)
    posts = [
        post.model_copy(update={"labels": {"about": "none"}}) if post.set == "synthetic-multi" else post
        for post in read_records(tmp_path / POSTS_PATH, Post)
    ]
    write_records(tmp_path / POSTS_PATH, posts)
    scores = score(tmp_path)
    assert scores.missing_reasons == {"synthetic-multi": NOTHING_TO_FIND}
    assert "synthetic-multi" not in scores.sets


def test_outputs_of_other_tools_answer_a_benchmark_of_every_kind(tmp_path: Path) -> None:
    """Two rows of each kind: one is answered rightly in other words of the reason, one is refused."""
    golds = {
        "ordinal": ("mild", "severe"),
        "multi": ("sleep; low mood", "none"),
        "spans": ('sleep: "awake all night"', 'low mood: "feel empty"'),
        "scale": ("sleep: not at all", "sleep: several days; energy: not at all"),
    }
    posts = ["I lie awake all night.", "I feel empty today."]
    for kind in KINDS:
        task = TASKS[f"synthetic-{kind}"]
        queries = [write_query(task, "about", "instruction", post) for post in posts]
        references = [write_answer(task, None, gold, "The reference.") for gold in golds[kind]]
        file = tmp_path / f"release/test_data/test_instruction/{task.set}.csv"
        write_csv(file, {"query": queries, "gpt-3.5-turbo": references})
        outputs = [write_answer(task, None, golds[kind][0], "Another reason."), "I cannot help with that."]
        write_csv(tmp_path / f"outputs/{task.set}.csv", {"goldens": references, "generated_text": outputs})
    scores = evaluate_responses(
        tmp_path / "release", "instruction", tmp_path / "outputs", tmp_path / "scores", tasks=TASKS
    )
    assert scores.missing == ()
    for name, one in scores.sets.items():
        assert (one.n, one.parsed, one.accuracy) == (2, 1, 50.0), name
    assert scores["synthetic-multi"].metrics["hamming_loss"] == 50.0
    assert (
        scores["synthetic-scale"].metrics["band_accuracy"] == 0
    )  # the complete answer is the one that is missing
    rows = list(read_records(tmp_path / "scores" / SCORED_ROWS_FILE, ScoredRow))
    assert [row.gold for row in rows if row.set == "synthetic-spans"] == ["sleep: 2-5", "low mood: 1-3"]


def test_examples_of_the_factory_are_those_of_the_posts(tmp_path: Path) -> None:
    """The predictions answer the test posts, one question each."""
    make_kind_run(tmp_path)
    tested = {
        example_of(post, "about", "instruction").id
        for post in read_records(tmp_path / POSTS_PATH, Post)
        if post.split == "test"
    }
    assert tested == {one.example_id for one in read_records(tmp_path / PREDICTIONS_PATH, Prediction)}


@pytest.mark.parametrize("kind", ["multi", "spans", "scale"])
def test_rows_that_the_scores_were_not_computed_from_are_refused(
    runs: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    """A row of each part counts: one answer changed, or an answer that the task does not have."""
    evaluated = tmp_path / "evaluate"
    shutil.copytree(runs[0] / "evaluate", evaluated)
    rows = list(read_records(evaluated / SCORED_ROWS_FILE, ScoredRow))
    index = next(
        n for n, row in enumerate(rows) if row.set == f"synthetic-{kind}" and row.predicted != "none"
    )
    for answer in ("none", "an answer of another task"):
        changed = [
            row.model_copy(update={"predicted": answer}) if n == index else row for n, row in enumerate(rows)
        ]
        write_records(evaluated / SCORED_ROWS_FILE, changed)
        with pytest.raises(DataError, match=f"rows of synthetic-{kind}"):
            read_system("copy", tmp_path, TASKS)
    write_records(evaluated / SCORED_ROWS_FILE, rows)
    assert read_system("copy", tmp_path, TASKS).scores == read_scores(runs[0] / SCORES_PATH)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000))
def test_scores_of_any_answers_are_in_their_ranges(kind: str, seed: int) -> None:
    """Gold answers of posts, predictions drawn from those of others, some missing."""
    task, draw = TASKS[f"synthetic-{kind}"], random.Random(seed)
    posts = posts_of_kind(task, seed)[:12]
    answers = [post.labels["about"] for post in posts]
    rows = []
    for post in posts:
        reading = Reading(status="parsed", label=draw.choice(answers))
        if draw.random() < 0.2:
            reading = Reading(status="refused", reason="made up")
        rows.append(score_row(example_of(post, "about", "instruction"), reading, {}, task))
    if nothing_to_find(rows, task):
        return
    scores = compute_scores(rows, task, Resampling(resamples=5))
    highest = {"quadratic_kappa": 1, "item_quadratic_kappa": 1, "spearman": 1, "sum_correlation": 1}
    highest |= {"mean_absolute_error": 3, "worst_case_absolute_error": 3, "item_absolute_error": 2}
    highest |= {"sum_absolute_error": 4}
    for name, value in scores.metrics.items():
        lowest = -1 if highest.get(name) == 1 else 0
        assert lowest <= value <= highest.get(name, 100), name
    assert scores.metrics.get("exact_span_f1", 0) <= scores.metrics.get("partial_span_f1", 0)
    for part in scores.parts.values():
        assert sum(sum(line.values()) for line in part.confusion.values()) == len(rows)
    exact = sum(row.correct for row in rows)
    assert scores.accuracy == pytest.approx(100 * exact / len(rows), abs=1e-4)
    if exact == len(rows):
        assert scores.weighted_f1 == 100
