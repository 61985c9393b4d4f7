"""The table of analysts: what opens one, and whose versions its predictions depend on."""

from __future__ import annotations

import importlib.util
import inspect
import os
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mentallama.analysts.base import AnalystSpec, InferenceOptions
from mentallama.analysts.checkpoints.metadata import ModelMetadata, write_model_metadata
from mentallama.analysts.registry import (
    ANALYSTS,
    AnalystKind,
    analyst_kind,
    analyst_libraries,
    model_spec,
    newest_model,
    open_with_options,
    trained_models,
)
from mentallama.attribution.opening import open_analyst
from mentallama.config import Predict
from mentallama.errors import UsageError
from mentallama.files import manifest
from mentallama.files.atomic import write_text
from mentallama.pipeline.cache_key import cache_key
from mentallama.records import Example, example_of
from mentallama.tasks import load_tasks
from tests.factories.linear_cases import make_post
from tests.factories.project import SOURCE

TORCH = {"torch", "transformers", "tokenizers", "peft"}


def test_a_spec_is_split_at_its_first_colon(tmp_path: Path) -> None:
    remote = AnalystSpec.parse("remote:model@http://127.0.0.1:8000/v1")
    assert (remote.kind, remote.location, remote.folder) == (
        "remote",
        "model@http://127.0.0.1:8000/v1",
        None,
    )
    assert AnalystSpec.parse(f"linear:{tmp_path}").folder == tmp_path
    assert AnalystSpec.parse("linear:").folder is None


@pytest.mark.parametrize("spec", ["", "linear", "encodr:runs/x", ":runs/x"])
def test_an_unknown_kind_is_refused_with_the_kinds_there_are(spec: str) -> None:
    with pytest.raises(UsageError, match=r"is not a model; write one of linear:…, encoder:…"):
        open_analyst(spec)


def test_the_location_and_the_options_reach_the_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, InferenceOptions]] = []

    def load(location: str, options: InferenceOptions) -> Any:
        calls.append((location, options))
        return SimpleNamespace()

    monkeypatch.setitem(ANALYSTS, "toy", AnalystKind(load, remote=True))
    options = InferenceOptions(mode="free", tasks={})
    open_with_options("toy:a:b", options)
    assert calls == [("a:b", options)]
    assert analyst_kind("toy:a").remote


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[InferenceOptions]:
    """The options that the analysts `toy:` are opened with."""
    calls: list[InferenceOptions] = []

    def load(location: str, options: InferenceOptions) -> Any:
        calls.append(options)
        return SimpleNamespace()

    monkeypatch.setitem(ANALYSTS, "toy", AnalystKind(load, remote=True))
    return calls


def test_open_analyst_takes_every_option_of_predict_with_its_default(opened: list[InferenceOptions]) -> None:
    parameters = inspect.signature(open_analyst).parameters
    options = {field.name for field in fields(InferenceOptions)}
    assert set(parameters) - {"spec"} == options
    assert len(options) >= 18
    defaults = Predict()
    assert {
        name: parameters[name].default for name in options & set(Predict.model_fields) - {"extra_body"}
    } == {name: getattr(defaults, name) for name in options & set(Predict.model_fields) - {"extra_body"}}
    open_analyst("toy:a")
    (given,) = opened
    assert given == replace(InferenceOptions(), log=given.log)
    assert str(inspect.signature(open_analyst)).count("Any") == 1  # the values of extra_body


def test_open_analyst_passes_options_on(opened: list[InferenceOptions], tmp_path: Path) -> None:
    task = (SOURCE / "mentallama/tasks/data/dreaddit.yaml").read_text(encoding="utf-8")
    write_text(tmp_path / "mine.yaml", task.replace("set: dreaddit", "set: mine"))
    lines: list[str] = []
    open_analyst("toy:a", tasks=tmp_path, mode="free", extra_body={"seed": 7}, timeout=3, log=lines.append)
    open_analyst("toy:a", tasks=str(tmp_path))
    open_analyst("toy:a", tasks={"DR": load_tasks()["DR"]})
    assert (opened[0].mode, opened[0].extra_body, opened[0].timeout) == ("free", {"seed": 7}, 3)
    assert [list(options.tasks)[-1] for options in opened] == ["mine", "mine", "DR"]
    opened[0].log("said")
    assert lines == ["said"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_new_tokens": 0}, "max_new_tokens: should be at least 1"),
        ({"mode": "fast", "device": "tpu"}, "mode: should be .*; device: should be 'auto', 'cpu' or 'cuda'"),
        ({"key_env_var": "sk-abc"}, "name an environment variable"),
        ({"tasks": "nowhere"}, "nowhere: there is no such folder of task files"),
    ],
)
def test_an_option_with_a_wrong_value_is_wrong_use(
    options: dict[str, Any], message: str, opened: list[InferenceOptions]
) -> None:
    with pytest.raises(UsageError, match=message):
        open_analyst("toy:a", **options)
    assert opened == []


def test_the_kinds_that_send_posts_elsewhere() -> None:
    assert [name for name, kind in ANALYSTS.items() if kind.remote] == ["remote"]


@pytest.mark.parametrize(
    ("kinds", "libraries"),
    [
        ((), set()),
        (("linear", "scripted", "remote"), set()),
        (("encoder",), TORCH),
        (("causal",), TORCH),
        (("seq2seq", "linear"), TORCH),
        (("vllm",), {"vllm", *TORCH}),
    ],
)
def test_libraries_whose_versions_change_predictions(kinds: tuple[str, ...], libraries: set[str]) -> None:
    assert set(analyst_libraries(kinds)) == libraries


@pytest.mark.parametrize("changed", ["vllm", "torch"])
def test_another_version_of_a_library_is_another_cache_key(
    changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = dict.fromkeys(("vllm", *TORCH), "1.0")
    result, version = importlib.util.find_spec, manifest.version
    monkeypatch.setattr(manifest, "find_spec", lambda name: name in installed or result(name))
    monkeypatch.setattr(manifest, "version", lambda name: installed.get(name) or version(name))

    def keys() -> list[dict[str, Any]]:
        return [cache_key({}, {}, (kind,), {}) for kind in ("linear", "vllm")]

    before = keys()
    assert before[1]["versions"][changed] == "1.0"
    installed[changed] = "2.0"
    linear, vllm = keys()
    assert linear == before[0]
    assert vllm != before[1]
    assert vllm["versions"][changed] == "2.0"


def ask(task: str) -> Example:
    return example_of(make_post("DR", "test", "A text.", {}), "depression", "instruction", task=task)


def test_a_scripted_analyst_answers_questions_of_the_tasks_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    line = '{"task": "DR2", "question": "depression", "text": "Yes, the poster suffers from depression."}'
    write_text(path, line + "\n")
    tasks = {"DR2": load_tasks()["DR"].model_copy(update={"set": "DR2"})}
    (prediction,) = open_with_options(f"scripted:{path}", InferenceOptions(tasks=tasks)).predict([ask("DR2")])
    assert prediction.reading.label == "yes"
    with pytest.raises(UsageError, match="DR2"):
        list(open_analyst(f"scripted:{path}").predict([ask("DR2")]))


def test_the_folder_of_a_model_is_answered_with_its_spec(tmp_path: Path) -> None:
    linear, encoder, other = (tmp_path / "runs" / name / "train" for name in ("a", "b", "c"))
    for folder in (linear, encoder, other):
        folder.mkdir(parents=True)
    (linear / "model.json").write_text("{}", encoding="utf-8")
    metadata = ModelMetadata(
        analyst="encoder", fingerprint="f", form="instruction", max_tokens=8, sets=("DR",)
    )
    write_model_metadata(encoder, metadata, ())
    os.utime(linear / "model.json", (1, 1))  # older than the other
    assert [model_spec(folder) for folder in (linear, encoder, other)] == [
        f"linear:{linear}",
        f"encoder:{encoder}",
        None,
    ]
    assert trained_models(tmp_path / "runs") == [encoder, linear]
    assert newest_model(tmp_path / "runs") == f"encoder:{encoder}"
    with pytest.raises(UsageError, match=f"is not a model; did you mean linear:{linear}\\?"):
        open_analyst(str(linear))
    with pytest.raises(UsageError, match="is not a model; write one of linear:…"):
        open_analyst(str(other))
