"""Which explanations are scored, with what they are compared, and what metrics may learn from."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.answers.format import write_answer
from mentallama.config import Evaluate
from mentallama.errors import UsageError
from mentallama.evaluate.explanation_cases import (
    ExplanationSource,
    explanations_of_outputs,
    explanations_of_run,
)
from mentallama.evaluate.prediction_source import analyst_predictions
from mentallama.evaluate.published.benchmark import open_benchmark, score_benchmark_set
from mentallama.evaluate.run import evaluate_predictions, evaluate_responses
from mentallama.explain.deletion import DeletionCurve
from mentallama.explain.results import EvidenceRow
from mentallama.explanation_metrics.base import ExplanationRow
from mentallama.files.record_files import read_records, write_records
from mentallama.records import (
    Post,
    Prediction,
    Provenance,
    Reading,
    Response,
    Span,
    Split,
    UpstreamLabels,
    example_of,
)
from mentallama.tasks import find_task, load_tasks, write_query
from tests.factories.model_outputs import write_csv, write_outputs

TASKS = load_tasks()
DR = find_task("DR")


def post(number: int, split: Split, text: str, label: str = "yes") -> Post:
    return Post(
        id=f"p{number}",
        set="DR",
        split=split,
        text=text,
        labels={"depression": label},
        provenance=Provenance(file="f", row=number, origin="table", synthetic=True),
    )


POSTS = [
    post(0, "test", "The evening is grey and long."),
    post(1, "test", "The garden is green.", "no"),
    post(2, "train", "A quiet week."),
    post(3, "validation", "A loud week.", "no"),
    post(4, "train", "the evening is GREY, and long"),  # a copy of a test post
    post(5, "train", "Another week.", "no"),  # whose reference gives another label
]
IDS = [example_of(each, "depression", "instruction").id for each in POSTS]


def response(number: int, label: str, why: str) -> Response:
    return Response(example_id=IDS[number], text=write_answer(DR, None, label, why), model="m")


def source_of_run(folder: Path) -> ExplanationSource:
    write_records(folder / "posts.jsonl.zst", POSTS)
    references = [
        response(0, "yes", "The evening is grey."),
        response(2, "yes", "The week is quiet."),
        response(3, "no", "The week is loud."),
        response(4, "yes", "Grey again."),
        response(5, "yes", "A week."),
    ]
    write_records(folder / "responses.jsonl.zst", references)
    answers = [
        Reading(status="parsed", label="no", explanation="“The garden is green”, it says."),
        Reading(status="parsed", label="yes", explanation="Yes, the poster suffers from depression."),
    ]
    predictions = [
        Prediction(example_id=key, reading=reading, model="m", evidence=(Span(start=0, end=3),))
        for key, reading in zip((IDS[1], IDS[0]), answers, strict=True)
    ]
    write_records(folder / "predictions.jsonl.zst", predictions)
    marked = {"depression": (Span(start=4, end=11),)}
    upstream = [
        UpstreamLabels(post_id="p0", set="DR", labels={"depression": "yes"}, evidence=marked),
        UpstreamLabels(
            post_id="p1", set="DR", labels={"depression": "yes"}, evidence=marked
        ),  # the label differs
    ]
    write_records(folder / "upstream.jsonl.zst", upstream)
    curve = DeletionCurve(whole=0.5, removed=(0.5,), kept=(0.5,))
    evidence = [
        EvidenceRow(
            example_id=IDS[number],
            post_id=f"p{number}",
            set="DR",
            question="depression",
            label="no",
            method=method,
            spans=(Span(start=0, end=end, weight=1.0),),
            units=((0, end), (end, 9)),
            weights=(1.0, -0.5),
            top=curve,
            matched=curve,
        )
        for number in (0, 1)
        for method, end in (("exact", 2), ("random", 5))
    ]
    write_records(folder / "evidence.jsonl.zst", evidence)
    return explanations_of_run(
        folder / "posts.jsonl.zst",
        analyst_predictions(folder / "predictions.jsonl.zst"),
        "instruction",
        TASKS,
        references=folder / "responses.jsonl.zst",
        upstream=folder / "upstream.jsonl.zst",
        evidence=folder / "evidence.jsonl.zst",
    )


def test_answers_of_a_run_have_their_reference_and_marked_passages(tmp_path: Path) -> None:
    first, second = source_of_run(tmp_path).cases("DR")
    assert [first.example.id, second.example.id] == IDS[:2]  # in the order of the posts
    assert (first.reference, second.reference) == ("The evening is grey.", None)
    assert (first.annotated, second.annotated) == ((Span(start=4, end=11),), ())
    assert first.evidence == (Span(start=0, end=3),)
    assert first.absence == "empty"  # nothing but the answer
    assert second.absence is None
    # evidence of the first method, for the label of the answer
    assert (first.attributed, first.contributions) == ((), ())
    assert second.attributed == (Span(start=0, end=2, weight=1.0),)
    assert second.contributions == (Span(start=0, end=2, weight=1.0), Span(start=2, end=9, weight=-0.5))


def test_metrics_learn_from_no_copy_of_a_test_post_and_from_no_other_label(tmp_path: Path) -> None:
    source = source_of_run(tmp_path)
    cases = list(source.training_cases("DR"))
    assert [(case.example.id, case.reading.label) for case in cases] == [(IDS[2], "yes"), (IDS[3], "no")]
    assert list(source.training_cases("SAD")) == []
    assert list(source.post_texts()) == [each.text for each in POSTS]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release with two test rows and three training rows, of which one is about a test post."""
    root = tmp_path / "release"
    for name, texts in (
        ("test_data/test_instruction/DR.csv", ["A grey evening.", "A green garden."]),
        ("train_data/instruction_data/DR/train.csv", ["A quiet week.", "a GREY evening", "A loud week."]),
    ):
        queries = [write_query(DR, "depression", "instruction", text) for text in texts]
        labels = [("yes", "no")[number % 2] for number in range(len(texts))]
        columns = {
            "query": queries,
            "gpt-3.5-turbo": [write_answer(DR, None, label, f"why {label}") for label in labels],
        }
        write_csv(root / name, columns)
    return root


def test_outputs_have_the_release_as_reference_and_to_learn_from(release: Path) -> None:
    benchmark = open_benchmark(release, "instruction", TASKS)
    outputs, _ = score_benchmark_set(benchmark, DR, "reference")
    source = explanations_of_outputs(benchmark, {"DR": outputs}, TASKS)
    assert [(case.explanation, case.reference) for case in source.cases("DR")] == [
        ("why yes", "why yes"),
        ("why no", "why no"),
    ]
    assert [case.example.text for case in source.training_cases("DR")] == ["A quiet week.", "A loud week."]
    assert list(source.post_texts()) == ["A grey evening.", "A green garden."]


def test_explanations_are_scored_beside_the_labels(release: Path, tmp_path: Path) -> None:
    goldens = [write_answer(DR, None, label, f"why {label}") for label in ("yes", "no")]
    texts = [goldens[0], "I'm sorry, but I can't provide a diagnosis."]
    folder = write_outputs(tmp_path / "outputs", goldens, texts)
    scores = evaluate_responses(release, "instruction", folder, tmp_path / "out")
    assert scores.explanation_metrics is not None
    result = scores.explanation_metrics["DR"]
    assert (result.rows, result.absent) == (2, {"refused": 1})
    assert (result.columns["rouge1"].mean, result.columns["rouge1"].n) == (100.0, 1)
    assert result.unscored["label_consistency"] == {
        "there are 2 training rows of 1 labels to learn from; it takes 20 of 2": 1
    }
    rows = list(read_records(tmp_path / "out/explanations.jsonl.zst", ExplanationRow))
    assert [(row.gold, row.predicted, row.absence) for row in rows] == [
        ("yes", "yes", None),
        ("no", None, "refused"),
    ]


def test_a_wrong_metric_is_told_before_any_work(release: Path, tmp_path: Path) -> None:
    settings = Evaluate(explanation_metrics=("overlp", f"label_consistency:{tmp_path / 'none'}"))
    with pytest.raises(UsageError, match=r"overlp.*there is no model folder"):
        evaluate_responses(release, "instruction", "reference", tmp_path / "out", settings=settings)
    assert not (tmp_path / "out").exists()


def test_a_run_has_its_explanations_scored(tmp_path: Path) -> None:
    source_of_run(tmp_path)
    scores = evaluate_predictions(
        tmp_path / "posts.jsonl.zst",
        analyst_predictions(tmp_path / "predictions.jsonl.zst"),
        tmp_path / "out",
        "instruction",
        TASKS,
        references=tmp_path / "responses.jsonl.zst",
    )
    assert scores.explanation_metrics is not None
    result = scores.explanation_metrics["DR"]
    assert (result.absent, result.columns["quotes_in_post"].mean) == ({"empty": 1}, 100.0)
    assert result.unscored["overlap"] == {"no reference": 1}
