"""The sections of a page of several systems. To add one, write its builder and add a line to `COMPARISON_SECTIONS`."""

from __future__ import annotations

from collections.abc import Callable

from mentallama.files.markdown import EMPTY_CELL
from mentallama.report.comparison.comparison import Comparison
from mentallama.report.comparison.difference_sections import differences_section
from mentallama.report.comparison.explanation_sections import explanation_scores_section
from mentallama.report.comparison.score_sections import (
    POSTS,
    outcomes_section,
    rows_section,
    scores_section,
    synthetic_section,
)
from mentallama.report.comparison.systems import ScoredSystem
from mentallama.report.page_model import (
    Cell,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    named_row,
    number_cell,
)


def systems_section(comparison: Comparison) -> Section:
    """Which systems are compared."""
    rows = tuple(
        named_row(
            system.name,
            [
                Cell(_model(system)),
                Cell(system.scores.form),
                count_cell(len(system.scores.sets)),
                count_cell(sum(scores.n for scores in system.scores.sets.values())),
                Cell(_kinds_of_posts(system)),
            ],
        )
        for system in comparison.systems
    )
    header = ("system", "model", "form", "sets", "rows", "posts")
    text = f"{comparison.baseline.name} is the baseline that the others are compared with."
    return Section("systems", "Systems", (TableBlock("Scored systems.", header, rows), Paragraph(text)))


def _model(system: ScoredSystem) -> str:
    source = system.scores.source
    return source.get("model") or source.get("responses", EMPTY_CELL)


def _kinds_of_posts(system: ScoredSystem) -> str:
    kinds = {system.is_synthetic(name) for name in system.scores.sets}
    return " and ".join(POSTS[kind] for kind in (False, True) if kind in kinds) or EMPTY_CELL


def execution_section(comparison: Comparison) -> Section | None:
    """When, where and by which command the systems' runs were made."""
    rows = tuple(_execution_row(system) for system in comparison.systems if system.artifacts.manifests)
    if not rows:
        return None
    header = ("system", "finished", "seconds", "command", "machine")
    table = TableBlock(
        "When and how the runs were made; seconds of all stages.", header, rows, name="execution"
    )
    return Section("provenance", "Provenance", (table,))


def _execution_row(system: ScoredSystem) -> PageRow:
    manifests = system.artifacts.manifests.values()
    executions = [part.execution for part in manifests if part.execution is not None]
    commands = dict.fromkeys(part.command for part in executions if part.command is not None)
    machines = dict.fromkeys(part.machine for part in executions)
    return named_row(
        system.name,
        [
            Cell(max((part.finished for part in executions), default=EMPTY_CELL)),
            number_cell(sum(part.seconds for part in manifests), 1),
            Cell("; ".join(commands) or EMPTY_CELL),
            Cell("; ".join(machines) or EMPTY_CELL),
        ],
    )


COMPARISON_SECTIONS: tuple[Callable[[Comparison], Section | None], ...] = (
    systems_section,
    scores_section,
    synthetic_section,
    differences_section,
    explanation_scores_section,
    outcomes_section,
    rows_section,
    execution_section,
)
"""In the order of the page."""
