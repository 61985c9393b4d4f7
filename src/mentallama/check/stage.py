"""The check stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mentallama.analysts.registry import model_problem
from mentallama.config import Recipe
from mentallama.files.record_files import read_json
from mentallama.pipeline.stage import Stage, lacks_release_responses, spec_files
from mentallama.progress import LogFn
from mentallama.run_files import (
    CHECK_SUMMARY_PATH,
    COLLECT_SUMMARY_PATH,
    CROISSANT_FILE,
    DISAGREEMENTS_PATH,
    DROPPED_FILE,
    GATE_REPORT_FILE,
    GATE_REPORT_PAGE_FILE,
    GATE_REPORT_PAGE_PATH,
    GATE_REPORT_PATH,
    INSTRUCTIONS_FILE,
    LABEL_DRIFT_PATH,
    POSTS_PATH,
    QUOTES_FILE,
    RATING_SAMPLE_PATH,
    RELEASE_RESPONSES_PATH,
    SUMMARY_FILE,
    TEACH_RESPONSES_PATH,
    TEACH_SUMMARY_PATH,
    VERDICTS_FILE,
)
from mentallama.tasks.terms import TERMS_FILE


def check_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Besides posts and responses, where they exist: references, summaries for the card, expert files and a label
    reader."""
    from mentallama.check.run import locate_inputs
    from mentallama.files.imhi_release import find_expert_files

    files = locate_inputs(recipe, folder)
    optional = [folder / COLLECT_SUMMARY_PATH, folder / LABEL_DRIFT_PATH]
    if recipe.teach is not None:
        optional.append(folder / TEACH_SUMMARY_PATH)
    if files.references is not None:
        optional.append(files.references)
    inputs: dict[str, Path] = {}
    label_reader = recipe.check.label_reader if recipe.check is not None else None
    if label_reader is not None:
        inputs |= spec_files(f"encoder:{label_reader}", "label_reader")
    inputs |= {path.relative_to(folder).as_posix(): path for path in optional if path.is_file()}
    if files.release is not None:
        expert_files = find_expert_files(files.release, recipe.catalogue())
        inputs |= {f"expert/{file.path.name}": file.path for file in expert_files}
    return inputs


def check_reads(recipe: Recipe) -> tuple[str, ...]:
    """Posts, and the responses of teachers or, without teach, those of the release."""
    return (POSTS_PATH, RELEASE_RESPONSES_PATH if recipe.teach is None else TEACH_RESPONSES_PATH)


def check_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """A label reader that does not exist, or no responses to judge."""
    assert recipe.check is not None
    reader = recipe.check.label_reader
    if reader is not None and (problem := model_problem(str(reader), on_hub=False)):
        yield f"check.label_reader: {problem}"
    if recipe.teach is None:
        yield from lacks_release_responses("check", recipe)


def check(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.check.run import run

    return run(recipe, folder, out)


def check_human_inputs(folder: Path) -> dict[str, str]:
    from mentallama.check.human_review.review_folder import human_input_digests

    return human_input_digests(folder)


def rejected_by_raters(recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    """The error message if the sequential test on the raters' sample rejects the data; otherwise None."""
    sample = read_json(folder / GATE_REPORT_PATH)["rating_sample"]
    if sample.get("result") != "reject":
        return None
    return (
        f"{folder / 'check'}: raters found {sample['poor']} of {sample['rated']} explanations of the sample "
        f"poor, which is too many; the files were written, but do not use them ({folder / RATING_SAMPLE_PATH})"
    )


def check_notes(folder: Path) -> Iterator[str]:
    """Lines for the terminal: how many responses were accepted, and how many await a reviewer's decision."""
    summary = read_json(folder / CHECK_SUMMARY_PATH)
    yield f"check: {summary['accepted']} of {summary['responses']} responses accepted; {folder / GATE_REPORT_PAGE_PATH}"
    if summary["undecided"]:
        yield (
            f"note: check: {summary['undecided']} answers give another label than the data set; decide in "
            f"{folder / DISAGREEMENTS_PATH}, then run the same command again"
        )


STAGE = Stage(
    name="check",
    help="Judge the responses: accept those fit to train on, and give the reason for each rejection. Reads posts and "
    "responses; writes instructions.jsonl.zst, the data set in data/, and gates.md.",
    inputs=check_inputs,
    run=check,
    reads=check_reads,
    problems=check_problems,
    analyst_kinds=lambda recipe, _: (
        () if recipe.check is None or recipe.check.label_reader is None else ("encoder",)
    ),
    human_inputs=check_human_inputs,
    notes=check_notes,
    verdict=rejected_by_raters,
    file_patterns=(
        INSTRUCTIONS_FILE,
        VERDICTS_FILE,
        DROPPED_FILE,
        QUOTES_FILE,
        GATE_REPORT_FILE,
        GATE_REPORT_PAGE_FILE,
        SUMMARY_FILE,
        "README.md",
        TERMS_FILE,
        CROISSANT_FILE,
        "data/*.jsonl",
        "data/*.parquet",
        "release/*.csv",
    ),
)
