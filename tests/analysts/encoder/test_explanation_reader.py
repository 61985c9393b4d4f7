"""A trained label reader in check and in evaluate: what it may read, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.answers.format import write_answer
from mentallama.check import run as check_run
from mentallama.check.gates.label_consistency import predict_with_label_reader
from mentallama.check.response_rows import ResponseRow
from mentallama.cli.app import app
from mentallama.config import Check, Evaluate
from mentallama.errors import UsageError
from mentallama.evaluate.score_file import read_scores
from mentallama.explanation_metrics.base import ExplanationCase, MetricOptions
from mentallama.explanation_metrics.label_consistency import LabelConsistency, TrainedReader
from mentallama.files.record_files import read_json, write_records
from mentallama.pipeline.registry import STAGES
from mentallama.records import Prediction, Reading, example_of
from mentallama.report.page_model import TableBlock
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.explanations import explanations_section
from mentallama.tasks import Task, load_tasks
from mentallama.train.run import run as train_run
from tests.factories.check_cases import post_of, row_for
from tests.factories.encoder_cases import make_run, posts
from tests.factories.model_outputs import write_csv, write_outputs


@dataclass
class GreyReader:
    """Takes explanations that hold the word grey for a yes; knows DR alone."""

    name: str = "grey"
    seen: frozenset[str] = frozenset()
    read_texts: list[str] = field(default_factory=list)

    def supports(self, task: Task, question: str) -> bool:
        return (task.set, question) == ("DR", "depression")

    def label_probabilities(
        self, task: Task, question: str, explanations: Sequence[str]
    ) -> list[dict[str, float]]:
        assert self.supports(task, question)
        self.read_texts += explanations
        return [
            {"yes": 0.9, "no": 0.1} if "grey" in text else {"yes": 0.2, "no": 0.8} for text in explanations
        ]


def dr_row(number: int, label: str, why: str) -> ResponseRow:
    post = post_of("DR", f"made-up post number {number}", {"depression": label}, number=number)
    return row_for(post, "depression", write_answer("DR", "depression", label, why))


def test_check_has_unseen_posts_read_without_their_answers() -> None:
    rows = [
        dr_row(1, "yes", "Yes, the poster suffers from depression. The days are grey."),
        dr_row(2, "no", "The garden is green."),
        dr_row(3, "yes", "The poster suffers from depression."),
        dr_row(4, "yes", "The days are grey."),
        row_for(post_of("dreaddit", "a loud week", {"stress": "yes"}), "stress"),
    ]
    reader = GreyReader(seen=frozenset((seen_hash(rows[3].post.text),)))
    result = predict_with_label_reader(rows, reader)
    assert sorted(result) == [0, 1, 2]  # the fourth was seen, the fifth is not known
    assert (result[0].label, result[1].label) == ("yes", "no")
    assert result[2].empty
    assert reader.read_texts == ["The days are grey.", "The garden is green."]


def explained(
    number: int, gold: str, said: str | None, why: str, question: str = "depression"
) -> ExplanationCase:
    name = "DR" if question == "depression" else "dreaddit"
    post = post_of(name, f"made-up post number {number}", {question: gold}, "test", number)
    reading = (
        Reading(status="parsed", label=said, explanation=why)
        if said
        else Reading(status="unparsed", reason="no", explanation=why)
    )
    return ExplanationCase(example=example_of(post, question, "instruction"), reading=reading)


def read_by(reader: GreyReader) -> LabelConsistency:
    return LabelConsistency("label_consistency:grey", MetricOptions(), TrainedReader(reader))


def test_the_metric_compares_with_answers_and_gold() -> None:
    rows = [
        explained(1, "yes", "yes", "Yes, the poster suffers from depression. The days are grey."),
        explained(2, "no", "yes", "The garden is green."),  # right against gold, at odds with its answer
        explained(3, "yes", "yes", "The poster suffers from depression."),  # nothing but its answer
        explained(4, "yes", None, "The days are grey."),
        explained(5, "yes", "yes", "A loud week.", "stress"),
    ]
    reader = GreyReader()
    scores = read_by(reader).score(rows)
    assert [list(score.values.values()) for score in scores] == [[100.0, 100.0], [0.0, 100.0], [], [], []]
    assert [score.reason for score in scores[2:]] == [
        "nothing but the answer",
        "the answer has no label",
        "the label reader does not know the question",
    ]
    assert reader.read_texts == ["The days are grey.", "The garden is green."]


def test_a_reader_that_has_seen_a_test_post_is_refused() -> None:
    row = explained(1, "yes", "yes", "The days are grey.")
    reader = GreyReader(seen=frozenset((seen_hash(row.example.text),)))
    with pytest.raises(UsageError, match="grey was trained on test posts of DR"):
        read_by(reader).score([row])


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a label reader as its model, and predictions on its test posts."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("run")
    train_run(make_run(folder, reads="explanations"), folder, folder / "train")
    write_records(
        folder / "predict/predictions.jsonl.zst",
        [
            Prediction(
                example_id=example_of(post, question, "instruction").id,
                reading=Reading(
                    status="parsed", label=label, explanation="the day is heavy because the noise is heavy"
                ),
                model="m",
            )
            for post in posts()
            if post.split == "test"
            for question, label in post.labels.items()
        ],
    )
    return folder


def test_the_stages_take_a_trained_reader(run_folder: Path, tmp_path: Path) -> None:
    recipe = make_run(run_folder).model_copy(
        update={
            "check": Check(label_reader=run_folder / "train"),
            "evaluate": Evaluate(explanation_metrics=(f"label_consistency:{run_folder / 'train'}",)),
        }
    )
    stages = {stage.name: stage for stage in STAGES}
    for stage in ("check", "evaluate"):
        assert any(
            name.startswith(("label_reader/", "label_consistency/"))
            for name in stages[stage].input_files(recipe, run_folder)
        )
    (tmp_path / "check").mkdir()
    check_run.run(recipe, run_folder, tmp_path / "check")
    notes = read_json(tmp_path / "check/summary.json")["notes"]
    assert any("scored 12 of 60 explanations" in note for note in notes)  # the test posts of dreaddit
    stages["evaluate"].run(recipe, run_folder, tmp_path / "evaluate")
    scores = read_scores(tmp_path / "evaluate/scores.json")
    assert scores.explanation_metrics is not None
    assert scores.metric_names == {"label_consistency": "label_consistency:train"}
    result = scores.explanation_metrics["dreaddit"].columns["implied_label_accuracy"]
    assert result.n == 12
    assert result.mean is not None
    assert result.mean < 100  # it takes all of them for stress, as they say
    section = explanations_section(RunArtifacts(scores=scores))
    assert section is not None
    tables = [block for block in section.blocks if isinstance(block, TableBlock)]
    assert [table.rows[0].cells[0].text for table in tables] == ["dreaddit", "dreaddit"]


def test_the_command_takes_a_trained_reader(run_folder: Path, tmp_path: Path) -> None:
    task = load_tasks()["dreaddit"]
    goldens = [write_answer(task, "stress", label, "the tone is calm") for label in ("yes", "no")]
    query = 'Consider this post: "made-up post {}" Question: Does the poster suffer from stress?'
    columns = {"query": [query.format(at) for at in (1, 2)], "gpt-3.5-turbo": goldens}
    write_csv(tmp_path / "release/test_data/test_instruction/dreaddit.csv", columns)
    folder = write_outputs(tmp_path / "mine", goldens, goldens)
    (folder / "DR.csv").rename(folder / "dreaddit.csv")
    prediction = ["--benchmark", str(tmp_path), "--responses", str(folder), "--out", str(tmp_path / "out")]
    named = ["--explanation-metric", f"label_consistency:{run_folder / 'train'}"]
    done = CliRunner().invoke(app, ["evaluate", *prediction, *named])
    assert done.exit_code == 0, done.output
    assert "label_consistency: computed with label_consistency:train" in done.output
    result = read_scores(tmp_path / "out/scores.json").explanation_metrics
    assert result is not None
    assert result["dreaddit"].columns["label_consistency"].n == 2
