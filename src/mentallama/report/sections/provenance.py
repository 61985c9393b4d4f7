"""Section on provenance: settings, training, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.answer_survey import AnswerSurvey
from mentallama.report.page_model import (
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
from mentallama.report.run_artifacts import RunArtifacts

SECRET_NAME_PARTS = ("salt", "secret", "token", "password", "api_key")
"""Values under names with these parts are not shown: with the salt, a hashed author can be identified."""


def provenance_section(artifacts: RunArtifacts) -> Section:
    """Settings of the recipe, choices of the training, counts of predictions, and how scores were computed."""
    blocks: list[Block] = []
    if artifacts.settings:
        settings = key_value_table(
            "Settings.", ("setting", "value"), flatten_settings(artifacts.settings), "settings"
        )
        blocks.append(
            BlockGroup((settings,), collapsed_title=f"Settings of the recipe, {len(settings.rows)}")
        )
    blocks += _training_blocks(artifacts)
    blocks += _prediction_blocks(artifacts.answers)
    if artifacts.scores is not None:
        resampling = artifacts.scores.resampling
        source = ", ".join(
            f"{key} {value}" for key, value in artifacts.scores.source.items() if key != "kind"
        )
        blocks.append(
            Paragraph(
                f"Scored: {artifacts.scores.source.get('kind', 'answers')} ({source}), "
                f"{artifacts.scores.form} form; intervals from {resampling.resamples:,} resamples of posts, "
                f"seed {resampling.seed}."
            )
        )
    return Section("provenance", "Provenance", tuple(blocks))


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted names and values that can be shared.

    Empty values are left out; secrets (see `SECRET_NAME_PARTS`) and the parent folders of absolute paths are not shown.

    >>> list(flatten_settings({"seed": 7, "train": {"C": [0.5, 2]}, "tasks": None, "data": "/home/me/imhi"}))
    [('seed', '7'), ('train.C', '0.5, 2'), ('data', 'imhi')]
    """
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten_settings(value, f"{name}.")
        elif isinstance(value, str) and any(word in key.lower() for word in SECRET_NAME_PARTS):
            yield name, "not shown"
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            yield from flatten_settings(
                {str(number): item for number, item in enumerate(value, 1)}, f"{name}."
            )
        elif isinstance(value, (list, tuple)):
            if value:
                yield name, ", ".join(map(_shareable_text, value))
        elif value is not None:
            yield name, _shareable_text(value)


def _shareable_text(value: object) -> str:
    """A value as text; of an absolute path only the last part, as the rest may identify the user."""
    text = str(value)
    return PurePath(text).name if PurePath(text).is_absolute() else text


def _training_blocks(artifacts: RunArtifacts) -> list[Block]:
    summary = artifacts.train_summary
    if summary is None:
        return [Paragraph("There is no train/summary.json in this run: no model was trained.", missing=True)]
    rows = [
        named_row(artifacts.set_name(name), [Cell(question), *_chosen_cells(part)])
        for name, set_summary in summary.get("sets", {}).items()
        for question, part in set_summary.get("questions", {}).items()
    ]
    if not rows:
        return [key_value_table("Training.", ("setting", "value"), flatten_settings(summary))]
    header = ("set", "question", "train", "validation", "C", "class weight", "temperature", "validation F1")
    caption = "Posts by split, and settings chosen on validation posts; F1 is weighted, in percent."
    table = TableBlock(caption, header, tuple(rows), name="training")
    skipped = "; ".join(f"{name}: {reason}" for name, reason in summary.get("skipped", {}).items())
    blocks: list[Block] = [
        BlockGroup((table,), collapsed_title=f"Settings chosen by training, {len(rows)} models")
    ]
    return [*blocks, *([Paragraph(f"Not trained: {skipped}.", missing=True)] if skipped else [])]


def _chosen_cells(part: Mapping[str, Any]) -> list[Cell]:
    """Posts of one question and the settings chosen for it; F1 in the metadata is 0-1."""
    metadata = part.get("metadata", {})
    f1 = metadata.get("weighted_f1")
    return [
        count_cell(part.get("train")),
        count_cell(part.get("validation")),
        number_cell(metadata.get("C"), 1),
        Cell(str(metadata.get("class_weight", EMPTY_CELL))),
        number_cell(metadata.get("temperature")),
        number_cell(None if f1 is None else 100 * f1),
    ]


def _prediction_blocks(answers: AnswerSurvey | None) -> list[Block]:
    if answers is None:
        return []
    return [
        Paragraph(
            f"Answers by {', '.join(sorted(answers.models))}: {answers.rows:,}, of these "
            f"{answers.with_explanation:,} with an explanation, {answers.with_evidence:,} with evidence "
            f"spans in the post, {answers.with_probabilities:,} with label probabilities."
        )
    ]
