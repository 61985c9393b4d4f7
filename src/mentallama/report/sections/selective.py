"""Sections on probabilities at work, abstention and review, and on upstream labels beside the release's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mentallama.evaluate.score_file import ScoreFile
from mentallama.metrics.selective_prediction import (
    REVIEW_BUDGETS,
    Abstention,
    AbstentionTarget,
    RiskCoverage,
)
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    FigureBlock,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    format_number,
    interval_cell,
    missing_note,
    named_row,
    number_cell,
)
from mentallama.report.plots import risk_coverage_plot
from mentallama.report.run_artifacts import RunArtifacts

SHOWN_COVERAGES = (0.2, 0.5, 0.8, 1.0)
"""Coverages whose share of wrong answers the table shows."""


def selective_section(artifacts: RunArtifacts) -> Section | None:
    """Risk-coverage curves, abstention below a threshold, and recall at review budgets."""
    scores = artifacts.scores
    if scores is None:
        return None
    curves = {
        artifacts.set_name(name): part.risk_coverage
        for name, part in scores.sets.items()
        if part.risk_coverage is not None
    }
    if not curves:
        blocks: tuple[Block, ...] = missing_note("These answers have no probabilities.")
    else:
        blocks = (
            *_curve_blocks(curves),
            *_abstention_blocks(artifacts, scores),
            *_review_blocks(artifacts, scores),
        )
    return Section("selective", "Abstention and review", blocks)


def upstream_section(artifacts: RunArtifacts) -> Section | None:
    """Scores of the same answers against the release's labels and against upstream labels."""
    if artifacts.scores is None or not artifacts.scores.against_upstream:
        return None
    lead = (
        "Some posts have another label in the release than in the set's upstream file. Here the same answers are "
        "scored against both, on the rows that have both; all other scores are against the labels of the release."
    )
    rows = tuple(
        named_row(
            artifacts.set_name(name),
            [
                count_cell(part.rows),
                count_cell(part.differ),
                number_cell(part.release_f1),
                interval_cell(part.release_interval),
                number_cell(part.upstream_f1),
                interval_cell(part.upstream_interval),
                Cell(format_number(part.difference, 2, sign=True), is_number=True, value=part.difference),
                interval_cell(part.difference_interval, sign=True),
            ],
        )
        for name, part in artifacts.scores.against_upstream.items()
    )
    header = (
        "set",
        "rows with both",
        "labels differ",
        "weighted F1, release",
        "release, 95 %",
        "weighted F1, upstream",
        "upstream, 95 %",
        "difference, points",
        "difference, 95 %",
    )
    table = TableBlock("The same answers against both labels.", header, rows)
    return Section("upstream-labels", "Release labels and upstream labels", (Paragraph(lead), table))


def _curve_blocks(curves: Mapping[str, RiskCoverage]) -> list[Block]:
    rows = tuple(
        named_row(
            name,
            [
                count_cell(curve.n),
                count_cell(curve.n_without_probability),
                number_cell(100 * curve.aurc),
                *(number_cell(100 * _risk_at(curve, coverage), 1) for coverage in SHOWN_COVERAGES),
            ],
        )
        for name, curve in curves.items()
    )
    lead = (
        "Where the most probable answers are given and the others are left to people, coverage is the share of answers "
        "given and risk the share of them that are wrong. A useful probability has a risk that falls with coverage."
    )
    header = (
        "set",
        "rows",
        "without probability",
        "mean risk, %",
        *(f"risk at {coverage:.0%} coverage".replace("%", " %") for coverage in SHOWN_COVERAGES),
    )
    plots = tuple(
        FigureBlock("", risk_coverage_plot(curve, name, _in_words(curve, name)), size="small", name=name)
        for name, curve in curves.items()
    )
    table = TableBlock("Risk by coverage; mean risk is the area under the curve.", header, rows, name="risk")
    return [Paragraph(lead), table, BlockGroup(plots), _point_table(curves)]


def _risk_at(curve: RiskCoverage, coverage: float) -> float:
    """Risk at the curve's point that is nearest to a coverage."""
    return min(curve.points, key=lambda point: abs(point.coverage - coverage)).risk


def _in_words(curve: RiskCoverage, name: str) -> str:
    first, last = curve.points[0], curve.points[-1]
    return (
        f"{name}: risk against coverage, {100 * first.risk:.0f} % at {100 * first.coverage:.0f} % coverage, "
        f"{100 * last.risk:.0f} % at {100 * last.coverage:.0f} %."
    )


def _point_table(curves: Mapping[str, RiskCoverage]) -> BlockGroup:
    rows = tuple(
        named_row(name, [number_cell(100 * point.coverage, 1), number_cell(100 * point.risk, 1)])
        for name, curve in curves.items()
        for point in curve.points
    )
    table = TableBlock("Numbers of the curves, percent.", ("set", "coverage", "risk"), rows, name="curves")
    return BlockGroup((table,), collapsed_title="Numbers of these plots")


def _abstention_blocks(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    found = {name: part.abstention for name, part in scores.sets.items() if part.abstention is not None}
    chosen = {name: part for name, part in found.items() if part.threshold is not None}
    without: dict[str, list[str]] = {}
    for name, part in found.items():
        if name not in chosen:
            without.setdefault(part.reason or "", []).append(artifacts.set_name(name))
    notes = [
        Paragraph(f"{_listed(names, len(found))}: {reason}.", missing=True)
        for reason, names in without.items()
    ]
    return [*_abstention_table(artifacts, chosen), *notes]


def _listed(names: Sequence[str], total: int) -> str:
    """That there is no threshold, and for which sets where others have one."""
    sets = "" if len(names) == total else f" for {', '.join(names)}"
    return f"No threshold of abstention was chosen{sets}"


def _abstention_table(artifacts: RunArtifacts, chosen: Mapping[str, Abstention]) -> list[Block]:
    if not chosen:
        return []
    lead = (
        "The threshold is chosen on validation rows and applied to the test rows unchanged; below it no answer is "
        "given. Accuracy and weighted F1 are those of the answers that are given."
    )
    header = (
        "set",
        "target on validation rows",
        "threshold",
        "validation coverage, %",
        "validation accuracy, %",
        "coverage, %",
        "accuracy, %",
        "accuracy, 95 %",
        "weighted F1",
        "weighted F1, 95 %",
        "high-risk rows",
        "of them not answered",
    )
    rows = tuple(_abstention_row(artifacts.set_name(name), part) for name, part in chosen.items())
    return [Paragraph(lead), TableBlock("Abstention on test rows.", header, rows, name="abstention")]


def _abstention_row(name: str, part: Abstention) -> PageRow:
    return named_row(
        name,
        [
            Cell(_target_in_words(part.target)),
            number_cell(part.threshold, 3),
            number_cell(part.validation_coverage, 1),
            number_cell(part.validation_accuracy, 1),
            number_cell(part.coverage, 1),
            number_cell(part.accuracy, 1),
            interval_cell(part.accuracy_interval),
            number_cell(part.weighted_f1),
            interval_cell(part.weighted_f1_interval),
            count_cell(part.high_risk_rows),
            count_cell(part.high_risk_abstained),
        ],
    )


def _target_in_words(target: AbstentionTarget) -> str:
    name, share = (
        ("accuracy", target.accuracy) if target.accuracy is not None else ("coverage", target.coverage)
    )
    return f"{name} {100 * (share or 0):g} %"


def _review_blocks(artifacts: RunArtifacts, scores: ScoreFile) -> list[Block]:
    found = {name: part.review for name, part in scores.sets.items() if part.review is not None}
    if not found:
        return []
    lead = (
        "If people review the rows that most probably have the high-risk label, as many as their time allows, recall "
        "is the share of rows with the label that they see. Among rows of equal probability it is an expected value."
    )
    header = [f"{100 * budget:g} % reviewed" for budget in REVIEW_BUDGETS]
    rows = []
    for name, part in found.items():
        cells = [Cell(part.label), count_cell(part.n), count_cell(part.high_risk_rows)]
        for index in range(len(REVIEW_BUDGETS)):
            budget = part.budgets[index] if part.budgets else None
            cells.append(number_cell(None if budget is None else budget.recall, 1))
            cells.append(interval_cell(None if budget is None else budget.interval))
        reasons = [part.reason, *(budget.reason for budget in part.budgets)]
        cells.append(Cell("; ".join(reason for reason in reasons if reason)))
        rows.append(named_row(artifacts.set_name(name), cells))
    titles = [title for budget in header for title in (budget, f"{budget}, 95 %")]
    table = TableBlock(
        "Recall of the high-risk label, in percent, at review budgets.",
        ("set", "label", "rows", "high-risk rows", *titles, "why there is no recall"),
        tuple(rows),
        name="review",
    )
    return [Paragraph(lead), table]
