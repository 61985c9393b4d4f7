"""The section on how a run was made: settings, training, predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mentallama.report.blocks import Block, Cell, Group, Section, Table, Text, count, number, pairs, row
from mentallama.report.material import Material, Predicted


def made_section(material: Material, settings: Mapping[str, Any] | None) -> Section:
    """Settings as given, what training chose, what was predicted."""
    blocks: list[Block] = []
    if settings:
        blocks.append(pairs("Settings.", ("setting", "value"), flatten(settings)))
    blocks += _trained(material.trained)
    blocks += _predicted(material.predicted)
    if material.scores is not None:
        how = material.scores.resampling
        source = ", ".join(f"{key} {value}" for key, value in material.scores.source.items() if key != "kind")
        blocks.append(Text(
            f"Scored: {material.scores.source.get('kind', 'answers')} ({source}), "
            f"{material.scores.form} form; intervals from {how.resamples:,} resamples of posts, "
            f"seed {how.seed}."
        ))
    return Section("made", "How it was made", tuple(blocks))


def flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted names and values; empty ones are left out.

    >>> list(flatten({"seed": 7, "train": {"C": [0.5, 2]}, "tasks": None}))
    [('seed', '7'), ('train.C', '0.5, 2')]
    """
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        elif isinstance(value, (list, tuple)):
            if value:
                yield f"{prefix}{key}", ", ".join(map(str, value))
        elif value is not None:
            yield f"{prefix}{key}", str(value)


def _trained(summary: Mapping[str, Any] | None) -> list[Block]:
    if summary is None:
        return [Text("There is no train/summary.json in this run: no model was trained in it.", missing=True)]
    rows = [
        row(name, [
            Cell(question), count(part.get("train")), count(part.get("validation")),
            Cell(_chosen(part.get("card", {}))), number(part.get("card", {}).get("weighted_f1")),
        ])
        for name, one in summary.get("sets", {}).items()
        for question, part in one.get("questions", {}).items()
    ]
    if not rows:
        return [pairs("Training.", ("setting", "value"), flatten(summary))]
    header = ("set", "question", "training posts", "validation posts", "chosen", "validation F1")
    table = Table("Training: what validation chose.", header, tuple(rows))
    skipped = "; ".join(f"{name}: {reason}" for name, reason in summary.get("skipped", {}).items())
    blocks: list[Block] = [Group((table,), fold=f"What training chose, {len(rows)} in all")]
    return [*blocks, *([Text(f"Not trained: {skipped}.", missing=True)] if skipped else [])]


def _chosen(card: Mapping[str, Any]) -> str:
    shown = (("C", "C"), ("class_weight", "class weight"), ("temperature", "temperature"))
    return ", ".join(f"{name} {_short(card[key])}" for key, name in shown if card.get(key) is not None)


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _predicted(predicted: Predicted | None) -> list[Block]:
    if predicted is None:
        return []
    return [Text(
        f"Answers by {', '.join(predicted.models)}: {predicted.rows:,}, of these "
        f"{predicted.with_explanation:,} with an explanation, {predicted.with_evidence:,} with evidence "
        f"marked in the post, {predicted.with_probabilities:,} with label probabilities."
    )]
