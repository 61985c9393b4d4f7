"""The collect stage, for the runner and the command line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentallama.analysts.checkpoints.optional_deps import missing_libraries
from mentallama.config import Recipe
from mentallama.errors import MentallamaError
from mentallama.files.erasure_requests import read_erasure_list
from mentallama.files.record_files import read_record, read_records
from mentallama.pipeline.stage import Stage
from mentallama.progress import LogFn
from mentallama.run_files import (
    COLLECT_SUMMARY_PATH,
    ERASURE_LIST_PATH,
    LABEL_DRIFT_FILE,
    OVERLAP_FILE,
    POSTS_FILE,
    REJECTS_FILE,
    REJECTS_PATH,
    REMOVED_FILE,
    REMOVED_PATH,
    RESPONSES_FILE,
    SUMMARY_FILE,
    UPSTREAM_LABELS_FILE,
)

if TYPE_CHECKING:
    from mentallama.collect.summary import CollectSummary


def check_summary(recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    """Log which splits are empty, how many posts were left out and how many rows were rejected; return a message if the
    recipe allows fewer."""
    from mentallama.collect.summary import REMOVAL_REASONS, CollectSummary

    summary = read_record(folder / COLLECT_SUMMARY_PATH, CollectSummary)
    for name, splits in summary.empty_splits.items():
        log(
            f"note: {name} has no {' and no '.join(splits)} posts, although splits are drawn; the copies of a post "
            "and the posts of an author stay together, so that few authors may give no post to a split"
        )
    removed: Counter[str] = Counter()
    for count in summary.removed:
        removed[REMOVAL_REASONS[count.reason]] += count.posts
    if removed:
        reasons = ", ".join(f"{reason} ({posts:,})" for reason, posts in sorted(removed.items()))
        log(f"note: posts left out: {reasons}; all are listed in {folder / REMOVED_PATH}")
    return _check_reject_share(summary, recipe, folder, log)


def _check_reject_share(summary: CollectSummary, recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    from mentallama.collect.readers import Reject

    if not summary.rejected or not summary.rows_read:
        return None
    assert recipe.collect is not None
    share, allowed = summary.rejected / summary.rows_read, recipe.collect.allowed_rejects
    first = next(read_records(folder / REJECTS_PATH, Reject))
    message = (
        f"{recipe.data / first.file}, row {first.row}: {first.reason} "
        f"({summary.rejected} of {summary.rows_read} rows rejected, {share:.2%}; all are listed in "
        f"{folder / REJECTS_PATH})"
    )
    if share > allowed:
        return f"{message}; the recipe allows {allowed:.2%} (collect.allowed_rejects)"
    log(f"note: {message}")
    return None


def collect_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    from mentallama.collect.inputs import find_input_files

    assert recipe.collect is not None
    inputs = find_input_files(recipe.data, recipe.catalogue(), recipe.form, recipe.collect.tables)
    files = {file.name: file.path for file in inputs}
    files |= {path.relative_to(recipe.data).as_posix(): path for file in inputs if (path := file.labels)}
    erasures = folder / ERASURE_LIST_PATH
    return files | ({ERASURE_LIST_PATH: erasures} if erasures.is_file() else {})


def collect_problems(recipe: Recipe, folder: Path) -> Iterator[str]:
    """A data folder without files, and Parquet tables or phone regions without the library that they need."""
    from mentallama.text.phone_numbers import require_phone_library

    assert recipe.collect is not None
    try:
        require_phone_library(recipe.collect.phone_regions)
        files = collect_inputs(recipe, folder).values()
    except MentallamaError as fault:
        yield str(fault)
        return
    if any(file.suffix == ".parquet" for file in files):
        yield from missing_libraries("collect", ("pyarrow",))


def collect(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.collect.run import run

    summary = run(recipe, out, read_erasure_list(folder))
    return summary.model_dump(include={"rows_read", "rejected", "reject_reasons", "posts"})


def phone_library_version(recipe: Recipe) -> dict[str, str]:
    """Version of the optional library that finds phone numbers, where the recipe uses it."""
    assert recipe.collect is not None
    return {"phonenumbers": version("phonenumbers")} if recipe.collect.phone_regions else {}


STAGE = Stage(
    name="collect",
    help="Gather posts: repair text, mask personal data, split, and remove training posts that leak test posts. "
    "Reads release/ and sources/ in the recipe's data folder; writes posts.jsonl.zst, and lists what it left out.",
    inputs=collect_inputs,
    run=collect,
    problems=collect_problems,
    verdict=check_summary,
    cache_extra=phone_library_version,
    file_patterns=(
        POSTS_FILE,
        RESPONSES_FILE,
        REJECTS_FILE,
        REMOVED_FILE,
        OVERLAP_FILE,
        LABEL_DRIFT_FILE,
        UPSTREAM_LABELS_FILE,
        SUMMARY_FILE,
    ),
)
