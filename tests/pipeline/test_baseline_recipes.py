"""The recipes of baselines, run up to their scores on a made-up release with models of random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mentallama.answers.format import write_answer
from mentallama.config import Recipe, read_recipe
from mentallama.errors import UsageError
from mentallama.evaluate.score_file import read_scores
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post
from mentallama.tasks import load_tasks, write_query
from tests.factories.encoder_cases import saved_bert
from tests.factories.model_outputs import write_csv
from tests.factories.project import RECIPES
from tests.factories.tiny_models import tiny_llama

WHO = ("My neighbour", "A colleague", "The baker", "Our teacher", "The driver", "A cousin")
WHAT = ("paints fences", "collects stamps", "repairs radios", "bakes rye bread", "waters the ferns")
MADE_UP = [f"{who} {what}." for who in WHO for what in WHAT]
"""30 made-up posts, of which none is nearly another."""

OF_SET = {"loneliness": slice(0, 14), "dreaddit": slice(14, 28)}
COPIED = MADE_UP[26]
"""A test post of dreaddit that also stands in the training file of loneliness."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A release with training, validation and test files of two sets."""
    tasks = load_tasks()
    for name, posts in OF_SET.items():
        texts = MADE_UP[posts]
        files = {
            f"train_data/instruction_data/{name}/train.csv": texts[:8]
            + ([COPIED] if name == "loneliness" else []),
            f"train_data/instruction_data/{name}/val.csv": texts[8:11],
            f"test_data/test_instruction/{name}.csv": texts[11:],
        }
        (question,) = tasks[name].questions
        for file, of_file in files.items():
            labels = ["yes" if number % 2 else "no" for number in range(len(of_file))]
            reasons = [f'The post says "{text[:-1]}", which is calm.' for text in of_file]
            write_csv(
                tmp_path / "release" / file,
                {
                    "query": [write_query(tasks[name], question, "instruction", text) for text in of_file],
                    "gpt-3.5-turbo": [
                        write_answer(tasks[name], question, label, reason)
                        for label, reason in zip(labels, reasons, strict=True)
                    ],
                },
            )
    return tmp_path


def shipped(name: str, data: Path, base: Path, *overrides: str) -> Recipe:
    quick = ("train.max_steps=1", "train.batch_size=4", "jobs=1", "evaluate.resamples=100")
    return read_recipe(RECIPES / f"{name}.yaml", (f"data={data}", f"train.base={base}", *quick, *overrides))


def test_held_out_sets_are_tested_on_without_a_post_of_theirs_in_training(data: Path, tmp_path: Path) -> None:
    tiny_llama(tmp_path / "base")
    recipe = shipped(
        "imhi-held-out", data, tmp_path / "base", "train.max_tokens=256", "predict.max_new_tokens=2"
    )
    run_recipe(recipe, tmp_path / "run", lambda _: None, until="evaluate")

    posts = list(read_records(tmp_path / "run/collect/posts.jsonl.zst", Post))
    assert {post.split for post in posts if post.set == "dreaddit"} == {"test"}
    assert COPIED not in [post.text for post in posts if post.set == "loneliness"]
    overlap = read_json(tmp_path / "run/collect/overlap.json")
    test, train = overlap["test_sets"].index("dreaddit"), overlap["train_sets"].index("loneliness")
    assert (overlap["before_guard"][test][train], overlap["after_guard"][test][train]) == (1, 0)
    assert read_json(tmp_path / "run/train/mentallama.json")["sets"] == ["loneliness"]

    scores = read_scores(tmp_path / "run/evaluate/scores.json")
    assert {name: of_set.n for name, of_set in scores.sets.items()} == {"dreaddit": 3, "loneliness": 3}
    assert scores.majority.keys() == {"loneliness"}


def test_a_model_with_a_head_per_question_is_refused_for_held_out_sets(data: Path, tmp_path: Path) -> None:
    recipe = read_recipe(RECIPES / "imhi-linear.yaml", (
        f"data={data}", "collect.leak_guard=run", "collect.held_out=[dreaddit]",
    ))  # fmt: skip
    with pytest.raises(UsageError, match=r"linear answers only questions .* collect.held_out \(dreaddit\)"):
        run_recipe(recipe, tmp_path / "run", lambda _: None)
    assert not (tmp_path / "run").exists()


def test_mentalroberta_is_fine_tuned_on_the_labels_of_one_set(data: Path, tmp_path: Path) -> None:
    base = saved_bert(tmp_path / "base")
    recipe = shipped("mentalroberta", data, base, "sets=[dreaddit]", "train.max_tokens=32")
    run_recipe(recipe, tmp_path / "run", lambda _: None, until="evaluate")
    scores = read_scores(tmp_path / "run/evaluate/scores.json")
    assert (scores.sets["dreaddit"].n, scores.sets["dreaddit"].parsed) == (3, 3)
    assert scores.sets["dreaddit"].calibration is not None
    assert scores.source["model"].startswith("encoder:")
