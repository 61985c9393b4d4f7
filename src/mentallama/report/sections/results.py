"""Section on results: scores beside the paper's where they can be compared, and scores on synthetic posts apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mentallama.evaluate.kinds.part_table import PARTS_MAJORITY
from mentallama.evaluate.published.paper_results import ModelScores, in_paper_order, load_paper_results
from mentallama.evaluate.scores import Scores
from mentallama.report.comparability import is_synthetic, reasons_against_paper
from mentallama.report.page_model import (
    Block,
    Cell,
    FigureBlock,
    PageRow,
    Paragraph,
    Section,
    TableBlock,
    count_cell,
    interval_cell,
    missing_note,
    named_row,
    number_cell,
)
from mentallama.report.plots import ForestRow, forest_plot
from mentallama.report.run_artifacts import RunArtifacts

NO_SCORES = "There is no evaluate/scores.json in this run, so there are no scores."
NOT_COMPARABLE = "not comparable because"
RUN_HEADER = ("this run", "95 %", "majority")
"""Titles of the columns about the run itself; the last is the floor (`evaluate.majority`)."""
MAJORITY_NOTE = (
    "Majority: weighted F1 on the same rows of always answering with the label that is most frequent among the "
    "training rows of the question. It is empty where the run has no training rows of the set."
)


def results_section(artifacts: RunArtifacts) -> Section:
    """Weighted F1 beside the paper's models; sets with synthetic posts have a table of their own."""
    if artifacts.scores is None:
        return Section("results", "Results", missing_note(NO_SCORES))
    scored = artifacts.scores.sets
    order = in_paper_order(scored)
    synthetic = [name for name in order if is_synthetic(artifacts, name)]
    real = [name for name in order if name not in synthetic]
    blocks = [*_paper_comparison(artifacts, real), *_synthetic_results(artifacts, synthetic)]
    if scored:
        parts = any(scores.parts for scores in scored.values())
        blocks.append(
            Paragraph(f"{MAJORITY_NOTE} {PARTS_MAJORITY.capitalize()}." if parts else MAJORITY_NOTE)
        )
    title = "Results compared with the paper" if real or not synthetic else "Results on synthetic posts"
    return Section("results", title, (*blocks, *_without_score(artifacts)))


def _paper_comparison(artifacts: RunArtifacts, names: Sequence[str]) -> Iterator[Block]:
    if not names:
        return
    paper, unseen = load_paper_results(), held_out_sets(artifacts)
    reasons = {
        name: (*reasons_against_paper(artifacts, name), *_other_held_out(name, unseen)) for name in names
    }
    trained = {name: reasons[name] for name in names if name not in unseen}
    held_out = {name: reasons[name] for name in names if name in unseen}
    if held_out:
        caption = "Held-out sets: weighted F1 of models that were not trained on them, in percent."
        yield _paper_table(artifacts, caption, held_out, paper.held_out, "held-out")
    if trained:
        caption = "Weighted F1 on the test sets, in percent."
        yield _paper_table(artifacts, caption, trained, paper.test)
    yield _forest_figure(artifacts, reasons, unseen)
    if any(reasons.values()):
        yield Paragraph(
            "A score that is not comparable stands beside the published ones for orientation only: it is neither "
            "better nor worse than they are."
        )
    yield Paragraph(f"Published numbers: {paper.source}.")


def _other_held_out(name: str, unseen: frozenset[str]) -> tuple[str, ...]:
    """Why a held-out score is not one of the paper's experiment, which held out four sets together; () if it is."""
    paper = frozenset(load_paper_results().highlighted(held_out=True).weighted_f1)
    if name not in unseen or unseen == paper:
        return ()
    return ("the paper held out other sets" if name in paper else "the paper did not hold it out",)


def held_out_sets(artifacts: RunArtifacts) -> frozenset[str]:
    """Sets that no model of this run saw, as far as the collected data show."""
    summary = artifacts.collect_summary
    held_out = None if summary is None else summary.held_out
    return frozenset(held_out.sets) if held_out is not None and held_out.verified else frozenset()


def _paper_table(
    artifacts: RunArtifacts,
    caption: str,
    reasons: Mapping[str, Sequence[str]],
    models: Sequence[ModelScores],
    name: str = "",
) -> TableBlock:
    header = ("set", "rows", "published rows", *RUN_HEADER, *(model.name for model in models))
    rows = [
        named_row(
            artifacts.set_name(set_name),
            [
                *_row_counts(artifacts, set_name),
                *_this_run(artifacts, set_name),
                *(number_cell(model.weighted_f1.get(set_name)) for model in models),
                Cell("; ".join(of_set)),
            ],
        )
        for set_name, of_set in reasons.items()
    ]
    return TableBlock(caption, (*header, NOT_COMPARABLE), tuple(rows), name=name)


def _scores(artifacts: RunArtifacts, name: str) -> Scores:
    assert artifacts.scores is not None
    return artifacts.scores.sets[name]


def _row_counts(artifacts: RunArtifacts, name: str) -> list[Cell]:
    return [count_cell(_scores(artifacts, name).n), count_cell(artifacts.published_test_rows(name))]


def _this_run(artifacts: RunArtifacts, name: str) -> list[Cell]:
    """The cells below `RUN_HEADER`."""
    scores = _scores(artifacts, name)
    assert artifacts.scores is not None
    floor = number_cell(artifacts.scores.majority.get(name))
    return [number_cell(scores.weighted_f1), interval_cell(scores.weighted_f1_interval), floor]


def _synthetic_results(artifacts: RunArtifacts, names: Sequence[str]) -> Iterator[Block]:
    if not names:
        return
    yield Paragraph(
        "The test posts of these sets are synthetic: they were written for this project. Their scores show that the "
        "pipeline works and say nothing about posts of people, so they are not shown beside the paper's."
    )
    rows = [
        named_row(
            artifacts.set_name(name),
            [count_cell(_scores(artifacts, name).n), *_this_run(artifacts, name)],
        )
        for name in names
    ]
    header = ("set", "rows", "weighted F1", *RUN_HEADER[1:])
    table = TableBlock(
        "Weighted F1 on synthetic test posts, in percent.", header, tuple(rows), name="synthetic"
    )
    yield table
    plotted = [_forest_row(artifacts, name, None, "") for name in names]
    description = f"Weighted F1 by set on synthetic posts, this run: {_values(plotted)}."
    caption = f"Weighted F1 on synthetic test posts with 95 % interval ({_resamples(artifacts)})."
    plot = forest_plot(plotted, "", description)
    yield FigureBlock(caption, plot, _forest_data(plotted, None), name="synthetic-plot")


def _without_score(artifacts: RunArtifacts) -> Iterator[Block]:
    assert artifacts.scores is not None
    if artifacts.scores.missing_reasons:
        reasons = "; ".join(
            f"{artifacts.set_name(name)}: {reason}"
            for name, reason in artifacts.scores.missing_reasons.items()
        )
        yield Paragraph(f"Without a score: {reasons}.", missing=True)


def _forest_figure(
    artifacts: RunArtifacts, reasons: Mapping[str, Sequence[str]], unseen: frozenset[str]
) -> FigureBlock:
    paper = load_paper_results()
    full = paper.highlighted().weighted_f1
    held_out = paper.highlighted(held_out=True).weighted_f1
    rows = [
        _forest_row(artifacts, name, (held_out if name in unseen else full).get(name), "*" if of_set else "")
        for name, of_set in reasons.items()
    ]
    description = (
        f"Weighted F1 by set, this run: {_values(rows)}. The tables above give the published values."
    )
    caption = (
        f"Weighted F1 with 95 % interval ({_resamples(artifacts)}). "
        f"Diamond: {paper.highlighted_model} as published on the full test sets"
        + ("; for sets held out here, its held-out score." if unseen else ".")
        + (" * Not comparable, for the reason in the table." if any(reasons.values()) else "")
    )
    plot = forest_plot(rows, f"{paper.highlighted_model}, published", description)
    return FigureBlock(caption, plot, _forest_data(rows, paper.highlighted_model), name="plot")


def _forest_row(artifacts: RunArtifacts, name: str, published: float | None, mark: str) -> ForestRow:
    scores = _scores(artifacts, name)
    return ForestRow(
        artifacts.set_name(name) + mark, scores.weighted_f1, scores.weighted_f1_interval, published
    )


def _values(rows: Sequence[ForestRow]) -> str:
    return ", ".join(f"{row.name} {row.value:.1f}" for row in rows)


def _resamples(artifacts: RunArtifacts) -> str:
    assert artifacts.scores is not None
    return f"{artifacts.scores.resampling.resamples:,} resamples of posts"


def _forest_data(rows: Sequence[ForestRow], published: str | None) -> TableBlock:
    def line(row: ForestRow) -> PageRow:
        cells = [number_cell(row.value), interval_cell(row.interval)]
        return named_row(row.name, [*cells, *([] if published is None else [number_cell(row.published)])])

    header = ("set", "this run", "95 %", *([] if published is None else [f"{published}, published"]))
    return TableBlock("Numbers of this plot, in percent.", header, tuple(map(line, rows)))
