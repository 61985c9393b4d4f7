"""Report: a run's folder to one page.

    mentallama report recipes/imhi-linear.yaml

Reads `collect/`, `check/`, `train/`, `predict/` and `evaluate/` of the run, whichever are there. Writes
  report/index.html   the page: no script, no network, plots inside
  report/report.md    the same in Markdown, without the plots
No post text stands in either. The same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from mentallama.files.record_files import write_text
from mentallama.report.page_model import Page
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.report.sections.data import data_sections
from mentallama.report.sections.gates import gate_sections
from mentallama.report.sections.provenance import provenance_section
from mentallama.report.sections.scores import score_sections
from mentallama.run_files import REPORT_PAGE_FILE, REPORT_TEXT_FILE
from mentallama.safety import NOTICE
from mentallama.tasks import Task, load_tasks

INTRO = (
    "Posts from social media, a question about each, and the answers of a model: a label and the reason "
    "for it. This page says how often the labels were right, on which posts, and how far that can be trusted."
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
        Where the page goes, `runs/NAME/report`.
    settings
        Shown under "How it was made", nested keys with dots.

    Raises
    ------
    BadData
        A file of the run does not hold what it should.
    """
    page = build_page(read_run_artifacts(folder), title, settings, load_tasks() if tasks is None else tasks)
    write_text(out / REPORT_TEXT_FILE, render_template("page.md.j2", page))
    write_text(out / REPORT_PAGE_FILE, render_template("page.html.j2", page))
    return out / REPORT_PAGE_FILE


def build_page(
    material: RunArtifacts, title: str, settings: Mapping[str, Any] | None, tasks: Mapping[str, Task]
) -> Page:
    """The page's content, in the order in which it is read."""
    sections = (
        *score_sections(material, tasks),
        *gate_sections(material),
        *data_sections(material),
        provenance_section(material, settings),
    )
    return Page(
        title=title, notice=NOTICE, intro=INTRO, key_figures=tuple(key_figures(material)), sections=sections
    )


def key_figures(material: RunArtifacts) -> list[tuple[str, str]]:
    """The few numbers at the top; none of them is a mean over sets, which would hide the weak ones."""
    if material.scores is None:
        return []
    sets = material.scores.sets.values()
    rows, read = sum(one.n for one in sets), sum(one.parsed for one in sets)
    return [
        ("sets scored", f"{len(sets)} of {len(sets) + len(material.scores.missing)}"),
        ("test rows", f"{rows:,}"),
        ("answers read", f"{100 * read / rows:.1f} %" if rows else "–"),
        ("model", material.scores.source.get("model") or material.scores.source.get("responses", "–")),
    ]


def render_template(template: str, page: Page) -> str:
    """Fill a template; HTML is escaped, Markdown's own signs are too."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = files("mentallama.report") / "templates"
    room = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    room.filters["escape_markdown_cell"] = escape_markdown_cell
    return room.get_template(template).render(page=page)


def escape_markdown_cell(text: str) -> str:
    """Text for a Markdown table's cell.

    >>> plain("a|b")
    'a\\\\|b'
    """
    return text.replace("|", "\\|").replace("\n", " ")
