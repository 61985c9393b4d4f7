"""Report: write the page of a run, or of several runs side by side.

    mentallama report recipes/imhi-linear.yaml
    mentallama report runs/A runs/B --out DIR
    mentallama compare runs/A outputs/B --benchmark data/release --out DIR

Reads `collect/`, `check/`, `train/`, `predict/` and `evaluate/` of the run, as far as they exist. Writes
  report/index.html   the page: no script, no network, plots inside
  report/report.md    the same in Markdown
  report/files/       every table as CSV and LaTeX, every figure as SVG, PDF and PNG
and the same files into DIR for runs that are there, with a manifest, so that nothing else in DIR is replaced; of
several systems also
  comparison.json     scores, rows, differences and leaderboards of all systems
None contains text of posts of people. The same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import chain
from pathlib import Path
from typing import Any

from mentallama.errors import UsageError
from mentallama.files.atomic import json_bytes, write_bytes
from mentallama.files.markdown import EMPTY_CELL, escape_markdown
from mentallama.files.ownership import claim_files, make_output_folder, record_claimed_files
from mentallama.report import sections
from mentallama.report.comparison.comparison import Comparison, read_comparison
from mentallama.report.comparison.comparison_file import comparison_file
from mentallama.report.comparison.sections import COMPARISON_SECTIONS
from mentallama.report.comparison.systems import distinct_names
from mentallama.report.downloads import download_files, with_file_names
from mentallama.report.explanation_tables import RIGHT_REASON, overall_right_reason
from mentallama.report.page_model import Page
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.run_files import (
    COMPARISON_FILE,
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

COMPARISON_INTRO = (
    "The same questions about posts from social media, answered by several models. Differences between them are "
    "computed row by row, and only where the posts and their labels are the same."
)
REPORT_COMMAND, COMPARE_COMMAND = "report RUN", "compare"
"""In the manifest of a page without a recipe, which no run may replace."""
MAX_TITLE_NAMES = 3
"""Most systems whose names are the title of a page."""


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


def report_runs(folders: Sequence[Path], out: Path, tasks: Mapping[str, Task] | None = None) -> Path:
    """Write the page of one run that is there, or of several side by side, into `out`; returns the page.

    Raises
    ------
    UsageError
        A single folder is not that of a run; of several one has no scores or is named twice; or `out` holds a file of
        such a name that is somebody else's.
    DataError
        A file of a run does not match its schema.
    """
    tasks = load_tasks() if tasks is None else tasks
    if len(folders) > 1:
        return write_comparison(read_comparison(folders, tasks), out, REPORT_COMMAND)
    artifacts = read_run_artifacts(folders[0], tasks)
    if not artifacts.manifests and artifacts.scores is None:
        raise UsageError(f"{folders[0]}: this is no folder of a run: no stage has finished in it")
    return _write_owned(page_files(build_page(artifacts, distinct_names(folders)[0])), out, REPORT_COMMAND)


def write_comparison(comparison: Comparison, out: Path, command: str = COMPARE_COMMAND) -> Path:
    """Write the page of several systems and `comparison.json` into `out`; returns the page.

    Raises
    ------
    UsageError
        `out` holds a file of such a name that the command did not make.
    """
    record = json_bytes(comparison_file(comparison).model_dump(mode="json"))
    files = chain([(COMPARISON_FILE, record)], page_files(build_comparison(comparison)))
    return _write_owned(files, out, command)


def _write_owned(files: Iterable[tuple[str, bytes]], out: Path, command: str) -> Path:
    """Write files into a folder in which the command replaces only what it wrote; returns the page."""
    contents = dict(files)
    make_output_folder(out)
    claim_files(out, command, tuple(contents))
    for name, content in contents.items():
        write_bytes(out / name, content)
    record_claimed_files(out, command, tuple(contents))
    return out / REPORT_PAGE_FILE


def build_comparison(comparison: Comparison) -> Page:
    """The content of the page of several systems."""
    names = [system.name for system in comparison.systems]
    by_all = sum(
        len(groups) == 1 and len(groups[0].systems) == len(names) for groups in comparison.groups.values()
    )
    built = (build(comparison) for build in COMPARISON_SECTIONS)
    return Page(
        title=f"{', '.join(names[:-1])} and {names[-1]}"
        if len(names) <= MAX_TITLE_NAMES
        else f"{len(names)} systems",
        notice=NOTICE,
        intro=COMPARISON_INTRO,
        key_figures=(
            ("systems", str(len(names))),
            ("baseline", comparison.baseline.name),
            ("sets on the same rows for all", f"{by_all} of {len(comparison.groups)}"),
        ),
        sections=tuple(section for section in built if section is not None),
    )


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
    """The few numbers at the top of the page; none is a mean over sets, which would hide the weak ones.

    That of right reasons is over all answers, beside those of the weakest and the strongest set.
    """
    if artifacts.scores is None:
        return []
    sets = artifacts.scores.sets.values()
    rows, parsed = sum(scores.n for scores in sets), sum(scores.parsed for scores in sets)
    source = artifacts.scores.source
    right_reason = overall_right_reason(artifacts.scores)
    return [
        *([] if right_reason is None else [(RIGHT_REASON, right_reason)]),
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
