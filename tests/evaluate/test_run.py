"""Evaluate, from files to files: outputs aligned with the benchmark, predictions joined with posts."""

from pathlib import Path

import pandas as pd
import pytest

from mentallama.answers.format import write_answer
from mentallama.cli.tables import score_notes, score_table
from mentallama.errors import DataError, UsageError
from mentallama.evaluate.prediction_source import PredictionSource, analyst_predictions, teacher_answers
from mentallama.evaluate.published.paper_results import in_paper_order, load_paper_results
from mentallama.evaluate.run import evaluate_predictions, evaluate_responses
from mentallama.evaluate.score_file import read_scores
from mentallama.evaluate.scores import ScoredRow
from mentallama.files.atomic import write_json
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.records import Post, Prediction, Provenance, Reading, Response, UpstreamLabels, example_of
from mentallama.tasks import find_task, load_tasks, write_query
from tests.factories.model_outputs import write_csv, write_outputs

DR = find_task("DR")
GOLD = ["yes", "no", "yes", "no"]
EXPLANATIONS = ["made up one", 'made up two, with a \\ and a "quote"', "made up\nthree", "made up four"]
GOLDENS = [write_answer(DR, None, label, why) for label, why in zip(GOLD, EXPLANATIONS, strict=True)]


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    """A release with one set of four made-up rows and an expert file of one."""
    queries = [write_query(DR, "depression", "instruction", f"made-up post {i}") for i in range(4)]
    root = tmp_path / "release"
    write_csv(root / "test_data/test_instruction/DR.csv", {"query": queries, "gpt-3.5-turbo": GOLDENS})
    expert = [write_answer(DR, None, "yes", "by an expert")]
    file = root / "human_evaluation/test_instruction_expert/DR.csv"
    write_csv(file, {"query": queries[:1], "gpt-3.5-turbo": expert})
    return root


def test_references_score_100_and_empty_answers_0(benchmark: Path, tmp_path: Path) -> None:
    reference = evaluate_responses(benchmark, "instruction", "reference", tmp_path / "reference")
    empty = evaluate_responses(benchmark, "instruction", "empty", tmp_path / "empty")
    set_scores = reference.sets["DR"]
    assert (set_scores.weighted_f1, set_scores.accuracy, set_scores.metrics["macro_f1"]) == (
        100.0,
        100.0,
        100.0,
    )
    assert set_scores.weighted_f1_interval == (100.0, 100.0)
    assert (empty.sets["DR"].weighted_f1, empty.sets["DR"].parsed, empty.sets["DR"].unparsed) == (0.0, 0, 4)
    assert set(reference.missing) == set(load_tasks()) - {"DR"}
    assert reference.missing_reasons["CLP"] == "the benchmark has no test file for it"


def test_written_files_read_back_and_are_reproducible(benchmark: Path, tmp_path: Path) -> None:
    scores = evaluate_responses(benchmark, "instruction", "reference", tmp_path / "a", as_published=True)
    evaluate_responses(benchmark, "instruction", "reference", tmp_path / "b", as_published=True)
    assert read_scores(tmp_path / "a/scores.json") == scores
    for name in ("scores.json", "rows.jsonl.zst", "readers_differ.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    rows = list(read_records(tmp_path / "a/rows.jsonl.zst", ScoredRow))
    assert [row.gold for row in rows] == GOLD
    assert len({row.example_id for row in rows}) == 4


@pytest.mark.parametrize("escapechar", ["\\", None])
def test_outputs_written_by_pandas(benchmark: Path, tmp_path: Path, escapechar: str | None) -> None:
    # Backslashes and quotes in goldens and outputs survive both ways of writing.
    texts = [GOLDENS[0], GOLDENS[1], 'I cannot provide a diagnosis. \\"', "No."]
    folder = tmp_path / "outputs"
    folder.mkdir()
    frame = pd.DataFrame({"goldens": GOLDENS, "generated_text": texts})
    frame.to_csv(folder / "DR.csv", index=False, escapechar=escapechar)
    scores = evaluate_responses(benchmark, "instruction", folder, tmp_path / "out").sets["DR"]
    # gold yes: yes, refused; gold no: no, no
    assert (scores.accuracy, scores.refused) == (75.0, 1)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_outputs_saved_by_a_spreadsheet(
    benchmark: Path, tmp_path: Path, delimiter: str, encoding: str
) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    frame = pd.DataFrame(
        {"goldens": GOLDENS, "generated_text": [f"{golden}\n; so, yes" for golden in GOLDENS]}
    )
    frame.to_csv(folder / "DR.csv", index=False, sep=delimiter, encoding=encoding, lineterminator="\r\n")
    assert evaluate_responses(benchmark, "instruction", folder, tmp_path / "out").sets["DR"].accuracy == 100.0


@pytest.mark.parametrize(
    ("before", "header", "delimiter", "after"),
    [
        ("\n\r\n", "goldens,generated_text", ",", ""),
        ("sep=;\r\n", "goldens;generated_text", ";", ""),
        ("", "Goldens, Generated_Text ", ",", ""),
        ("", "goldens,generated_text", ",", "\n,\n \n\x1a"),
    ],
)
def test_what_stands_around_outputs_is_passed_over(
    before: str, header: str, delimiter: str, after: str, benchmark: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    quoted = ['"' + golden.replace('"', '""') + '"' for golden in GOLDENS]
    rows = "".join(f"\n{golden}{delimiter}{golden}" for golden in quoted)
    (folder / "DR.csv").write_text(before + header + rows + "\n" + after, encoding="utf-8", newline="")
    assert evaluate_responses(benchmark, "instruction", folder, tmp_path / "out").sets["DR"].accuracy == 100.0


def test_outputs_that_are_cut_off_are_an_error(benchmark: Path, tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "o", GOLDENS, [f"{golden}\nIt says so." for golden in GOLDENS])
    whole = (folder / "DR.csv").read_bytes().rstrip()
    (folder / "DR.csv").write_bytes(whole[:-4])
    with pytest.raises(DataError, match="row 5: not a CSV file; it may be truncated"):
        evaluate_responses(benchmark, "instruction", folder, tmp_path / "out")


def test_outputs_in_another_order_are_reordered(benchmark: Path, tmp_path: Path) -> None:
    backwards = GOLDENS[::-1]
    scores = evaluate_responses(
        benchmark, "instruction", write_outputs(tmp_path / "o", backwards, backwards), tmp_path / "out"
    )
    assert scores.matched_files["DR"].aligned_by == "references"
    assert scores.sets["DR"].accuracy == 100.0
    assert "reordered by reference text" in score_notes(scores)[-1]


def test_outputs_of_the_expert_file(benchmark: Path, tmp_path: Path) -> None:
    reference = [write_answer(DR, None, "yes", "by an expert")]
    folder = write_outputs(tmp_path / "o", reference, ["Yes."])
    scores = evaluate_responses(benchmark, "instruction", folder, tmp_path / "out")
    assert scores.matched_files["DR"].file == "human_evaluation/test_instruction_expert/DR.csv"
    assert (scores.sets["DR"].n, scores.sets["DR"].weighted_f1_interval) == (1, None)


@pytest.mark.parametrize(
    ("goldens", "row", "message"),
    [
        (GOLDENS[:3], 5, "3 rows where"),  # the first that is not there
        ([*GOLDENS, "Yes."], 6, "5 rows where"),
        ([GOLDENS[0], "another", *GOLDENS[2:]], 3, "its reference is not the one"),
        ([GOLDENS[0], GOLDENS[0], *GOLDENS[2:]], 3, "its reference is not the one"),
    ],
)
def test_outputs_of_another_file_are_an_error(
    benchmark: Path, tmp_path: Path, goldens: list[str], row: int, message: str
) -> None:
    folder = write_outputs(tmp_path / "o", goldens, ["Yes."] * len(goldens))
    with pytest.raises(DataError, match=message) as error:
        evaluate_responses(benchmark, "instruction", folder, tmp_path / "out")
    assert (error.value.row, error.value.file) == (row, str(folder / "DR.csv"))
    assert "made up" not in str(error.value)
    assert not (tmp_path / "out/scores.json").exists()


def test_wrong_columns_and_incomplete_rows(benchmark: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "o/DR.csv", {"golden": GOLDENS, "text": GOLDENS})
    with pytest.raises(DataError, match="no columns goldens and generated_text"):
        evaluate_responses(benchmark, "instruction", tmp_path / "o", tmp_path / "out")
    (tmp_path / "o/DR.csv").write_text("goldens,generated_text\na,b\nc\n")
    with pytest.raises(DataError, match="row 3: 1 cells"):
        evaluate_responses(benchmark, "instruction", tmp_path / "o", tmp_path / "out")


def test_nothing_to_evaluate(benchmark: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    for responses, message in [
        ("gold", "reference or empty"),
        (tmp_path / "absent", "no such folder"),
        (tmp_path / "none", "named after a set"),
    ]:
        with pytest.raises(UsageError, match=message):
            evaluate_responses(benchmark, "instruction", responses, tmp_path / "out")
    with pytest.raises(UsageError, match="completion"):
        evaluate_responses(benchmark, "completion", "reference", tmp_path / "out")


def test_files_not_named_after_a_set_are_listed(benchmark: Path, tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "o", GOLDENS, GOLDENS)
    write_csv(folder / "DReaddit2.csv", {"goldens": [], "generated_text": []})
    assert evaluate_responses(benchmark, "instruction", folder, tmp_path / "out").unused == ("DReaddit2.csv",)


def test_a_reference_without_a_label_is_an_error(tmp_path: Path) -> None:
    query = write_query(DR, "depression", "instruction", "made up")
    file = tmp_path / "test_data/test_instruction/DR.csv"
    write_csv(file, {"query": [query], "gpt-3.5-turbo": ["Perhaps."]})
    with pytest.raises(DataError, match="row 2: the reference is unparsed"):
        evaluate_responses(tmp_path, "instruction", "empty", tmp_path / "out")


# --- predictions ------------------------------------------------------------------------------


def post(number: int, label: str | None, split: str = "test", set_: str = "DR") -> Post:
    return Post.model_validate(
        {
            "id": f"post{number}",
            "set": set_,
            "split": split,
            "text": "made up",
            "labels": {} if label is None else {"depression": label},
            "provenance": Provenance(file="f", row=number, origin="table", synthetic=True),
        }
    )


POSTS = [post(0, "yes"), post(1, "no"), post(2, "yes", "train"), post(3, None), post(4, "no")]
IDS = [example_of(item, "depression", "instruction").id for item in POSTS]


def prediction(example_id: str, label: str = "yes", share: float = 0.75) -> Prediction:
    other = {"yes": "no", "no": "yes"}.get(label, "no")
    return Prediction(
        example_id=example_id,
        reading=Reading(status="parsed", label=label),
        probabilities={label: share, other: 1 - share},
        model="scripted",
    )


def predicted(
    folder: Path, predictions: list[Prediction], posts: list[Post] = POSTS
) -> tuple[Path, PredictionSource, Path]:
    write_records(folder / "posts.jsonl.zst", posts)
    write_records(folder / "predictions.jsonl.zst", predictions)
    source = analyst_predictions(folder / "predictions.jsonl.zst")
    return folder / "posts.jsonl.zst", source, folder / "out"


def test_predictions_are_joined_by_id(tmp_path: Path) -> None:
    # IDS[2] is a training post: it has no score, and does not count as unused
    predictions = [prediction(IDS[4]), prediction(IDS[0]), prediction(IDS[1], "no"), prediction(IDS[2])]
    predictions.append(prediction("stranger"))
    scores = evaluate_predictions(*predicted(tmp_path, predictions), "instruction", load_tasks())
    set_scores = scores.sets["DR"]
    assert (set_scores.n, set_scores.accuracy) == (3, round(200 / 3, 4))
    assert scores.unlabelled == {"DR": 1}
    assert scores.unused == ("stranger",)
    assert scores.source["model"] == "scripted"
    # two right, one wrong, all at 0.75: |0.75 - 2/3| = 0.083333; Brier (0.125 + 0.125 + 1.125) / 3
    assert set_scores.calibration is not None
    assert (set_scores.calibration.ece, set_scores.calibration.brier) == (0.083333, 0.458333)


def test_a_set_with_missing_predictions_has_no_score(tmp_path: Path) -> None:
    scores = evaluate_predictions(*predicted(tmp_path, [prediction(IDS[0])]), "instruction", load_tasks())
    assert scores.sets == {}
    assert scores.missing_reasons["DR"] == "2 labelled test rows have no prediction"
    assert scores.missing_rows == {"DR": (IDS[1], IDS[4])}
    assert scores.missing_reasons["SAD"] == "there are no labelled test posts for it"
    assert read_json(tmp_path / "out/scores.json")["missing_rows"] == {"DR": [IDS[1], IDS[4]]}


def test_a_sample_is_scored_if_all_its_rows_have_a_prediction(tmp_path: Path) -> None:
    for size, scored in ((1, True), (2, False)):
        posts, _, out = predicted(tmp_path, [prediction(IDS[0])])
        write_json(tmp_path / "summary.json", {"sampled": {"test": {"DR": {"rows": size, "of": 3}}}})
        source = analyst_predictions(tmp_path / "predictions.jsonl.zst", tmp_path / "summary.json")
        scores = evaluate_predictions(posts, source, out, "instruction", load_tasks())
        assert ("DR" in scores.sets) == scored
        assert {name: (one.rows, one.of) for name, one in scores.samples.items()} == (
            {"DR": (1, 3)} if scored else {}
        )
        assert ("DR" in scores.missing_rows) != scored


def test_predictions_of_the_other_form_are_unused(tmp_path: Path) -> None:
    scores = evaluate_predictions(*predicted(tmp_path, [prediction(IDS[0])]), "completion", load_tasks())
    assert (len(scores.missing_rows["DR"]), scores.unused) == (3, (IDS[0],))


@pytest.mark.parametrize(
    ("predictions", "posts", "message"),
    [
        ([prediction(IDS[0]), prediction(IDS[0])], POSTS, "row 2: a second prediction"),
        ([prediction(IDS[0], "perhaps")], POSTS, "row 1: DR has no label 'perhaps'"),
        ([prediction(IDS[0])], [post(0, "maybe")], "row 1: 'maybe' is not a label"),
        ([prediction(IDS[0])], [post(0, "yes", set_="Mine")], "there is no task named 'Mine'"),
    ],
)
def test_invalid_predictions_and_posts(
    tmp_path: Path, predictions: list[Prediction], posts: list[Post], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        evaluate_predictions(*predicted(tmp_path, predictions, posts), "instruction", load_tasks())


# --- a teacher's answers ---------------------------------------------------------------------------


def test_a_teachers_answers_are_read_and_scored_as_a_models_are(tmp_path: Path) -> None:
    posts, file = tmp_path / "posts.jsonl.zst", tmp_path / "responses.jsonl.zst"
    write_records(posts, POSTS)
    answers = [
        (IDS[0], "Yes, the poster suffers from depression. Reasoning: It says so.", "stop"),
        (IDS[1], '{"label": "yes", "explanation": "It says so.", "evidence": []}', "stop"),
        (IDS[2], "Yes.", "stop"),  # a training post
        (IDS[4], "I can", "content_filter"),
        ("erased", "Yes.", "stop"),
    ]
    write_records(
        file,
        [Response(example_id=i, text=text, model="remote:m", finish_reason=end) for i, text, end in answers],
    )
    tasks = load_tasks()
    source = teacher_answers(file, posts, "instruction", tasks)
    scores = evaluate_predictions(posts, source, tmp_path / "out", "instruction", tasks)
    # gold yes, no, no: one right, one wrong, one refused
    set_scores = scores.sets["DR"]
    assert (set_scores.n, set_scores.accuracy, set_scores.refused) == (3, round(100 / 3, 4), 1)
    assert set_scores.calibration is None
    assert scores.source["model"] == "remote:m"
    assert scores.unused == ()


# --- tables -----------------------------------------------------------------------------------


def test_the_table_shows_both_readers(benchmark: Path, tmp_path: Path) -> None:
    folder = write_outputs(tmp_path / "o", GOLDENS, ["Yes.", "I cannot tell.", "", "No."])
    table = score_table(
        evaluate_responses(benchmark, "instruction", folder, tmp_path / "out", as_published=True)
    )
    # ours: yes, unparsed, unparsed, no -> accuracy 50; theirs: yes, no ("cannot"), no by default, no -> 75
    (row,) = (dict(zip(table.header, row, strict=True)) for row in table.rows)
    assert row["accuracy"] == "50.00"
    assert row["accuracy as published"] == "75.00"


def test_the_papers_numbers_are_those_of_its_table_2() -> None:
    paper = load_paper_results()
    columns = ["CAMS", "CLP", "DR", "dreaddit", "Irf", "loneliness", "MultiWD", "SAD", "swmh", "t-sid"]
    assert list(paper.sets) == columns
    printed = (45.52, 52.61, 85.68, 75.79, 76.49, 85.10, 75.11, 63.62, 71.70, 75.31)
    assert paper.highlighted().name == "MentaLLaMA-chat-13B"
    assert paper.highlighted().weighted_f1 == dict(zip(columns, printed, strict=True))
    held_out = {"CAMS": 27.22, "dreaddit": 71.98, "Irf": 65.51, "t-sid": 70.70}
    assert paper.highlighted(held_out=True).weighted_f1 == held_out
    assert all(model.weighted_f1.keys() <= set(columns) for model in (*paper.test, *paper.held_out))
    assert in_paper_order(["mine", "SAD", "CAMS"]) == ["CAMS", "SAD", "mine"]


# --- the real files ---------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.parametrize("form", ["instruction", "completion"])
def test_published_references_score_100_and_empty_answers_0(data: Path, tmp_path: Path, form: str) -> None:
    reference = evaluate_responses(data / "release", form, "reference", tmp_path / "g")  # type: ignore[arg-type]
    empty = evaluate_responses(data, form, "empty", tmp_path / "e")  # type: ignore[arg-type]
    assert len(reference.sets) >= 8
    assert sum(set_scores.n for set_scores in reference.sets.values()) > 4_000
    for set_scores in reference.sets.values():
        assert (set_scores.weighted_f1, set_scores.metrics["macro_f1"], set_scores.accuracy) == (
            100.0,
            100.0,
            100.0,
        )
        assert set_scores.weighted_f1_interval == (100.0, 100.0)
    for set_scores in empty.sets.values():
        assert (set_scores.parsed, set_scores.unparsed, set_scores.weighted_f1, set_scores.accuracy) == (
            0,
            set_scores.n,
            0.0,
            0.0,
        )


def test_scores_replace_earlier_scores_but_no_file_of_the_users(benchmark: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    evaluate_responses(benchmark, "instruction", "reference", out, as_published=True)
    evaluate_responses(benchmark, "instruction", "empty", out)
    names = {"manifest.json", "rows.jsonl.zst", "explanations.jsonl.zst", "scores.json"}
    assert {path.name for path in out.iterdir()} == names
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/scores.json").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"scores\.json: evaluate --benchmark did not make this file"):
        evaluate_responses(benchmark, "instruction", "reference", tmp_path / "mine")
    assert (tmp_path / "mine/scores.json").read_text(encoding="utf-8") == "mine"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["scores.json"]


def test_predictions_are_scored_against_upstream_labels_too(tmp_path: Path) -> None:
    posts, source, out = predicted(
        tmp_path, [prediction(IDS[0]), prediction(IDS[1], "no"), prediction(IDS[4])]
    )
    ids = [post.id for post in read_records(posts, Post)]
    upstream = tmp_path / "upstream_labels.jsonl.zst"
    labels = [UpstreamLabels(post_id=ids[1], set="DR", labels={"depression": "no"})]
    write_records(upstream, labels)
    scores = evaluate_predictions(posts, source, out, "instruction", load_tasks(), upstream=upstream)
    found = scores.against_upstream["DR"]
    assert (found.rows, found.upstream_f1) == (1, 100.0)
    assert scores.sets["DR"].n == 3  # the score itself stays that of the release's labels
    write_records(upstream, [labels[0].model_copy(update={"labels": {"depression": "perhaps"}})])
    with pytest.raises(
        DataError, match=r"upstream_labels\.jsonl\.zst, row 1: 'perhaps' is not a label of DR"
    ):
        evaluate_predictions(posts, source, out, "instruction", load_tasks(), upstream=upstream)
