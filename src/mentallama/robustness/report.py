"""The schema of `robustness.json`, and the same as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mentallama.files.markdown import EMPTY_CELL, Markdown, escape_markdown, markdown_table
from mentallama.metrics.bootstrap import Interval, Resampling
from mentallama.records import Form, Record
from mentallama.robustness.flips import FlipScore, NegationScore
from mentallama.safety import NOTICE

FLIP_HEADER = (
    "perturbation", "set", "pairs", "flips, %", "95 %", "toward / from high risk", "lost / gained", "unchanged",
    "weighted F1", "change", "95 % of it",
)  # fmt: skip
NEGATION_HEADER = ("set", "question", "pairs", "stated: right", "negated: changed, %", "95 %")

READING_GUIDE = (
    "A flip is a label that differs between a post and its perturbed copy, whose right answer is the same; fewer are "
    "better. Rows that a perturbation leaves as they are, or without a label on one side, count in no rate. Intervals "
    "resample posts; where all or none flip, they are exact binomial ones. Toward and from high risk count the flips "
    "to and from the set's high-risk label; lost and gained the labels that only the post, or only its copy, has."
)
NEGATION_GUIDE = (
    "Minimal pairs are made up: a symptom is stated in one text and negated in the other, so the label should change. "
    "Of the statements that the model understood, the share whose negation it understood too; more is better."
)


class RobustnessReport(Record):
    """The content of `robustness.json`, without times or names of machines.

    `data` is the name of the file or folder of the posts. `perturbations` says in words what was changed, by name, and
    `not_applicable` why a perturbation was not tried on a model, by model and name. `failed` counts calls without an
    answer by model and reason; their rows are in no count.
    """

    notice: str = NOTICE
    models: tuple[str, ...]
    data: str
    forms: dict[str, Form]
    seed: int
    typo_rate: float
    limit: int | None
    minimal_pairs: str
    """The version of the file of minimal pairs."""
    resampling: Resampling
    perturbations: dict[str, str]
    not_applicable: dict[str, dict[str, str]]
    flips: tuple[FlipScore, ...]
    negation: tuple[NegationScore, ...]
    questions: dict[str, int]
    """Questions that were asked, copies included, by model."""
    failed: dict[str, dict[str, int]] = {}


def flip_cells(score: FlipScore) -> tuple[str, ...]:
    """One score in the columns of `FLIP_HEADER`."""
    return (
        score.perturbation,
        score.set,
        f"{score.pairs:,}",
        _number(score.rate),
        _interval(score.interval),
        _pair(score.toward_high_risk, score.from_high_risk),
        _pair(score.lost, score.gained),
        f"{score.unchanged:,}",
        _number(score.f1_before),
        _number(score.f1_change, "+.1f"),
        _interval(score.f1_change_interval),
    )


def negation_cells(score: NegationScore) -> tuple[str, ...]:
    """One score in the columns of `NEGATION_HEADER`."""
    return (
        score.set,
        score.question,
        str(score.pairs),
        str(score.stated),
        _number(score.rate),
        _interval(score.interval),
    )


def obstacles(report: RobustnessReport) -> Iterator[str]:
    """A sentence for each reason why a perturbation was not tried."""
    for model, reasons in report.not_applicable.items():
        by_reason: dict[str, list[str]] = {}
        for name, reason in reasons.items():
            by_reason.setdefault(reason, []).append(name)
        for reason, names in by_reason.items():
            yield f"{model}: {', '.join(names)} not tried: {reason}"


def markdown_report(report: RobustnessReport) -> str:
    """The report as a page of Markdown."""
    limit = "" if report.limit is None else f", the first {report.limit:,} posts of each set"
    parts = [
        "# Robustness",
        report.notice,
        f"Posts: {escape_markdown(report.data)}{limit}. Seed {report.seed}.",
        _bullets(f"{name}: {text}" for name, text in report.perturbations.items()),
        READING_GUIDE,
        *(part for model in report.models for part in _model_section(report, model)),
        _bullets(map(escape_markdown, obstacles(report))),
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _model_section(report: RobustnessReport, model: str) -> Iterator[str]:
    yield f"## {escape_markdown(model)}"
    if flips := [score for score in report.flips if score.model == model]:
        yield markdown_table(FLIP_HEADER, _markdown_rows(map(flip_cells, flips)))
    if negation := [score for score in report.negation if score.model == model]:
        yield NEGATION_GUIDE
        yield markdown_table(NEGATION_HEADER, _markdown_rows(map(negation_cells, negation)))
    if failed := report.failed.get(model):
        yield f"{sum(failed.values()):,} calls failed and are in no count: {_reasons(failed)}."


def _markdown_rows(rows: Iterator[tuple[str, ...]]) -> Iterator[tuple[Markdown, ...]]:
    return (tuple(Markdown(escape_markdown(cell)) for cell in row) for row in rows)


def _reasons(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {escape_markdown(reason)}" for reason, count in counts.items())


def _number(value: float | None, form: str = ".1f") -> str:
    return EMPTY_CELL if value is None else format(value, form)


def _interval(interval: Interval | None) -> str:
    return EMPTY_CELL if interval is None else f"{interval[0]:.1f} to {interval[1]:.1f}"


def _pair(first: int | None, second: int | None) -> str:
    return EMPTY_CELL if first is None else f"{first:,} / {second or 0:,}"
