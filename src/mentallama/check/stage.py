"""The check stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.files.record_files import read_json
from mentallama.pipeline.stage import Stage, require_files, spec_files
from mentallama.progress import LogFn
from mentallama.run_files import (
    CHECK_SUMMARY_PATH,
    DISAGREEMENTS_PATH,
    GATE_REPORT_PAGE_PATH,
    GATE_REPORT_PATH,
    RATING_SAMPLE_PATH,
)


def check_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    from mentallama.check.output.origin import COLLECT_SUMMARY, LABEL_DRIFT, TEACH_SUMMARY
    from mentallama.check.run import locate_inputs
    from mentallama.files.imhi_release import find_expert_files

    files = locate_inputs(recipe, folder)
    given = {path.relative_to(folder).as_posix(): path for path in (files.posts, files.responses)}
    told = [
        folder / name
        for name in (COLLECT_SUMMARY, LABEL_DRIFT, *([] if recipe.teach is None else [TEACH_SUMMARY]))
    ]
    found = require_files(*given)(recipe, folder)
    more = [
        path for path in (*told, *([] if files.references is None else [files.references])) if path.is_file()
    ]
    experts = [] if files.release is None else find_expert_files(files.release, recipe.catalogue())
    reader = recipe.check.label_reader if recipe.check is not None else None
    return (
        found
        | ({} if reader is None else spec_files(f"encoder:{reader}", "label_reader"))
        | {path.relative_to(folder).as_posix(): path for path in more}
        | {f"expert/{each.path.name}": each.path for each in experts}
    )


def check(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.check.run import run

    return run(recipe, folder, out)


def check_human_inputs(folder: Path) -> dict[str, str]:
    from mentallama.check.human_review.review_folder import human_input_digests

    return human_input_digests(folder)


def rejected_by_raters(recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    """A sentence if the sequential test on the raters' sample rejects the data."""
    sample = read_json(folder / GATE_REPORT_PATH)["rating_sample"]
    if sample.get("result") != "reject":
        return None
    return (
        f"{folder / 'check'}: raters found {sample['poor']} of {sample['rated']} explanations of the sample poor, more "
        f"than can be accepted; all is written, do not use it ({folder / RATING_SAMPLE_PATH})"
    )


def check_notes(folder: Path) -> Iterator[str]:
    """What was accepted, and what waits for people."""
    summary = read_json(folder / CHECK_SUMMARY_PATH)
    yield f"check: {summary['accepted']} of {summary['responses']} responses accepted; {folder / GATE_REPORT_PAGE_PATH}"
    if summary["undecided"]:
        yield (
            f"note: check: {summary['undecided']} answers give another label than the set; decide in "
            f"{folder / DISAGREEMENTS_PATH}, the same command reads it"
        )


STAGE = Stage(
    name="check",
    help="Judge the responses: accept those fit to train on, and give the reason for each rejection.",
    inputs=check_inputs,
    run=check,
    analyst_kinds=lambda recipe, _: (
        () if recipe.check is None or recipe.check.label_reader is None else ("encoder",)
    ),
    human_inputs=check_human_inputs,
    notes=check_notes,
    verdict=rejected_by_raters,
)
