"""The floor: chosen among training rows, scored on the same test rows, absent without training rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from mentallama.analysts.majority import LabelCounts
from mentallama.answers.format import write_answer
from mentallama.cli.tables import score_notes, score_table
from mentallama.config import read_recipe
from mentallama.evaluate.majority import majority_scores
from mentallama.evaluate.run import evaluate_responses
from mentallama.evaluate.score_file import read_scores
from mentallama.evaluate.scores import ScoredRow
from mentallama.pipeline.runner import run_recipe
from mentallama.tasks import load_tasks, write_query
from tests.factories.model_outputs import write_csv
from tests.factories.project import RECIPES, SAMPLE

TASKS = load_tasks()
DR = TASKS["DR"]


def row(question: str, gold: str, number: int, name: str = "MultiWD") -> ScoredRow:
    return ScoredRow(
        example_id=str(number), set=name, question=question, post_id=str(number), gold=gold, status="unparsed"
    )


def test_each_question_has_its_own_label() -> None:
    training = LabelCounts.of_rows(
        [("MultiWD", "social", label) for label in ("yes", "yes", "no")]
        + [("MultiWD", "physical", label) for label in ("no", "no", "yes")]
    )
    gold = [("social", "yes"), ("social", "no"), ("social", "no"), ("physical", "no"), ("physical", "yes")]
    rows = [row(question, label, number) for number, (question, label) in enumerate(gold)]
    expected = f1_score([label for _, label in gold], ["yes"] * 3 + ["no"] * 2, average="weighted")
    found = majority_scores({"MultiWD": rows}, training, TASKS)
    assert found == {"MultiWD": round(100 * expected, 4)}
    # by hand: yes 2·1/(2+3) with 2 rows, no 2·1/(3+2) with 3 rows
    assert found["MultiWD"] == 40.0


def test_a_set_with_an_unknown_question_has_no_floor() -> None:
    training = LabelCounts.of_rows([("MultiWD", "social", "yes")])
    rows = {"MultiWD": [row("social", "yes", 1), row("physical", "no", 2)], "DR": []}
    assert majority_scores(rows, training, TASKS) == {}


def write_release(root: Path, test: list[str], train: list[str] | None) -> Path:
    files = {"test_data/test_instruction/DR.csv": test}
    if train is not None:
        files["train_data/instruction_data/DR/train.csv"] = train
    for name, labels in files.items():
        queries = [write_query(DR, "depression", "instruction", f"made-up {i}") for i in range(len(labels))]
        references = [write_answer(DR, None, label, "made up") for label in labels]
        write_csv(root / name, {"query": queries, "gpt-3.5-turbo": references})
    return root


@pytest.mark.parametrize(
    ("train", "floor"),
    [
        (["no", "no", "yes"], {"DR": 10.0}),  # no: F1 2·1/(1+4) = 0.4 with weight 1/4
        (["yes"], {"DR": 64.2857}),  # yes: F1 2·3/(3+4) = 6/7 with weight 3/4
        (None, {}),
    ],
)
def test_the_floor_of_a_benchmark_is_that_of_its_training_files(
    train: list[str] | None, floor: dict[str, float], tmp_path: Path
) -> None:
    release = write_release(tmp_path / "release", ["yes", "yes", "yes", "no"], train)
    scores = evaluate_responses(release, "instruction", "empty", tmp_path / "out")
    assert scores.majority == floor == read_scores(tmp_path / "out/scores.json").majority
    table = score_table(scores)
    (shown,) = (dict(zip(table.header, cells, strict=True)) for cells in table.rows)
    assert shown["majority"] == (f"{floor['DR']:.2f}" if floor else "–")
    assert "most frequent label of the training rows" in score_notes(scores)[0]
    assert scores.to_dicts()[0]["majority"] == floor.get("DR")


def test_a_run_of_the_majority_analyst_scores_the_floor(tmp_path: Path) -> None:
    """Trained by its recipe, it scores on the sample exactly what the table of any run shows as the floor."""
    sample = read_recipe(RECIPES / "sample-linear.yaml", (f"data={SAMPLE}", "sets=[DR, MultiWD]"))
    recipe = sample.model_copy(update={"train": read_recipe(RECIPES / "majority.yaml").train})
    run_recipe(recipe, tmp_path, lambda _: None, until="evaluate")
    scores = read_scores(tmp_path / "evaluate/scores.json")
    assert scores.majority.keys() == {"DR", "MultiWD"}
    assert scores.majority == scores.weighted_f1()
    card = (tmp_path / "train/README.md").read_text(encoding="utf-8")
    assert "training rows: " in card
