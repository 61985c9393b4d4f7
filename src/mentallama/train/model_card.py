"""The model card (`README.md`) of a trained model, with its terms, the recipe, counts and hashes beside it.

It names validation scores only; `mentallama card` prints a card with the test scores of the run as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml

from mentallama.analysts.checkpoints.digests import CARD_FILE, RECIPE_FILE, write_hashes
from mentallama.analysts.checkpoints.hub_card import (
    ModelOrigin,
    card_metadata,
    render_front_matter,
    render_terms,
    synthetic_sets,
    terms_note,
)
from mentallama.analysts.checkpoints.metadata import ModelMetadata
from mentallama.analysts.majority import LabelCounts
from mentallama.config import EncoderSettings, Recipe, Seq2seqSettings
from mentallama.files.atomic import write_json, write_text
from mentallama.files.markdown import escape_markdown
from mentallama.run_files import POSTS_PATH, SUMMARY_FILE
from mentallama.safety import NOTICE
from mentallama.tasks.terms import TERMS_FILE

CARD_COUNTS = ("documents", "pairs", "rows", "tokens", "truncated_posts", "skipped", "source_file")
"""Keys of `summary.json` that the card lists under Data."""

INTENDED_USE = (
    "Research into models that label posts and explain their labels. It is never a diagnosis, and not for decisions "
    "about people: do not use it to monitor, rank or screen anyone."
)
LIMITATIONS = (
    "A label says what annotators, or a rule over subreddits, called a post; some sets are labelled weakly.",
    "The sets are mostly English, from Reddit, Twitter and SMS. Nothing is known about other populations.",
    "An explanation is text that is likely to follow, not an account of how the label came about.",
    "What the base model was trained on, and what it may reproduce, is not known here.",
)
_LINEAR_LIMITATIONS = (
    *LIMITATIONS[:2],
    "Evidence is what the model weighs: words and their n-grams. It does not understand a negation or an irony.",
)
_MAJORITY_LIMITATIONS = (
    "It does not read the post: its score is the floor for every other model, and no more.",
)
_TRANSFORMERS_USE = {
    "encoder": "In transformers: `mentallama export transformers FOLDER --out DIR` writes a text classifier for every "
    'question; then `pipeline("text-classification", model="DIR/SET-QUESTION", truncation=True)`.',
    "causal": 'In transformers: `pipeline("text-generation", model="FOLDER")`, with the query as the user\'s turn.',
    "seq2seq": 'In transformers: `AutoModelForSeq2SeqLM.from_pretrained("FOLDER")` and its tokenizer.',
}


def write_card(
    out: Path, recipe: Recipe, model: ModelMetadata, counts: Mapping[str, Any], folder: Path | None = None
) -> None:
    """Write card, terms, `recipe.yaml`, `summary.json` and hashes beside the weights of a neural model.

    Models are shared, so recipe and card contain neither the author salt nor paths of the user's machine. `folder` is
    the run's folder, whose posts say whether a set is synthetic.
    """
    write_json(out / SUMMARY_FILE, counts)
    write_recipe(out, recipe)
    origin = model_origin(recipe, model.sets, folder)
    _write_card(out, recipe, origin, _neural_lines(recipe, model, counts), LIMITATIONS)
    write_hashes(out)


def write_linear_card(
    out: Path, recipe: Recipe, summary: Mapping[str, Any], folder: Path | None = None
) -> None:
    """Write card, terms and `recipe.yaml` beside the weights of the linear analyst; `summary` is `summary.json`."""
    write_recipe(out, recipe)
    origin = model_origin(recipe, tuple(summary["sets"]), folder)
    _write_card(out, recipe, origin, _linear_lines(recipe, summary), _LINEAR_LIMITATIONS)


def write_majority_card(out: Path, recipe: Recipe, counts: LabelCounts, folder: Path | None = None) -> None:
    """Write card, terms and `recipe.yaml` beside the label counts of the majority analyst."""
    write_recipe(out, recipe)
    origin = model_origin(recipe, counts.counts, folder)
    _write_card(out, recipe, origin, _majority_lines(counts), _MAJORITY_LIMITATIONS)


def write_recipe(out: Path, recipe: Recipe) -> None:
    """Write the recipe without the author salt and without paths of the user's machine."""
    shareable = recipe.model_dump(
        mode="json", exclude={"data": True, "jobs": True, "collect": {"author_salt"}}, exclude_none=True
    )
    write_text(
        out / RECIPE_FILE, yaml.safe_dump(_without_folders(shareable), sort_keys=False, allow_unicode=True)
    )


def model_origin(recipe: Recipe, sets: Iterable[str], folder: Path | None) -> ModelOrigin:
    """The origin of the recipe's model."""
    settings, catalogue = recipe.train, recipe.catalogue()
    assert settings is not None
    tasks = tuple(catalogue[name] for name in sets if name in catalogue)
    return ModelOrigin(
        kind=settings.analyst,
        tasks=tasks,
        synthetic_sets=frozenset()
        if folder is None
        else synthetic_sets(folder / POSTS_PATH, ("train", "validation")),
        base=getattr(settings, "base", None),
        adapter=getattr(settings, "lora", None) is not None,
        explanations=_explanations(recipe),
        other_data=any(
            getattr(settings, key, None) for key in ("corpus", "general_corpus", "preference_pairs")
        ),
    )


def _explanations(recipe: Recipe) -> Literal["none", "templates", "model"]:
    """Who wrote the explanations that the model learns: the release's are a language model's."""
    settings = recipe.train
    learns = getattr(settings, "objective", None) in {"sft", "dpo"} or isinstance(settings, Seq2seqSettings)
    if not (learns or (isinstance(settings, EncoderSettings) and settings.reads == "explanations")):
        return "none"
    by_models = recipe.teach is None or any(teacher.takes_requests for teacher in recipe.teach.teacher)
    return "model" if by_models else "templates"


def _write_card(
    out: Path, recipe: Recipe, origin: ModelOrigin, lines: Iterable[str], limitations: Iterable[str]
) -> None:
    metadata = card_metadata(origin)
    terms = render_terms(recipe.name, origin)
    if terms is not None:
        write_text(out / TERMS_FILE, terms)
    body = (
        *(f"# {escape_markdown(recipe.name)}", "", f"> {NOTICE}", ""),
        *("## Intended use", "", INTENDED_USE, ""),
        *("## How to use it", "", *_usage(origin), ""),
        *("## Model", "", *lines),
        *("", "## Limitations", "", *(f"- {limit}" for limit in limitations)),
        *("", "## Licence", "", terms_note(metadata), ""),
    )
    write_text(out / CARD_FILE, render_front_matter(metadata) + "\n" + "\n".join(body))


def _usage(origin: ModelOrigin) -> Iterator[str]:
    name = origin.tasks[0].set if origin.tasks else "SET"
    yield from (
        "```python",
        "import mentallama as ml",
        "",
        f'analyst = ml.open_analyst("{origin.kind}:FOLDER")',
    )
    yield from (f'analyst.analyze(["text of a post"], task="{name}")', "```")
    if origin.kind in _TRANSFORMERS_USE:
        yield from ("", _TRANSFORMERS_USE[origin.kind])


def _neural_lines(recipe: Recipe, model: ModelMetadata, counts: Mapping[str, Any]) -> Iterator[str]:
    assert recipe.train is not None
    settings = _without_folders(recipe.train.model_dump(mode="json", exclude_none=True))
    best, baseline = counts.get("best") or {}, counts.get("baseline") or {}
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
    yield from ("", "## Validation scores", "")
    yield "On the validation rows that selected the weights."
    yield from ("", *(["- before the first step:"] if baseline else []))
    yield from (f"  - {name}: {value:.4g}" for name, value in baseline.items())
    yield f"- after step {best.get('step', '–')} of {counts.get('steps', '–')}:"
    yield from (f"  - {name}: {value:.4g}" for name, value in (best.get("metrics") or {}).items())


def _linear_lines(recipe: Recipe, summary: Mapping[str, Any]) -> Iterator[str]:
    assert recipe.train is not None
    yield "A logistic regression for every question, on word and character n-grams (tf-idf)."
    yield from ("", "## Data", "")
    for name, entry in summary["sets"].items():
        for question, counts in entry["questions"].items():
            yield (
                f"- {escape_markdown(name)} ({escape_markdown(question)}): {counts['train']:,} training and "
                f"{counts['validation']:,} validation posts, {entry['features']:,} features."
            )
    yield from (
        f"- skipped {escape_markdown(name)}: {_as_text(why)}" for name, why in summary["skipped"].items()
    )
    yield from ("", "## Settings", "")
    settings = recipe.train.model_dump(mode="json", exclude_none=True)
    yield from (f"- {name}: {_as_text(value)}" for name, value in settings.items())
    yield f"- seed: {recipe.seed}"


def _majority_lines(counts: LabelCounts) -> Iterator[str]:
    yield "The most frequent label of each question, with the shares of the labels as probabilities."
    yield from ("", "## Data", "")
    for name, questions in counts.counts.items():
        for question, by_label in questions.items():
            listed = ", ".join(f"{escape_markdown(label)} {rows:,}" for label, rows in by_label.items())
            yield f"- {escape_markdown(name)} ({escape_markdown(question)}), training rows: {listed}."


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
