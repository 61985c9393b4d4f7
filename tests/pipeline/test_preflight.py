"""A run is checked whole before any work: what stages read from each other, models, files, keys and libraries."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.machinery import ModuleSpec
from itertools import chain, combinations
from pathlib import Path
from typing import Any

import pytest

from mentallama.analysts.checkpoints.optional_deps import EXTRAS
from mentallama.analysts.registry import ANALYSTS
from mentallama.config import Recipe, read_recipe
from mentallama.errors import UsageError
from mentallama.extras import install_hint
from mentallama.pipeline.preflight import check_run
from mentallama.pipeline.registry import STAGES, recipe_stages
from mentallama.pipeline.runner import run_recipe
from tests.factories.project import ROOT

NAMES = tuple(stage.name for stage in STAGES)
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
INSTALLED = importlib.util.find_spec


def recipe(**keys: Any) -> Recipe:
    return Recipe.model_validate({"name": "mine", "data": str(ROOT / "sample"), **keys})


def faults(made: Recipe, folder: Path) -> list[str]:
    """The faults that are listed; the count in the first line is checked against them."""
    try:
        check_run(made, folder, recipe_stages(made), STAGES)
    except UsageError as fault:
        head, *listed = str(fault).splitlines()
        assert head.endswith(f": {len(listed)} fault{'s' * (len(listed) > 1)}")
        return [line.removeprefix("  - ") for line in listed]
    return []


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes libraries look as if they were not installed."""

    def remove(*libraries: str) -> None:
        def find(name: str, package: str | None = None) -> ModuleSpec | None:
            return None if name in libraries else INSTALLED(name, package)

        monkeypatch.setattr("mentallama.analysts.checkpoints.optional_deps.find_spec", find)

    return remove


SUBSETS = [
    set(names)
    for names in chain.from_iterable(combinations(NAMES, size) for size in range(1, len(NAMES) + 1))
]

NEEDS: dict[str, Callable[[set[str]], bool]] = {
    "collect": lambda _: True,
    "teach": lambda run: "collect" in run,
    "check": lambda run: {"collect", "teach"} <= run,  # the sample has no release
    "train": lambda run: "collect" in run,
    "predict": lambda run: {"collect", "train"} <= run,
    "explain": lambda run: {"collect", "predict"} <= run,
    "evaluate": lambda run: {"collect", "predict"} <= run,  # the teacher is given the labels
    "report": lambda _: True,
}


def test_every_combination_of_stages_passes_exactly_if_each_stage_has_what_it_reads(tmp_path: Path) -> None:
    assert len(SUBSETS) == 2 ** len(NAMES) - 1
    for names in SUBSETS:
        lacking = {name for name in names if not NEEDS[name](names)}
        found = faults(recipe(**{name: {} for name in names}), tmp_path)
        assert {fault.split(" ")[0] for fault in found} == lacking, names


def test_a_missing_stage_is_named(tmp_path: Path) -> None:
    assert faults(recipe(train={}, evaluate={}), tmp_path) == [
        "train reads collect/posts.jsonl.zst, which no stage of this recipe writes: add collect to the recipe",
        "evaluate reads collect/posts.jsonl.zst, which no stage of this recipe writes: add collect to the recipe",
        "evaluate reads predict/predictions.jsonl.zst, which no stage of this recipe writes: add predict to the recipe",
    ]


def test_files_of_an_earlier_run_count(tmp_path: Path) -> None:
    for path in ("collect/posts.jsonl.zst", "predict/predictions.jsonl.zst"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).touch()
    assert faults(recipe(teach={}, evaluate={}), tmp_path) == []
    assert faults(recipe(predict={}), tmp_path) == [
        "predict has no model: add train to the recipe, or name one as predict.model"
    ]
    (tmp_path / "train").mkdir()
    assert faults(recipe(predict={}), tmp_path) == []


def test_answers_of_the_release_are_enough_to_check_and_to_train(tmp_path: Path) -> None:
    release = tmp_path / "data/release/train_data/instruction_data/DR"
    stages = {"collect": {}, "check": {}, "train": {"analyst": "seq2seq", "base": "facebook/bart"}}
    sample = faults(recipe(**stages), tmp_path / "run")
    assert sample == [
        f"check has no responses to read: {ROOT / 'sample/release'} holds none; add teach to the recipe"
    ]
    release.mkdir(parents=True)
    (release / "train.csv").write_text("query,gpt-3.5-turbo\n", encoding="utf-8")
    assert (
        faults(recipe(**stages, sets=["DR"]).model_copy(update={"data": tmp_path / "data"}), tmp_path) == []
    )


@pytest.mark.parametrize(
    ("teach", "fault"),
    [
        ({"prompt": "zero-shot"}, None),
        ({"prompt": "zero-shot", "splits": ["train"]}, "add test to teach.splits"),
        ({"prompt": "zero-shot", "teacher": ["embedded", "remote:m@http://127.0.0.1:1/v1"]}, "one teacher"),
        ({}, "cannot score a teacher that was given the labels"),
    ],
)
def test_answers_of_a_teacher_that_did_not_know_the_labels_can_be_scored(
    teach: dict[str, Any], fault: str | None, tmp_path: Path
) -> None:
    found = faults(recipe(collect={}, teach=teach, evaluate={}), tmp_path)
    assert (fault is None) == (found == [])
    assert fault is None or any(fault in each for each in found)


def test_with_predict_the_teacher_is_not_what_is_scored(tmp_path: Path) -> None:
    stages = {"collect": {}, "teach": {"splits": ["train"]}, "train": {}, "predict": {}, "evaluate": {}}
    assert faults(recipe(**stages), tmp_path) == []


def test_everything_that_does_not_exist_is_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MY_KEY", raising=False)
    teacher = {"spec": "remote:m@https://api.example.org/v1", "key_env_var": "MY_KEY"}
    made = Recipe.model_validate(
        {
            "name": "mine",
            "data": "nowhere",
            "collect": {},
            "teach": {"teacher": [teacher], "prompt": "few-shot", "examples": "none.csv"},
            "check": {"label_reader": "reader"},
            "train": {"analyst": "causal", "base": "./base", "general_corpus": "texts"},
            "predict": {"model": "linear:nothing"},
            "evaluate": {"explanation_metrics": ["label_consistency:reader", "overlp"]},
        }
    )
    found = faults(made, tmp_path / "run")
    assert found[0].startswith("nowhere")
    assert found[1:] == [
        "teach.teacher: key_env_var: the environment variable MY_KEY is not set",
        "teach.examples: none.csv: there is no such file",
        "check.label_reader: there is no model folder reader",
        "train.base: there is no model folder ./base",
        "train.general_corpus: there is no file or folder texts",
        "predict.model: there is no model folder nothing",
        "evaluate.explanation_metrics: label_consistency:reader: there is no model folder reader",
        "evaluate.explanation_metrics: no explanation metric is called 'overlp'; did you mean overlap?",
    ]


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("causal:org/name", None),
        ("vllm:name", None),
        ("remote:m@http://127.0.0.1:1/v1", None),
        ("encoder:org/name", "there is no model folder org/name"),
        ("causal:models/name", "there is no model folder models/name"),
        ("causal:/nowhere", "there is no model folder /nowhere"),
        ("causal:../nowhere", "there is no model folder ../nowhere"),
        ("linear:", "the folder of the model is missing"),
        ("forest:x", "'forest:x' is not a model"),
        ("mine", "'mine' is not a model"),
    ],
)
def test_a_folder_is_looked_for_and_an_id_on_the_hub_is_not(
    model: str,
    fault: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    without: Callable[..., None],
) -> None:
    without()
    monkeypatch.setattr("mentallama.analysts.checkpoints.optional_deps.find_spec", lambda _: True)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    found = faults(recipe(collect={}, predict={"model": model}), tmp_path / "run")
    assert [each.split("; ")[0] for each in found] == ([] if fault is None else [f"predict.model: {fault}"])


def test_a_variable_without_a_key_is_found_before_any_work(tmp_path: Path) -> None:
    teacher = {"spec": "remote:m@https://api.example.org/v1", "key_env_var": "NO_SUCH_KEY"}
    found = faults(recipe(collect={}, teach={"teacher": teacher}), tmp_path)
    assert found == ["teach.teacher: key_env_var: the environment variable NO_SUCH_KEY is not set"]
    model = {"model": teacher["spec"], "key_env_var": "NO_SUCH_KEY"}
    found = faults(recipe(collect={}, predict=model), tmp_path)
    assert found == ["predict.key_env_var: the environment variable NO_SUCH_KEY is not set"]
    assert (
        faults(recipe(collect={}, predict={"model": "linear:m", "key_env_var": "NO_SUCH_KEY"}), tmp_path)
        != found
    )


def test_libraries_are_checked_before_any_work(tmp_path: Path, without: Callable[..., None]) -> None:
    without("torch", "transformers", "ray", "peft", "vllm")
    lora = {"analyst": "causal", "base": "org/name", "lora": {}}
    made = recipe(collect={}, teach={}, check={}, train=lora, predict={"model": "vllm:org/name"}, ray="auto")
    assert faults(made, tmp_path) == [
        f"ray needs ray: {install_hint('ray')}",
        f"train.lora needs peft: {install_hint('train')}",
        f"train needs torch and transformers: {install_hint('train')}",
        f"predict needs vllm: {install_hint('vllm')}",
    ]


def test_event_files_need_their_extra_before_any_work(tmp_path: Path, without: Callable[..., None]) -> None:
    without("tensorboard")
    train = {"analyst": "causal", "base": "org/model"}
    needs = f"train.tensorboard needs tensorboard: {install_hint('tensorboard')}"
    assert faults(recipe(collect={}, teach={}, check={}, train=train), tmp_path) == []
    assert faults(recipe(collect={}, teach={}, check={}, train={**train, "tensorboard": True}), tmp_path) == [
        needs
    ]


def test_the_extras_of_libraries_are_those_of_the_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    for library, extra in EXTRAS.items():
        assert any(re.match(rf"{library}\b", requirement) for requirement in extras[extra])
    assert {name for kind in ANALYSTS.values() for name in kind.required} <= set(EXTRAS)


def test_nothing_is_written_if_the_check_fails(tmp_path: Path, without: Callable[..., None]) -> None:
    without("torch")
    with pytest.raises(UsageError, match=r"train needs torch: pip install .*\[train\]"):
        run_recipe(
            read_recipe(ROOT / "recipes/sample-tiny-llama.yaml", (f"data={ROOT / 'sample'}",)),
            tmp_path / "run",
            print,
        )
    assert list(tmp_path.iterdir()) == []


def test_stages_after_the_one_that_is_asked_for_are_not_checked(tmp_path: Path) -> None:
    made = recipe(sets=["dreaddit"], collect={"allowed_rejects": 1, "validation_share": 0.2}, evaluate={})
    with pytest.raises(UsageError):
        run_recipe(made, tmp_path / "run", print)
    run_recipe(made, tmp_path / "run", print, until="collect")
    assert (tmp_path / "run/collect/posts.jsonl.zst").is_file()


def test_what_a_finished_stage_needed_may_be_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data: dict[str, Any] = {"sets": ["dreaddit"], "collect": {"allowed_rejects": 1, "validation_share": 0.2}}
    run_recipe(recipe(**data), tmp_path / "run", print)
    made = recipe(**data, train={"C": [1.0], "topics": [0], "intercept_shifts": [False]})
    run_recipe(made, tmp_path / "run", print)

    def problems(*_: object) -> Iterator[str]:
        yield "gone"

    stages = [stage if stage.name != "train" else _with(stage, problems) for stage in STAGES]
    log: list[str] = []
    run_recipe(made, tmp_path / "run", log.append, stages=stages)
    assert "train: up to date" in log


def _with(stage: Any, problems: Callable[..., Iterator[str]]) -> Any:
    return replace(stage, problems=problems)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_checked(
    path: Path, tmp_path: Path, without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those on the sample can be run here; the others lack nothing but the data and models that they name."""
    monkeypatch.chdir(ROOT)
    without()
    found = [fault for fault in faults(read_recipe(path), tmp_path) if "pip install" not in fault]
    if path.stem.startswith("sample-"):
        assert found == []
    else:
        assert found
        assert all("which no stage" not in fault for fault in found)
