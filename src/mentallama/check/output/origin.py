"""Where a run's data comes from, as earlier stages tell it: for the dataset card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama.check.output.dataset_card import CardMaterial
from mentallama.check.output.gate_report_schema import GateFile
from mentallama.config import Recipe, Teacher
from mentallama.files.record_files import read_json
from mentallama.tasks import Task

SUMMARY, DRIFT, LESSON = "collect/summary.json", "collect/drift.json", "teach/summary.json"
GOLDENS = "The explanations are the published release's, written by gpt-3.5-turbo."


@dataclass(frozen=True)
class Origin:
    """What `collect` and `teach` said of themselves."""

    tasks: Mapping[str, Task]
    teachers: Sequence[str]
    prompt: str | None
    collected: Mapping[str, Any]
    drift: Sequence[Mapping[str, Any]]

    def card(
        self, name: str, gates: GateFile, parquet: bool, languages: Sequence[str], made_up: Mapping[str, int]
    ) -> CardMaterial:
        """All that the card is written from."""
        return CardMaterial(
            name=name,
            gates=gates,
            tasks=self.tasks,
            parquet=parquet,
            languages=languages,
            made_up=made_up,
            teachers=self.teachers,
            prompt=self.prompt,
            collected=self.collected,
            drift=self.drift,
        )


def read_origin(recipe: Recipe, folder: Path) -> Origin:
    """Read what earlier stages wrote of themselves; a stage that is not in the run says nothing."""
    collected = _read(folder / SUMMARY)
    drift = _read(folder / DRIFT)
    lesson = _read(folder / LESSON) if recipe.teach is not None else None
    teachers = [GOLDENS] if recipe.teach is None else list(map(_words, recipe.teach.teacher))
    return Origin(recipe.catalogue(), teachers, _prompt(recipe, lesson), collected or {}, drift or ())


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _words(teacher: Teacher) -> str:
    """A teacher, without the address it was asked at."""
    if not teacher.remote:
        return (
            "The embedded teacher writes sentences round the words that a linear model counts as evidence; no "
            "language model wrote them."
        )
    model, _ = teacher.model_and_url
    return (
        f"{model} was asked at temperature {teacher.temperature:g} for at most {teacher.max_tokens} tokens."
    )


def _prompt(recipe: Recipe, lesson: Mapping[str, Any] | None) -> str | None:
    if recipe.teach is None or lesson is None or not any(each.remote for each in recipe.teach.teacher):
        return None
    form = "a JSON object" if lesson["structured"] else "an answer sentence and its reasoning"
    return f"Prompts: {lesson['prompt']}, version {lesson['prompts']}, asking for {form}."
