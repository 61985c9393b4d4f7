"""The collect stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.files import erasure_requests as forgotten
from mentallama.files.record_files import read_json, read_records
from mentallama.pipeline.stage import Stage
from mentallama.progress import LogFn
from mentallama.run_files import COLLECT_SUMMARY_PATH, ERASURE_LIST_PATH, REJECTS_PATH


def check_reject_share(recipe: Recipe, folder: Path, log: LogFn) -> str | None:
    """Log how many rows were rejected; a sentence if there are more than the recipe allows."""
    from mentallama.collect.readers import Reject

    summary = read_json(folder / COLLECT_SUMMARY_PATH)
    if not summary["rejected"]:
        return None
    assert recipe.collect is not None
    share, allowed = summary["rejected"] / summary["read"], recipe.collect.allowed_rejects
    first = next(read_records(folder / REJECTS_PATH, Reject))
    told = (
        f"{recipe.data / first.file}, row {first.row}: {first.reason} "
        f"({summary['rejected']} of {summary['read']} rows rejected, {share:.2%}; all are listed in "
        f"{folder / REJECTS_PATH})"
    )
    if share > allowed:
        return f"{told}; the recipe allows {allowed:.2%} (collect.allowed_rejects)"
    log(f"note: {told}")
    return None


def collect_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    from mentallama.collect.inputs import find_input_files

    assert recipe.collect is not None
    inputs = find_input_files(recipe.data, recipe.catalogue(), recipe.form, recipe.collect.tables)
    asked = {ERASURE_LIST_PATH: folder / ERASURE_LIST_PATH}
    return {each.name: each.path for each in inputs} | {
        n: path for n, path in asked.items() if path.is_file()
    }


def collect(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    from mentallama.collect.run import run

    summary = run(recipe, out, forgotten.read_erasure_list(folder))
    return {key: summary[key] for key in ("read", "rejected", "rejects", "posts")}


STAGE = Stage(
    name="collect",
    help="Gather posts: repair text, remove personal data, split, and drop what leaks into test sets.",
    inputs=collect_inputs,
    run=collect,
    verdict=check_reject_share,
)
