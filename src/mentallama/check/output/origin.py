"""Where a run's data comes from, as earlier stages tell it: for the dataset card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mentallama.check.output.dataset_card import DatasetCardData
from mentallama.check.output.gate_report_schema import GateReport
from mentallama.config import Recipe, Teacher, parse_remote_spec
from mentallama.files.record_files import read_json
from mentallama.run_files import COLLECT_SUMMARY_PATH, LABEL_DRIFT_PATH, TEACH_SUMMARY_PATH
from mentallama.tasks import Task

COLLECT_SUMMARY, LABEL_DRIFT, TEACH_SUMMARY = (
    COLLECT_SUMMARY_PATH,
    LABEL_DRIFT_PATH,
    TEACH_SUMMARY_PATH,
)
RELEASE_TEACHER = "The explanations are the published release's, written by gpt-3.5-turbo."


@dataclass(frozen=True)
class StageSummaries:
    """What `collect` and `teach` said of themselves."""

    tasks: Mapping[str, Task]
    teachers: Sequence[str]
    prompt: str | None
    collect_summary: Mapping[str, Any]
    label_drift: Sequence[Mapping[str, Any]]

    def dataset_card_data(
        self,
        name: str,
        gates: GateReport,
        parquet: bool,
        languages: Sequence[str],
        made_up: Mapping[str, int],
    ) -> DatasetCardData:
        """All that the card is written from."""
        return DatasetCardData(
            name=name,
            gates=gates,
            tasks=self.tasks,
            parquet=parquet,
            languages=languages,
            synthetic=made_up,
            teachers=self.teachers,
            prompt=self.prompt,
            collect_summary=self.collect_summary,
            label_drift=self.label_drift,
        )


def read_stage_summaries(recipe: Recipe, folder: Path) -> StageSummaries:
    """Read what earlier stages wrote of themselves; a stage that is not in the run says nothing."""
    collected = _read_optional_json(folder / COLLECT_SUMMARY)
    drift = _read_optional_json(folder / LABEL_DRIFT)
    lesson = _read_optional_json(folder / TEACH_SUMMARY) if recipe.teach is not None else None
    teachers = (
        [RELEASE_TEACHER] if recipe.teach is None else list(map(_describe_teacher, recipe.teach.teacher))
    )
    return StageSummaries(
        recipe.catalogue(), teachers, _describe_prompt(recipe, lesson), collected or {}, drift or ()
    )


def _read_optional_json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _describe_teacher(teacher: Teacher) -> str:
    """A teacher, without the address it was asked at."""
    if not teacher.remote:
        return (
            "The embedded teacher writes sentences round the words that a linear model counts as evidence; no "
            "language model wrote them."
        )
    model, _ = parse_remote_spec(teacher.spec)
    return (
        f"{model} was asked at temperature {teacher.temperature:g} for at most {teacher.max_tokens} tokens."
    )


def _describe_prompt(recipe: Recipe, lesson: Mapping[str, Any] | None) -> str | None:
    if recipe.teach is None or lesson is None or not any(each.remote for each in recipe.teach.teacher):
        return None
    form = "a JSON object" if lesson["structured"] else "an answer sentence and its reasoning"
    return f"Prompts: {lesson['prompt_mode']}, version {lesson['prompts_version']}, asking for {form}."
