"""Read and validate a recipe, reporting all its faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mentallama.config.recipe import Recipe
from mentallama.config.train import TRAIN_SETTINGS
from mentallama.errors import UsageError
from mentallama.tasks import load_tasks
from mentallama.text.suggestions import did_you_mean

OLD_KEYS: dict[str, dict[str, str]] = {
    "teach": {
        "key": "key_env_var",
        "options": "extra_body",
        "in_flight": "max_concurrency",
        "attempts": "max_attempts",
        "batch": "use_batch_api",
    },
    "check": {
        "correctness": "label_match",
        "consistency": "min_label_consistency",
        "reader": "label_reader",
        "invented": "max_ungrounded_quotes",
        "words": "length",
        "leakage": "prompt_leakage_ngram",
        "personal": "personal_data",
        "boilerplate": "max_explanation_similarity",
        "chrf": "min_chrf",
        "sample": "rating_sample_size",
        "acceptable": "acceptable_poor_share",
        "unacceptable": "unacceptable_poor_share",
    },
    "train": {
        "regularisation": "C",
        "shifts": "intercept_shifts",
        "min_posts": "min_df",
        "word_ngrams": "max_word_ngram",
        "character_ngrams": "char_ngram_range",
        "hidden": "hidden_size",
        "layers": "num_hidden_layers",
        "heads": "num_attention_heads",
        "vocabulary": "vocab_size",
        "targets": "target_modules",
        "quantised": "load_in_4bit",
        "steps": "max_steps",
        "tokens_at_once": "max_batch_tokens",
        "warmup": "warmup_ratio",
        "clip": "max_grad_norm",
        "average": "ema_decay",
        "evaluate_every": "eval_steps",
        "patience": "early_stopping_patience",
        "best_by": "metric_for_best",
        "head_rate": "head_lr_multiplier",
        "new": "from_scratch",
        "learns": "objective",
        "adapter": "lora",
        "text": "corpus",
        "general": "general_corpus",
        "pairs": "preference_pairs",
    },
    "predict": {
        "tokens_at_once": "max_batch_tokens",
        "in_flight": "max_concurrency",
        "options": "extra_body",
    },
    "evaluate": {"reader": "label_reader"},
}
"""Keys that recipes had before a renaming, by stage: old name -> new name."""


def read_recipe(path: Path, overrides: tuple[str, ...] = (), model: type[Recipe] = Recipe) -> Recipe:
    """Read a recipe and apply `--set a.b=c` overrides.

    A relative `data` is relative to the working directory, as in a shell. `model` is the recipe's schema.

    Raises
    ------
    UsageError
        The file does not exist or is not a recipe; all faults are listed at once.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such recipe")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as fault:  # an impossible date is a ValueError
        where = getattr(fault, "problem_mark", None)
        raise UsageError(f"{path}: not a YAML file{f', line {where.line + 1}' if where else ''}") from None
    if not isinstance(content, dict):
        raise UsageError(f"{path}: not a recipe: it holds no keys")
    content = {
        key: {} if value is None and key in model.stage_names() else value for key, value in content.items()
    }
    for override in overrides:
        _apply_override(content, override)
    try:
        recipe = model.model_validate(content)
    except ValidationError as invalid:
        sentences = [_error_sentence(error, model) for error in invalid.errors()]
        raise _recipe_error(path, sentences + _unknown_sets(content)) from None
    faults = _unknown_sets(content) or _catalogue_faults(recipe)
    if faults:
        raise _recipe_error(path, faults)
    return recipe


def _recipe_error(path: Path, faults: list[str]) -> UsageError:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return UsageError(f"{path}: {count} in the recipe\n" + "\n".join(f"  - {fault}" for fault in faults))


def _apply_override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {override}: write it as key=value, for example collect.leak_guard=run")
    *parents, last = key.split(".")
    for parent in parents:
        content = content.setdefault(parent, {})
        if not isinstance(content, dict):
            raise UsageError(f"--set {override}: {parent} holds no keys")
    try:
        content[last] = yaml.safe_load(value)
    except (yaml.YAMLError, ValueError):
        raise UsageError(f"--set {override}: what follows the = is not YAML") from None


def _error_sentence(error: Any, model: type[Recipe]) -> str:
    analyst, keys = _error_location(error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{'.'.join(keys) or 'the recipe'}: {error['msg'].removeprefix('Value error, ')}"
    known = _known_keys(keys[:-1], analyst, model)
    renamed = OLD_KEYS.get(keys[0], {}).get(keys[-1])
    hint = f"did you mean {renamed}?" if renamed in known else did_you_mean(keys[-1], known)
    return f"{'.'.join(keys)}: no such key; {hint}"


def _error_location(loc: tuple[str | int, ...]) -> tuple[str, list[str]]:
    """The kind of analyst that is trained, and the keys that lead to a fault; pydantic puts the kind between them."""
    keys = [str(part) for part in loc]
    if keys[:1] == ["train"] and len(keys) > 1 and keys[1] in TRAIN_SETTINGS:
        return keys[1], [keys[0], *keys[2:]]
    return "linear", keys


def _known_keys(keys: list[str], analyst: str, model: type[Recipe]) -> list[str]:
    """The keys that exist below a place in the recipe."""
    schemas: list[type[BaseModel]] = [model]
    for depth, key in enumerate(keys):
        fields = [schema.model_fields[key] for schema in schemas if key in schema.model_fields]
        if depth == 0 and key == "train":
            schemas = [TRAIN_SETTINGS[analyst]]
        elif fields:  # else the key is the index of a list or a name in a mapping
            schemas = [schema for field in fields for schema in _schemas_within(field.annotation)]
    return [name for schema in schemas for name in schema.model_fields]


def _schemas_within(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [schema for argument in get_args(annotation) for schema in _schemas_within(argument)]


def _unknown_sets(content: dict[str, Any]) -> list[str]:
    """A sentence for every set that a recipe names and the catalogue does not have."""
    folder = content.get("tasks")
    known = list(load_tasks(Path(folder) if isinstance(folder, str) else None))
    collect, teach, predict = (
        content[stage] if isinstance(content.get(stage), dict) else {}
        for stage in ("collect", "teach", "predict")
    )
    names_by_key = {
        "sets": content.get("sets"),
        "collect.held_out": collect.get("held_out"),
        "collect.tables": collect.get("tables"),
        "teach.allow_remote": teach.get("allow_remote"),
        "predict.allow_remote": predict.get("allow_remote"),
    }
    return [
        f"{key}: no set is called {name!r}; {did_you_mean(str(name), known)}"
        for key, names in names_by_key.items()
        for name in (names if isinstance(names, (list, tuple, dict)) else ())
        if name not in known
    ]


def _catalogue_faults(recipe: Recipe) -> list[str]:
    """Faults in what a recipe says about known sets: labels, questions, and sets that are not part of the run."""
    if recipe.collect is None:
        return []
    known = load_tasks(recipe.tasks)
    faults = [
        f"collect.tables.{name}.{number}: {name} has no label or question called {unknown!r}"
        for name, sources in recipe.collect.tables.items()
        for number, source in enumerate(sources)
        for unknown in known[name].unknown_names(source)
    ]
    absent = [name for name in recipe.collect.held_out if recipe.sets and name not in recipe.sets]
    return faults + [f"collect.held_out: {name} is not among the sets of this recipe" for name in absent]
