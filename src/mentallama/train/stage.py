"""The train stage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mentallama.analysts.checkpoints.optional_deps import missing_libraries
from mentallama.analysts.registry import model_problem
from mentallama.config import CausalSettings, EncoderSettings, Recipe, Seq2seqSettings
from mentallama.config.train import TRAIN_CACHE_EXCLUDES, NeuralSettings
from mentallama.parallel import is_torchrun
from mentallama.pipeline.stage import Stage, lacks_release_responses, spec_files
from mentallama.run_files import (
    METRICS_FILE,
    POSTS_PATH,
    RATING_SAMPLE_PATH,
    RELEASE_RESPONSES_PATH,
    TEACH_RESPONSES_PATH,
    VERDICTS_PATH,
)


def train_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Besides the files of the run: the data of the objective and the files of a local base."""
    assert recipe.train is not None
    if not isinstance(recipe.train, NeuralSettings):
        return {}
    base = getattr(recipe.train, "base", None) or ""
    base_files = spec_files(f"base:{base}", "base") if Path(base).is_dir() else {}
    objective = getattr(recipe.train, "objective", "sft")
    return _INPUTS_BY_OBJECTIVE[objective](recipe, folder) | base_files


def train_reads(recipe: Recipe) -> tuple[str, ...]:
    """Posts, unless all data come from elsewhere; and the rows with answers, for analysts that learn from them."""
    settings = recipe.train
    if isinstance(settings, CausalSettings) and (settings.corpus or settings.preference_pairs):
        return (POSTS_PATH,) if recipe.collect is not None else ()  # posts only serve to exclude test posts
    return (POSTS_PATH, _answers_file(recipe)) if _learns_answers(recipe) else (POSTS_PATH,)


def train_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """Models and files that do not exist, libraries of adapters, no answers to learn from, and a model that cannot
    answer about held-out sets."""
    settings = recipe.train
    base = getattr(settings, "base", None)
    if base is not None and (problem := model_problem(base, on_hub=True)):
        yield f"train.base: {problem}"
    for key in ("corpus", "general_corpus", "preference_pairs"):
        path = getattr(settings, key, None)
        if path is not None and not path.exists():
            yield f"train.{key}: there is no file or folder {path}"
    lora = getattr(settings, "lora", None)
    if lora is not None:
        libraries = ("peft", "bitsandbytes") if lora.load_in_4bit else ("peft",)
        yield from missing_libraries("train.lora", libraries)
    if getattr(settings, "tensorboard", False):
        yield from missing_libraries("train.tensorboard", ("tensorboard",))
    if recipe.check is None and _learns_answers(recipe):
        yield from lacks_release_responses("train", recipe)
    held_out = () if recipe.collect is None or recipe.predict is None else recipe.collect.held_out
    if held_out and not isinstance(settings, (CausalSettings, Seq2seqSettings)):
        assert settings is not None
        yield (
            f"train.analyst: {settings.analyst} answers only questions that it was trained on, not those of the sets "
            f"in collect.held_out ({', '.join(held_out)}); use causal or seq2seq"
        )


def _learns_answers(recipe: Recipe) -> bool:
    """Whether the analyst is trained on answers, rather than on labels or text."""
    settings = recipe.train
    if isinstance(settings, EncoderSettings):
        return settings.reads == "explanations"
    return isinstance(settings, Seq2seqSettings) or (
        isinstance(settings, CausalSettings) and settings.objective == "sft"
    )


def _answers_file(recipe: Recipe) -> str:
    from mentallama.train.data.instructions import instruction_file

    return instruction_file(recipe)


def _sft_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The rows with answers, if there are any, also for analysts that do without them."""
    return existing_files(folder, _answers_file(recipe))


def _pretrain_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """The corpus and the general corpus, and posts of an earlier run, if there are any."""
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    files = existing_files(folder, POSTS_PATH) | spec_files(f"text:{settings.corpus}", "text")
    if settings.general_corpus is not None:
        files |= spec_files(f"general:{settings.general_corpus}", "general")
    return files


def _dpo_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """A file of pairs and posts of an earlier run, or the files that pairs are derived from."""
    settings = recipe.train
    assert isinstance(settings, CausalSettings)
    if settings.preference_pairs is not None:
        return existing_files(folder, POSTS_PATH) | spec_files(f"pairs:{settings.preference_pairs}", "pairs")
    sources = (TEACH_RESPONSES_PATH, RELEASE_RESPONSES_PATH, VERDICTS_PATH, RATING_SAMPLE_PATH)
    return existing_files(folder, *sources)


def existing_files(folder: Path, *paths: str) -> dict[str, Path]:
    """The files among some paths in the run's folder, by path."""
    return {path: folder / path for path in paths if (folder / path).is_file()}


_INPUTS_BY_OBJECTIVE: dict[str, Callable[[Recipe, Path], dict[str, Path]]] = {
    "sft": _sft_inputs,
    "pretrain": _pretrain_inputs,
    "dpo": _dpo_inputs,
}


def train(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Run the stage; under torchrun, send the waiting workers into training as well."""
    from mentallama.train.run import run

    if is_torchrun():
        from mentallama.train.loop.distributed import broadcast_to_workers

        broadcast_to_workers(str(out))
    return run(recipe, folder, out)


_MODEL_FILE_PATTERNS = (
    "*.npz",
    "*.safetensors",
    "*.json",
    METRICS_FILE,
    "*.model",
    "merges.txt",
    "vocab.txt",
    "chat_template.jinja",
    "recipe.yaml",
    "README.md",
    "LICENSE.md",
)

STAGE = Stage(
    name="train",
    help="Train an analyst on the collected data. Reads training and validation posts, or checked instructions; writes "
    "the model's folder, which --model takes as ANALYST:runs/NAME/train.",
    inputs=train_inputs,
    run=train,
    reads=train_reads,
    problems=train_problems,
    cache_exclude=dict.fromkeys(TRAIN_CACHE_EXCLUDES, True),
    analyst_kinds=lambda recipe, _: () if recipe.train is None else (recipe.train.analyst,),
    file_patterns=_MODEL_FILE_PATTERNS,
)
