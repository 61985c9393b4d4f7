"""Section on provenance: how the scores were computed, when, where and by which command, and the recipe's settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mentallama.environment import NOT_SHOWN, is_secret_name, shareable_text
from mentallama.files.manifest import Manifest
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


def provenance_section(artifacts: RunArtifacts) -> Section:
    """Where the numbers come from."""
    blocks: list[Block] = [*_prediction_blocks(artifacts.answers)]
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
    blocks += _execution_blocks(artifacts.manifests)
    if artifacts.settings:
        settings = key_value_table(
            "Settings of the recipe.", ("setting", "value"), flatten_settings(artifacts.settings), "settings"
        )
        blocks.append(
            BlockGroup((settings,), collapsed_title=f"Settings of the recipe, {len(settings.rows)}")
        )
    return Section("provenance", "Provenance", tuple(blocks))


def flatten_settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as dotted names and values that can be shared.

    Empty values are left out; secrets and the parent folders of absolute paths are not shown.

    >>> list(flatten_settings({"seed": 7, "train": {"C": [0.5, 2]}, "tasks": None, "data": "/home/me/imhi"}))
    [('seed', '7'), ('train.C', '0.5, 2'), ('data', 'imhi')]
    """
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flatten_settings(value, f"{name}.")
        elif isinstance(value, str) and is_secret_name(key):
            yield name, NOT_SHOWN
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
            yield from flatten_settings(
                {str(number): item for number, item in enumerate(value, 1)}, f"{name}."
            )
        elif isinstance(value, (list, tuple)):
            if value:
                yield name, ", ".join(map(shareable_text, value))
        elif value is not None:
            yield name, shareable_text(value)


def _execution_blocks(manifests: Mapping[str, Manifest]) -> Iterator[Block]:
    """When each stage was finished and what it took; then the commands and machines, each once."""
    if not manifests:
        return
    rows = tuple(
        named_row(
            stage,
            [
                Cell(EMPTY_CELL if manifest.execution is None else manifest.execution.finished),
                number_cell(manifest.seconds, 1),
                count_cell(manifest.peak_memory_mb),
                *(Cell(str(_versions(manifest).get(name, EMPTY_CELL))) for name in ("mentallama", "python")),
            ],
        )
        for stage, manifest in manifests.items()
    )
    header = ("stage", "finished", "seconds", "peak memory, MB", "mentallama", "Python")
    yield TableBlock("Stages of the run.", header, rows, name="stages")
    facts = dict.fromkeys(
        fact
        for manifest in manifests.values()
        if manifest.execution is not None
        for fact in (("command", manifest.execution.command), ("machine", manifest.execution.machine))
    )
    known = [(name, value) for name, value in facts if value is not None]
    if known:
        yield key_value_table("How the stages were run.", ("what", "value"), sorted(known), "execution")


def _versions(manifest: Manifest) -> Mapping[str, Any]:
    versions = manifest.cache_key.get("versions")
    return versions if isinstance(versions, Mapping) else {}


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
