"""Checks of a whole run before any work: what each stage reads, the models and files it names, and its libraries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mentallama.analysts.checkpoints.optional_deps import missing_libraries
from mentallama.analysts.registry import required_libraries
from mentallama.config import Recipe
from mentallama.errors import MentallamaError, UsageError, counted, on_one_line
from mentallama.files.manifest import is_up_to_date, read_manifest
from mentallama.pipeline.cache_key import stage_cache_key
from mentallama.pipeline.stage import Stage


def check_run(recipe: Recipe, folder: Path, selected: Sequence[Stage], stages: Sequence[Stage]) -> None:
    """Check the selected stages of a recipe, without writing anything.

    Parameters
    ----------
    folder
        The run's folder; results of earlier runs in it count.
    stages
        All stages that there are.

    Raises
    ------
    UsageError
        A stage would fail; the message lists the problems of all stages.
    """
    problems = list(dict.fromkeys(_problems(recipe, folder, selected, stages)))
    if problems:
        listed = "\n".join(f"  - {on_one_line(problem)}" for problem in problems)
        raise UsageError(
            f"the recipe {recipe.name} cannot be run: {counted(len(problems), 'fault')}\n{listed}"
        )


def _problems(
    recipe: Recipe, folder: Path, selected: Sequence[Stage], stages: Sequence[Stage]
) -> Iterator[str]:
    if recipe.ray is not None:
        yield from missing_libraries("ray", ("ray",))
    written: set[str] = set()
    for stage in selected:
        missing = [path for path in _reads(stage, recipe) if path not in written]
        problems = [
            *(_missing_file(stage, path, stages) for path in missing if not (folder / path).is_file()),
            *_own_problems(stage, recipe, folder),
        ]
        if problems and not _is_finished(stage, recipe, folder):
            yield from problems
        written.update(f"{stage.name}/{name}" for name in stage.file_patterns)


def _reads(stage: Stage, recipe: Recipe) -> tuple[str, ...]:
    return () if stage.reads is None else stage.reads(recipe)


def _missing_file(stage: Stage, path: str, stages: Sequence[Stage]) -> str:
    writer = path.partition("/")[0]
    advice = (
        f"add {writer} to the recipe" if writer in {each.name for each in stages} else "it does not exist"
    )
    return f"{stage.name} reads {path}, which no stage of this recipe writes: {advice}"


def _own_problems(stage: Stage, recipe: Recipe, folder: Path) -> Iterator[str]:
    """Problems that the stage itself finds, and missing libraries of its analysts."""
    if stage.problems is not None:
        yield from stage.problems(recipe, folder)
    try:
        kinds = () if stage.analyst_kinds is None else stage.analyst_kinds(recipe, folder)
        yield from missing_libraries(stage.name, required_libraries(kinds))
    except UsageError as fault:  # the stage names a kind of analyst that does not exist
        if stage.problems is None:
            yield str(fault)


def _is_finished(stage: Stage, recipe: Recipe, folder: Path) -> bool:
    """Whether the stage would be skipped: its results do not need what has been removed since."""
    try:
        key = stage_cache_key(stage, recipe, folder)
    except MentallamaError:
        return False
    return is_up_to_date(read_manifest(folder / stage.name), key, folder / stage.name)
