"""The section on how a run was made: settings, training, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from mentallama.report.page_model import (
    NO_VALUE,
    Block,
    BlockGroup,
    Cell,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    key_value_table,
    named_row,
    number_cell,
)
from mentallama.report.run_artifacts import PredictionCounts, RunArtifacts

SECRET_NAME_PARTS = ("salt", "secret", "token", "password", "api_key")
"""Parts of names whose values stay off the page: with its salt, a hashed author can be found again."""


def provenance_section(material: RunArtifacts, settings: Mapping[str, Any] | None) -> Section:
    """Settings as given, what training chose, what was predicted."""
    blocks: list[Block] = []
    if settings:
        blocks.append(key_value_table("Settings.", ("setting", "value"), flatten_settings(settings)))
    blocks += _training_blocks(material.train_summary)
    blocks += _prediction_blocks(material.prediction_counts)
    if material.scores is not None:
        how = material.scores.resampling
        source = ", ".join(f"{key} {value}" for key, value in material.scores.source.items() if key != "kind")
        blocks.append(
            Paragraph(
                f"Scored: {material.scores.source.get('kind', 'answers')} ({source}), "
                f"{material.scores.form} form; intervals from {how.resamples:,} resamples of posts, "
                f"seed {how.seed}."
            )
        )
    return Section("made", "How it was made", tuple(blocks))


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted names and values, fit to be sent around.

    Empty ones are left out; secrets (see `SECRET_NAME_PARTS`) and the folders above a path are not shown.

    >>> list(flatten({"seed": 7, "train": {"C": [0.5, 2]}, "tasks": None, "data": "/home/me/imhi"}))
    [('seed', '7'), ('train.C', '0.5, 2'), ('data', 'imhi')]
    """
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten_settings(value, f"{name}.")
        elif isinstance(value, str) and any(word in key.lower() for word in SECRET_NAME_PARTS):
            yield name, "not shown"
        elif isinstance(value, (list, tuple)) and any(isinstance(each, Mapping) for each in value):
            yield from flatten_settings(
                {str(number): each for number, each in enumerate(value, 1)}, f"{name}."
            )
        elif isinstance(value, (list, tuple)):
            if value:
                yield name, ", ".join(map(_shareable_text, value))
        elif value is not None:
            yield name, _shareable_text(value)


def _shareable_text(value: object) -> str:
    """A value as text; of a whole path only its last name, as the rest tells of its owner's machine."""
    text = str(value)
    return PurePath(text).name if PurePath(text).is_absolute() else text


def _training_blocks(summary: Mapping[str, Any] | None) -> list[Block]:
    if summary is None:
        return [
            Paragraph("There is no train/summary.json in this run: no model was trained in it.", missing=True)
        ]
    rows = [
        named_row(name, [Cell(question), *_chosen_cells(part)])
        for name, one in summary.get("sets", {}).items()
        for question, part in one.get("questions", {}).items()
    ]
    if not rows:
        return [key_value_table("Training.", ("setting", "value"), flatten_settings(summary))]
    header = ("set", "question", "train", "validation", "C", "class weight", "temperature", "validation F1")
    caption = "Posts fitted on, and what the validation posts decided; F1 is weighted, in percent."
    table = TableBlock(caption, header, tuple(rows))
    skipped = "; ".join(f"{name}: {reason}" for name, reason in summary.get("skipped", {}).items())
    blocks: list[Block] = [BlockGroup((table,), collapsed_title=f"What training chose, {len(rows)} in all")]
    return [*blocks, *([Paragraph(f"Not trained: {skipped}.", missing=True)] if skipped else [])]


def _chosen_cells(part: Mapping[str, Any]) -> list[Cell]:
    """One question's posts and choices; the card's F1 is a share."""
    card = part.get("metadata", {})
    f1 = card.get("weighted_f1")
    return [
        count_cell(part.get("train")),
        count_cell(part.get("validation")),
        number_cell(card.get("C"), 1),
        Cell(str(card.get("class_weight", NO_VALUE))),
        number_cell(card.get("temperature")),
        number_cell(None if f1 is None else 100 * f1),
    ]


def _prediction_blocks(predicted: PredictionCounts | None) -> list[Block]:
    if predicted is None:
        return []
    return [
        Paragraph(
            f"Answers by {', '.join(predicted.models)}: {predicted.rows:,}, of these "
            f"{predicted.with_explanation:,} with an explanation, {predicted.with_evidence:,} with evidence "
            f"marked in the post, {predicted.with_probabilities:,} with label probabilities."
        )
    ]
