"""A recipe run from Python: what it is given, and what it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mentallama.attribution.opening import open_analyst
from mentallama.config import Recipe, read_recipe
from mentallama.errors import UsageError
from mentallama.evaluate.answers import evaluate
from mentallama.evaluate.score_file import read_scores
from mentallama.files.record_files import read_records
from mentallama.pipeline.run import Run, run
from mentallama.records import Post
from mentallama.run_files import POSTS_PATH
from tests.factories.project import ROOT

RECIPE = ROOT / "recipes/sample-linear.yaml"
SMALL: dict[str, Any] = {"data": ROOT / "sample", "sets": ("DR", "dreaddit"), "jobs": 1}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(str(RECIPE), SMALL, out=tmp_path_factory.mktemp("runs") / "small", log=lambda _: None)


def test_a_run_knows_its_stages_scores_model_and_report(done: Run) -> None:
    assert list(done.stages) == ["collect", "train", "predict", "evaluate", "report"]
    assert done.stages["predict"] == done.folder / "predict"
    assert done.scores == read_scores(done.folder / "evaluate/scores.json")
    assert list(done.scores.sets) == ["DR", "dreaddit"]
    assert done.scores.to_frame()["n"].tolist() == [done.scores["DR"].n, done.scores["dreaddit"].n]
    assert done.report.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert done == Run(str(done.folder))
    answers = open_analyst(done.model).analyze("I can't keep up, everything is due", task="dreaddit")
    assert answers[0].status == "parsed"


def test_scores_in_memory_are_those_of_the_run(done: Run) -> None:
    """The same posts, asked and scored from Python: the same figures and the same interval, to the digit."""
    posts = list(read_records(done.folder / POSTS_PATH, Post))
    test = [post for post in posts if post.split == "test" and post.set == "dreaddit"]
    answers = open_analyst(done.model).analyze((post.text for post in test), task="dreaddit")
    scores = evaluate(answers, [post.labels.get("stress") for post in test], seed=read_recipe(RECIPE).seed)
    without_validation = {"abstention": None}  # of which an evaluation in memory knows nothing
    assert scores["dreaddit"] == done.scores["dreaddit"].model_copy(update=without_validation)
    assert scores["dreaddit"].n >= 5


def test_a_finished_run_is_up_to_date_whatever_names_the_recipe(done: Run) -> None:
    recipe = read_recipe(RECIPE, SMALL)
    for named in (RECIPE, recipe, recipe.model_dump()):
        lines: list[str] = []
        run(named, SMALL, out=done.folder, until="train", log=lines.append)
        assert [line for line in lines if "up to date" in line] == [
            "collect: up to date",
            "train: up to date",
        ]


def test_a_recipe_may_be_a_dictionary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = {"name": "mine", "data": str(ROOT / "sample"), "sets": ["dreaddit"], "collect": None}
    made = run(
        content, {"collect.test_share": 0.4, "jobs": 1, "collect.allowed_rejects": 1}, log=lambda _: None
    )
    assert made.folder == Path("runs/mine")
    assert list(made.stages) == ["collect"]
    assert content["collect"] is None
    for name in ("scores", "model", "report"):
        with pytest.raises(UsageError, match=r"runs/mine: this run has (no|trained no) "):
            getattr(made, name)


@pytest.mark.parametrize(
    ("recipe", "overrides", "message"),
    [
        ("nowhere.yaml", {}, "nowhere.yaml: there is no such recipe"),
        (RECIPE, {"jobs": 0}, r"jobs: should be at least 1 \(overrides\['jobs'\]\)"),
        (RECIPE, {"train.c": 2}, r"train.c: no such key"),
        (RECIPE, {"": 2}, "overrides.*: name a key of the recipe"),
        (RECIPE, {"data.x": 2}, "overrides.*: data holds no keys"),
        ({"name": "x"}, {}, "^1 fault in the recipe\n  - data: is missing"),
        ({"name": "x", "data": "d", "sets": ("DRR",)}, {}, "sets: no set is called 'DRR'"),
        ({"name": "x", "data": "d", "tasks": Path("gone")}, {}, "gone: there is no such folder of task"),
    ],
)
def test_faults_are_found_before_any_work(
    recipe: Any, overrides: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        run(recipe, overrides)
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_does_not_exist_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: there is no such run"):
        Run(tmp_path / "nowhere")


def test_every_key_of_a_recipe_can_be_overridden_with_its_value() -> None:
    recipe = read_recipe(RECIPE, {"collect.tables.DR[0].codes": {"1": "no", "0": "yes"}, "train.C": [3]})
    assert isinstance(recipe, Recipe)
    assert recipe.collect is not None
    assert recipe.train is not None
    assert recipe.train.C == (3.0,)  # type: ignore[union-attr]
    assert recipe.collect.tables["DR"][0].codes == {"1": "no", "0": "yes"}
