"""Report: write the page of a run.

    mentallama report recipes/imhi-linear.yaml

Reads `collect/`, `check/`, `train/`, `predict/` and `evaluate/` of the run, as far as they exist. Writes
  report/index.html   the page: no script, no network, plots inside
  report/report.md    the same in Markdown
  report/files/       every table as CSV and LaTeX, every figure as SVG, PDF and PNG
None contains text of posts of people. The same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from mentallama.files.atomic import write_bytes
from mentallama.files.markdown import EMPTY_CELL, escape_markdown
from mentallama.report import sections
from mentallama.report.downloads import download_files, with_file_names
from mentallama.report.page_model import Page
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.run_files import (
    REPORT_FIGURE_FORMATS,
    REPORT_FILES_FOLDER,
    REPORT_PAGE_FILE,
    REPORT_TABLE_FORMATS,
    REPORT_TEXT_FILE,
)
from mentallama.safety import NOTICE
from mentallama.tasks import Task, load_tasks

INTRO = (
    "Posts from social media, a question about each, and the answers of a model: a label and the reason "
    "for it. This page shows how often the labels are right, on which posts, and how far that can be trusted."
)


def run(
    folder: Path,
    out: Path,
    title: str,
    settings: Mapping[str, Any] | None = None,
    tasks: Mapping[str, Task] | None = None,
) -> Path:
    """Write the report of a run; returns the page.

    Parameters
    ----------
    folder
        The run's folder, `runs/NAME`.
    out
        Folder of the page, `runs/NAME/report`.
    title
        Title of the page.
    settings
        Settings shown under "Provenance", nested keys with dots; None: no settings are shown.
    tasks
        Tasks by set name; None: those of the package.

    Raises
    ------
    DataError
        A file of the run does not match its schema.
    """
    artifacts = read_run_artifacts(folder, load_tasks() if tasks is None else tasks, settings)
    return write_page(build_page(artifacts, title), out)


def write_page(page: Page, out: Path) -> Path:
    """Write a page as HTML and Markdown, with the files of its tables and figures; returns the HTML file."""
    for name, content in page_files(page):
        write_bytes(out / name, content)
    return out / REPORT_PAGE_FILE


def page_files(page: Page) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a page by their names, the HTML page last."""
    page = with_file_names(page)
    yield from download_files(page)
    yield REPORT_TEXT_FILE, render_template("page.md.j2", page).encode()
    yield REPORT_PAGE_FILE, render_template("page.html.j2", page).encode()


def build_page(artifacts: RunArtifacts, title: str) -> Page:
    """The content of the page: the sections of `sections.SECTIONS` that apply to the run, in that order."""
    built = (build(artifacts) for build in sections.SECTIONS)
    return Page(
        title=title,
        notice=NOTICE,
        intro=INTRO,
        key_figures=tuple(key_figures(artifacts)),
        sections=tuple(section for section in built if section is not None),
    )


def key_figures(artifacts: RunArtifacts) -> list[tuple[str, str]]:
    """The few numbers at the top of the page; none is a mean over sets, which would hide the weak ones."""
    if artifacts.scores is None:
        return []
    sets = artifacts.scores.sets.values()
    rows, parsed = sum(scores.n for scores in sets), sum(scores.parsed for scores in sets)
    source = artifacts.scores.source
    return [
        ("sets scored", f"{len(sets)} of {len(sets) + len(artifacts.scores.missing)}"),
        ("test rows", f"{rows:,}"),
        ("answers parsed", f"{100 * parsed / rows:.1f} %" if rows else EMPTY_CELL),
        ("model", source.get("model") or source.get("responses", EMPTY_CELL)),
    ]


def render_template(template: str, page: Page) -> str:
    """Render a page with a template of `templates/`; text is escaped for HTML and for Markdown tables."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("mentallama.report") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["escape_markdown"] = escape_markdown
    environment.globals |= {
        "files_folder": REPORT_FILES_FOLDER,
        "table_formats": REPORT_TABLE_FORMATS,
        "figure_formats": REPORT_FIGURE_FORMATS,
    }
    return environment.get_template(template).render(page=page)
