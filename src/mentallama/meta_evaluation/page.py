"""The page of a meta-evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mentallama.files.markdown import EMPTY_CELL
from mentallama.meta_evaluation.results import (
    ALL_FILES,
    METHODS,
    FitResults,
    GroupResults,
    MetaEvaluation,
    MetricCorrelations,
)
from mentallama.metrics.agreement import AgreementScore
from mentallama.metrics.correlation import CorrelationScore
from mentallama.report.page_model import (
    Block,
    BlockGroup,
    Cell,
    Page,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    format_number,
    interval_cell,
    key_value_table,
    named_row,
    number_cell,
)
from mentallama.safety import NOTICE

INTRO = (
    "Explanations that people rated from 0 to 3: how far the raters agree with each other, and how far metrics of "
    "explanations agree with the raters' mean. A metric adds nothing where a plain feature agrees as well."
)
Score = AgreementScore | CorrelationScore


def build_page(results: MetaEvaluation) -> Page:
    """The content of the page."""
    whole = results.groups[ALL_FILES]
    sections = [
        _ratings_section(results),
        _agreement_section(results),
        _correlation_section(results),
        _aspects_section(results),
        *([] if results.fit is None else [_fit_section(results.fit, whole)]),
        _perturbation_section(results),
    ]
    best = _best(whole)
    return Page(
        title="Meta-evaluation of explanation metrics",
        notice=NOTICE,
        intro=INTRO,
        key_figures=(
            ("rated explanations", f"{whole.rows:,}"),
            ("raters of each", str(results.raters)),
            ("ceiling, overall", _value_text(whole.agreement["overall"].ceiling["pearson"])),
            *([] if results.fit is None else [("out of fold", f"{results.fit.model.fit.pearson:.2f}")]),
            *([] if best is None else [("highest single metric or feature", best)]),
        ),
        sections=tuple(sections),
    )


def _best(group: GroupResults) -> str | None:
    """The metric or feature, fitted to none of the rows, with the highest Pearson correlation with overall."""
    values = {
        metric.title: score.value
        for metric in group.metrics.values()
        if (score := metric.aspects["overall"]["pearson"]).value is not None and not metric.in_sample
    }
    if not values:
        return None
    name = max(values, key=lambda title: values[title] or 0.0)
    return f"{name}, {values[name]:.2f}"


def _ratings_section(results: MetaEvaluation) -> Section:
    aspects = tuple(results.groups[ALL_FILES].agreement)
    rows = [
        named_row(
            name,
            [count_cell(group.rows), *(number_cell(group.agreement[aspect].mean) for aspect in aspects)],
            highlighted=name == ALL_FILES,
        )
        for name, group in results.groups.items()
    ]
    outcomes = sorted({outcome for group in results.groups.values() for outcome in group.outcomes})
    read = [
        named_row(name, (count_cell(group.outcomes.get(outcome, 0)) for outcome in outcomes))
        for name, group in results.groups.items()
    ]
    absent = results.groups[ALL_FILES].absent
    notes = [
        f"{count:,} explanations are {reason}: no metric scores them." for reason, count in absent.items()
    ]
    if results.duplicates:
        notes.append(f"{results.duplicates:,} repeated rows were left out.")
    blocks: list[Block] = [
        TableBlock("Mean ratings", ("file", "rows", *aspects), tuple(rows), name="means"),
        TableBlock("Answers", ("file", *outcomes), tuple(read), name="answers"),
        *(Paragraph(note) for note in notes),
    ]
    return Section("ratings", "Ratings", tuple(blocks))


def _agreement_section(results: MetaEvaluation) -> Section:
    tables: list[TableBlock] = []
    for name, group in results.groups.items():
        aspects = group.agreement
        coefficients = list(next(iter(aspects.values())).coefficients)
        table = [
            named_row(
                coefficient, _score_cells([found.coefficients[coefficient] for found in aspects.values()])
            )
            for coefficient in coefficients
        ]
        ceilings = [
            named_row(
                f"Ceiling, {method}", _score_cells([found.ceiling[method] for found in aspects.values()])
            )
            for method in METHODS
        ]
        header = ("coefficient", *(column for aspect in aspects for column in (aspect, "95 %")))
        tables.append(
            TableBlock(
                f"Agreement between raters: {name}", header, (*table, *ceilings), name=f"agreement {name}"
            )
        )
    by_file = [BlockGroup(tuple(tables[1:]), collapsed_title="Agreement by file")] if tables[1:] else []
    blocks: list[Block] = [
        tables[0],
        Paragraph(
            "Where most ratings are equal, kappa and alpha are low even if raters hardly ever differ; AC1 and AC2 are "
            "not. The ceiling is the mean correlation of one rater with the mean of the others. A metric is compared "
            "with the mean of all, which varies less by chance than one rater does, and so it can exceed the ceiling; "
            "it can hardly exceed the square root of ICC(2,k), the reliability of that mean. A coefficient without a "
            "value is not defined: the ratings do not vary."
        ),
        *by_file,
    ]
    return Section("agreement", "Agreement between raters", tuple(blocks))


def _correlation_section(results: MetaEvaluation) -> Section:
    whole = results.groups[ALL_FILES]
    rows = [
        named_row(
            _title(metric),
            [
                count_cell(metric.scored),
                *_score_cells([metric.aspects["overall"][method] for method in METHODS]),
            ],
        )
        for metric in whole.metrics.values()
    ]
    ceiling = whole.agreement["overall"].ceiling
    rows.append(
        named_row(
            "Ceiling: one rater with the others",
            [count_cell(whole.rows), *_score_cells([ceiling[method] for method in METHODS])],
            highlighted=True,
        )
    )
    header = ("metric", "rows", *(column for method in METHODS for column in (method.capitalize(), "95 %")))
    blocks: list[Block] = [TableBlock("Correlation with overall", header, tuple(rows), name="overall")]
    if any(metric.in_sample for metric in whole.metrics.values()):
        blocks.append(
            Paragraph(
                "A metric marked “fitted to these” has weights that were fitted to some of these ratings: its "
                "correlation says nothing about other ratings. The out-of-fold figures of a fit do."
            )
        )
    if len(results.groups) > 1:
        names = [name for name in results.groups if name != ALL_FILES]
        by_file = [
            named_row(
                _title(metric),
                _score_cells(
                    [results.groups[name].metrics[key].aspects["overall"]["pearson"] for name in names]
                ),
            )
            for key, metric in whole.metrics.items()
        ]
        header = ("metric", *(column for name in names for column in (name, "95 %")))
        blocks.append(
            TableBlock("Pearson correlation with overall, by file", header, tuple(by_file), name="files")
        )
    if results.judge is not None:
        blocks += [Paragraph(f"{note}.") for note in results.judge.notes()]
    return Section("correlation", "Metrics and people", tuple(blocks))


def _aspects_section(results: MetaEvaluation) -> Section:
    whole = results.groups[ALL_FILES]
    aspects = tuple(whole.agreement)
    pearson, *others = (
        TableBlock(
            f"{method.capitalize()} correlation with every aspect",
            ("metric", *(column for aspect in aspects for column in (aspect, "95 %"))),
            tuple(
                named_row(
                    _title(metric), _score_cells([metric.aspects[aspect][method] for aspect in aspects])
                )
                for metric in whole.metrics.values()
            ),
            name=f"aspects {method}",
        )
        for method in METHODS
    )
    ranks = BlockGroup(tuple(others), collapsed_title="Rank correlations")
    return Section("aspects", "Every aspect", (pearson, ranks))


def _fit_section(fit: FitResults, whole: GroupResults) -> Section:
    model = fit.model
    weights = [
        named_row(name.replace("_", " "), [number_cell(weight)]) for name, weight in model.weights.items()
    ]
    compared = [
        named_row(
            whole.metrics[name].title,
            [
                count_cell(found.items),
                number_cell(found.pearson),
                number_cell(found.out_of_fold),
                number_cell(found.difference),
                interval_cell(found.interval, 2, sign=True),
            ],
        )
        for name, found in fit.comparisons.items()
    ]
    by_aspect = [
        named_row(f"{aspect}{suffix}", _score_cells([scores[method] for method in METHODS]))
        for suffix, found in (("", fit.out_of_fold), (", no reference label", fit.without_label))
        for aspect, scores in found.items()
    ]
    header = ("aspect", *(column for method in METHODS for column in (method.capitalize(), "95 %")))
    left_out = [named_row(name, [number_cell(value)]) for name, value in fit.left_out_files.items()]
    settings = [
        ("rows", ", ".join(f"{name}: {count}" for name, count in model.fit.rows.items())),
        ("prior", model.fit.prior),
        ("shrinkage", f"{model.fit.shrinkage:g}"),
        ("folds", f"{model.fit.outer_folds} outer, {model.fit.inner_folds} inner"),
        ("data", model.fit.data_sha256[:16]),
    ]
    blocks: list[Block] = [
        TableBlock(
            "Out-of-fold correlation of explanation_quality", header, tuple(by_aspect), name="out of fold"
        ),
        TableBlock(
            f"Pearson correlation with {model.fit.aspect} on the same rows",
            ("metric or feature", "rows", "its own", "out of fold", "difference", "95 %"),
            tuple(compared),
            name="comparison",
        ),
        TableBlock("Weights, fitted to all rows", ("feature", "weight"), tuple(weights), name="weights"),
        key_value_table("Fit", ("setting", "value"), settings, name="settings"),
    ]
    if left_out:
        caption = "Pearson correlation within a file of weights fitted to the other files"
        blocks.append(TableBlock(caption, ("file", "Pearson"), tuple(left_out), name="left out"))
    return Section("fit", "Fit of explanation_quality", tuple(blocks))


def _perturbation_section(results: MetaEvaluation) -> Section:
    blocks = [
        TableBlock(
            f"Quality of damaged explanations, {group}",
            ("explanations", "number", "mean before", "mean after", "share that fell, %"),
            tuple(
                named_row(
                    name,
                    [
                        count_cell(found.cases),
                        number_cell(found.before),
                        number_cell(found.after),
                        number_cell(None if found.fell is None else 100 * found.fell, 1),
                    ],
                )
                for name, found in perturbed.items()
            ),
            name=f"perturbations {group}",
        )
        for group, perturbed in results.perturbations.items()
    ]
    return Section("perturbations", "Damaged explanations", tuple(blocks))


def _title(metric: MetricCorrelations) -> str:
    return f"{metric.title} (fitted to these)" if metric.in_sample else metric.title


def _score_cells(scores: Sequence[Score]) -> Iterator[Cell]:
    for score in scores:
        yield number_cell(score.value)
        yield interval_cell(score.interval, 2)


def _value_text(score: Score) -> str:
    return EMPTY_CELL if score.value is None else format_number(score.value, 2)
