"""The model card with the test scores of a run: read by the real `huggingface_hub`, and never of another model."""

from __future__ import annotations

from pathlib import Path

import pytest
from huggingface_hub import EvalResult, ModelCard
from typer.testing import CliRunner

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.cli.app import app
from mentallama.config import Recipe
from mentallama.errors import UsageError
from mentallama.evaluate.prediction_source import analyst_predictions
from mentallama.evaluate.run import evaluate_predictions
from mentallama.export.scored_card import render_scored_card
from mentallama.files.manifest import digest_folder
from mentallama.files.record_files import read_json, write_records
from mentallama.records import Post, Prediction, Reading, example_of
from mentallama.tasks import load_tasks
from mentallama.train.run import run as train
from tests.factories.linear_cases import QUICK, depression_posts

TASKS = load_tasks()


def real(post: Post) -> Post:
    return post.model_copy(update={"provenance": post.provenance.model_copy(update={"synthetic": False})})


def score(run: Path, model: str, correct: int = 15) -> None:
    """Score 20 test posts, of which the first `correct` are answered rightly."""
    posts = [post for post in depression_posts() if post.split == "test"]
    other = {"yes": "no", "no": "yes"}
    predictions = []
    for number, post in enumerate(posts):
        label = post.labels["depression"]
        reading = Reading(status="parsed", label=label if number < correct else other[label])
        example = example_of(post, "depression", "instruction")
        predictions.append(Prediction(example_id=example.id, reading=reading, model=model))
    write_records(run / "predict/predictions.jsonl.zst", predictions)
    source = analyst_predictions(run / "predict/predictions.jsonl.zst")
    evaluate_predictions(
        run / "collect/posts.jsonl.zst", source, run / "evaluate", "instruction", {"DR": TASKS["DR"]}
    )


@pytest.fixture(scope="module", params=["synthetic", "real"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a linear model of DR and its scores."""
    folder = tmp_path_factory.mktemp(request.param)
    posts = depression_posts()
    write_records(
        folder / "collect/posts.jsonl.zst", posts if request.param == "synthetic" else map(real, posts)
    )
    train(Recipe(name="r", data=folder, train=QUICK), folder, folder / "train")
    score(folder, LinearAnalyst.load(folder / "train").name)
    return folder


def test_scores_survive_the_hub_library_and_say_which_posts_they_are_of(run: Path, tmp_path: Path) -> None:
    is_synthetic = run.name.startswith("synthetic")
    before = digest_folder(run)
    (tmp_path / "README.md").write_text(render_scored_card(run, TASKS), encoding="utf-8")
    assert digest_folder(run) == before  # the model's folder stays as its manifest says
    card = ModelCard.load(tmp_path / "README.md")
    expected = read_json(run / "evaluate/scores.json")["sets"]["DR"]["metrics"]
    assert expected["accuracy"] == 75.0
    assert card.data.model_name == run.name
    weighted, accuracy, macro = card.data.eval_results
    assert accuracy == EvalResult(
        task_type="text-classification",
        task_name="depression detection",
        dataset_type="DR-synthetic" if is_synthetic else "DR",
        dataset_name="DR: depression detection" + (", synthetic posts" if is_synthetic else ""),
        dataset_split="test",
        metric_type="accuracy",
        metric_value=75.0,
        metric_name="accuracy (percent)",
    )
    assert (weighted.metric_value, weighted.metric_args) == (
        round(expected["weighted_f1"], 2),
        {"average": "weighted"},
    )
    assert (macro.metric_type, macro.metric_args) == ("f1", {"average": "macro"})
    again = ModelCard(str(card))
    assert again.data.eval_results == card.data.eval_results
    assert again.data.to_dict() == card.data.to_dict()
    assert card.data.license == ("mit" if is_synthetic else "other")
    assert f"| DR | {'synthetic' if is_synthetic else 'people'}" in card.text
    assert ("says nothing about people" in card.text) == is_synthetic


def test_the_card_without_scores_keeps_all_of_its_text(run: Path) -> None:
    own = (run / "train/README.md").read_text(encoding="utf-8")
    scored = render_scored_card(run, TASKS)
    body = scored.split("---\n", 2)[2]
    start, end = body.index("## Test scores"), body.index("## Limitations")
    assert body[:start] + body[end:] == own.split("---\n", 2)[2]


def test_the_command_prints_the_card(run: Path) -> None:
    result = CliRunner().invoke(app, ["card", str(run)])
    assert result.exit_code == 0
    assert result.output == render_scored_card(run, TASKS)


def test_scores_of_another_model_are_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "train").symlink_to(run / "train")
    (tmp_path / "collect").symlink_to(run / "collect")
    with pytest.raises(UsageError, match="there are no scores to add"):
        render_scored_card(tmp_path, TASKS)
    score(tmp_path, "remote:another")
    with pytest.raises(
        UsageError, match="the scores are those of remote:another, not of the model in train/"
    ):
        render_scored_card(tmp_path, TASKS)


def test_scores_of_a_task_that_no_file_describes_are_refused(run: Path) -> None:
    with pytest.raises(UsageError, match="there is no task named 'DR'"):
        render_scored_card(run, {"SAD": TASKS["SAD"]})


def test_a_run_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no trained model with a card"):
        render_scored_card(tmp_path, TASKS)
