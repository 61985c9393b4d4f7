"""The model card (`README.md`) of a trained model, with the recipe, counts and hashes beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from mentallama.analysts.checkpoints.digests import CARD_FILE, RECIPE_FILE, write_hashes
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.config import Recipe
from mentallama.files.atomic import write_json, write_text
from mentallama.files.markdown import escape_markdown
from mentallama.run_files import SUMMARY_FILE
from mentallama.safety import NOTICE

CARD_COUNTS = ("documents", "pairs", "rows", "tokens", "truncated_posts", "skipped", "source_file")
"""Keys of `summary.json` that the card lists under Data."""

LIMITATIONS = (
    "A label says what annotators, or a rule over subreddits, called a post; some sets are labelled weakly.",
    "The sets are mostly English, from Reddit, Twitter and SMS. Nothing is known about other populations.",
    "An explanation is text that is likely to follow, not an account of how the label came about.",
    "What the base model was trained on, and what it may reproduce, is not known here.",
)


def write_card(out: Path, recipe: Recipe, model: ModelMetadata, counts: Mapping[str, Any]) -> None:
    """Write `README.md`, `recipe.yaml`, `summary.json` and the hashes of all files beside the weights.

    Models are shared, so recipe and card contain neither the author salt nor paths of the user's machine.
    """
    shareable = recipe.model_dump(
        mode="json", exclude={"data": True, "jobs": True, "collect": {"author_salt"}}, exclude_none=True
    )
    write_json(out / SUMMARY_FILE, counts)
    write_text(
        out / RECIPE_FILE, yaml.safe_dump(_without_folders(shareable), sort_keys=False, allow_unicode=True)
    )
    write_text(out / CARD_FILE, "\n".join(_card_lines(recipe, model, counts)))
    write_hashes(out)


def _card_lines(recipe: Recipe, model: ModelMetadata, counts: Mapping[str, Any]) -> Iterator[str]:
    assert recipe.train is not None
    settings = _without_folders(recipe.train.model_dump(mode="json", exclude_none=True))
    best, baseline = counts.get("best") or {}, counts.get("baseline") or {}
    yield from (f"# {escape_markdown(recipe.name)}", "", f"> {NOTICE}", "")
    yield f"Analyst kind: `{model.analyst}`, fingerprint `{model.fingerprint}`."
    yield f"Base: {_base_name(model.base)}. Open it as `{model.analyst}:FOLDER`."
    yield from ("", "## Data", "")
    sets = ", ".join(map(escape_markdown, model.sets)) or "none"
    yield f"- Sets: {sets}; {model.form} form, {model.template} prompts."
    yield from (f"- {name}: {_as_text(counts[name])}" for name in CARD_COUNTS if name in counts)
    yield (
        "- `seen.json` holds a hash of every post that was used for training or model selection; none is a test post."
    )
    yield from ("", "## Settings", "")
    yield from (f"- {name}: {_as_text(value)}" for name, value in settings.items())
    yield f"- seed: {recipe.seed}"
    yield from ("", "## Scores", "")
    yield "On validation rows, which selected the weights; test scores are in the report."
    yield from ("", *(["- before the first step:"] if baseline else []))
    yield from (f"  - {name}: {value:.4g}" for name, value in baseline.items())
    yield f"- after step {best.get('step', '–')} of {counts.get('steps', '–')}:"
    yield from (f"  - {name}: {value:.4g}" for name, value in (best.get("metrics") or {}).items())
    yield from ("", "## Limitations", "", *(f"- {limit}" for limit in LIMITATIONS), "")


def _base_name(base: str | None) -> str:
    return (
        "none (trained from scratch)" if base in (None, "none") else escape_markdown(_without_folders(base))
    )


def _without_folders(value: Any) -> Any:
    """Reduce absolute paths in settings to file names, so that no path of the user's machine is published."""
    if isinstance(value, Mapping):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def _as_text(value: object) -> str:
    """A value of a setting or a count, as one line that shows what others wrote as it is."""
    return escape_markdown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
