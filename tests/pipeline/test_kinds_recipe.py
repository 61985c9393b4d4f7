"""The recipe of the other kinds of answer: its tables become posts that are learnt, answered and scored."""

from __future__ import annotations

from pathlib import Path

from mentallama.config import read_recipe
from mentallama.evaluate.score_file import read_scores
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post, Prediction
from mentallama.run_files import POSTS_PATH, PREDICTIONS_PATH, SCORES_PATH
from mentallama.tasks import load_tasks
from mentallama.tasks.answer_values import canonical_value
from tests.factories.project import RECIPES, ROOT

TASKS = load_tasks(ROOT / "sample/kinds/tasks")


def test_every_kind_runs_from_its_table_to_scores(tmp_path: Path) -> None:
    changes = [
        f"data={ROOT / 'sample/kinds'}", f"tasks={ROOT / 'sample/kinds/tasks'}", "teach=null", "check=null",
        "report=null", "train.analyst=majority", "evaluate.resamples=100",
    ]  # fmt: skip
    recipe = read_recipe(RECIPES / "sample-kinds.yaml", changes)
    run_recipe(recipe, tmp_path, lambda _: None)
    assert read_json(tmp_path / "collect/summary.json")["rejected"] == 0
    posts = list(read_records(tmp_path / POSTS_PATH, Post))
    assert len(posts) == 4 * 46
    for post in posts:
        (label,) = post.labels.values()
        assert canonical_value(TASKS[post.set], label) == label
    located = [post for post in posts if post.set == "symptom-quotes" and post.evidence]
    assert len(located) == sum('"' in label for post in posts for label in post.labels.values()) == 36
    predictions = list(read_records(tmp_path / PREDICTIONS_PATH, Prediction))
    assert [prediction.reading.status for prediction in predictions] == ["parsed"] * 40
    scores = read_scores(tmp_path / SCORES_PATH)
    assert {name: scored.n for name, scored in scores.sets.items()} == dict.fromkeys(recipe.sets, 10)
