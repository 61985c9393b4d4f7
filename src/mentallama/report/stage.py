"""The report stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import Recipe
from mentallama.pipeline.stage import Stage
from mentallama.run_files import (
    MANIFEST_FILE,
    REPORT_FIGURE_FORMATS,
    REPORT_FILES_FOLDER,
    REPORT_PAGE_FILE,
    REPORT_TABLE_FORMATS,
    REPORT_TEXT_FILE,
)


def report_inputs(recipe: Recipe, folder: Path) -> dict[str, Path]:
    """Every file that other stages wrote, except manifests: the same results make no new page.

    The page shows when they were first computed.
    """
    earlier = [folder / stage for stage in type(recipe).stage_names() if stage != "report"]
    files = (file for stage in earlier if stage.is_dir() for file in sorted(stage.iterdir()))
    return {
        file.relative_to(folder).as_posix(): file
        for file in files
        if file.is_file() and file.name != MANIFEST_FILE
    }


def report_settings(recipe: Recipe) -> dict[str, Any]:
    """Settings for the cache key, since the page shows them: the whole recipe but for the data folder and `jobs`.

    The author salt is left out, because the manifest, which holds the key, is often passed on with the page.
    """
    return recipe.model_dump(
        mode="json", exclude={"data": True, "jobs": True, "collect": {"author_salt"}}, exclude_none=True
    )


def report(recipe: Recipe, folder: Path, out: Path) -> dict[str, Any]:
    """Write the page; returns no counts for the manifest."""
    from mentallama.report.run import run

    assert recipe.report is not None
    settings = recipe.model_dump(mode="json", exclude={"data", "report", "jobs"}, exclude_none=True)
    run(folder, out, recipe.report.title or recipe.name, settings, recipe.catalogue())
    return {}


STAGE = Stage(
    name="report",
    help="Write the page of a run. Reads what the other stages wrote; writes index.html and report.md, without posts.",
    inputs=report_inputs,
    run=report,
    file_patterns=(
        REPORT_PAGE_FILE,
        REPORT_TEXT_FILE,
        *(
            f"{REPORT_FILES_FOLDER}/*.{suffix}"
            for suffix in (*REPORT_TABLE_FORMATS.values(), *REPORT_FIGURE_FORMATS.values())
        ),
    ),
    cache_extra=report_settings,
)
