"""Section on evidence: whether the model rests on it, and how far it agrees with what annotators marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mentallama.explain.results import FaithfulnessFile, MethodFaithfulness, SetFaithfulness
from mentallama.metrics.significance import ALPHA
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
    interval_cell,
    named_row,
    number_cell,
    p_value_cell,
)
from mentallama.report.plots import Curve, deletion_plot
from mentallama.report.run_artifacts import RunArtifacts


def faithfulness_section(artifacts: RunArtifacts) -> Section | None:
    """Faithfulness and plausibility of evidence by set and method; None for a run without the stage explain."""
    found = artifacts.faithfulness
    if found is None or not found.sets:
        return None
    blocks = [
        Paragraph(
            "Words with the largest weights were left out of the post, or kept alone, and the model was asked again. "
            "Comprehensiveness is what the probability of its label loses without the words, sufficiency what it loses "
            "with the words alone, each the mean over shares of "
            f"{', '.join(f'{100 * share:g}' for share in found.shares)} % of the words. Evidence that the model rests "
            "on has a high comprehensiveness and a low sufficiency. Random passages are as many words in passages of "
            "the same lengths; p-values are those of permutation tests over posts, adjusted over the methods of a set."
        ),
        *(Paragraph(sentence) for sentence in _verdicts(artifacts, found)),
        _faithfulness_table(artifacts, found),
        *_curve_blocks(artifacts, found),
        *_plausibility_blocks(artifacts, found),
    ]
    return Section("faithfulness", "Faithfulness of evidence", tuple(blocks))


def _verdicts(artifacts: RunArtifacts, found: FaithfulnessFile) -> Iterator[str]:
    """Where each method finds more of what the model rests on than random passages do."""
    for name in found.methods:
        better = [
            artifacts.set_name(set_name)
            for set_name, part in found.sets.items()
            if _beats_random_passages(part.methods[name])
        ]
        sets = "no set" if not better else "all sets" if len(better) == len(found.sets) else ", ".join(better)
        if name != "random":
            yield f"{name}: more comprehensive than random passages (p < {ALPHA:g}) on {sets}."


def _beats_random_passages(method: MethodFaithfulness) -> bool:
    difference = method.against_matched.comprehensiveness
    return difference.value > 0 and difference.p_value < ALPHA


def _faithfulness_table(artifacts: RunArtifacts, found: FaithfulnessFile) -> TableBlock:
    header = (
        "set",
        "method",
        "answers",
        "comprehensiveness",
        "95 %",
        "of random passages",
        "p",
        "sufficiency",
        "95 %",
        "of random passages",
        "p",
        "seconds a post",
    )
    rows = tuple(
        _method_row(artifacts, set_name, part, name)
        for set_name, part in found.sets.items()
        for name in found.methods
    )
    caption = "Faithfulness; higher comprehensiveness and lower sufficiency are better."
    return TableBlock(caption, header, rows, name="methods")


def _method_row(artifacts: RunArtifacts, set_name: str, part: SetFaithfulness, name: str) -> PageRow:
    method = part.methods[name]
    return named_row(
        artifacts.set_name(set_name),
        [
            Cell(name),
            count_cell(part.rows),
            number_cell(method.comprehensiveness.value, 3),
            interval_cell(method.comprehensiveness.interval, 3, sign=True),
            number_cell(method.matched_comprehensiveness.value, 3),
            p_value_cell(method.against_matched.comprehensiveness.p_value),
            number_cell(method.sufficiency.value, 3),
            interval_cell(method.sufficiency.interval, 3, sign=True),
            number_cell(method.matched_sufficiency.value, 3),
            p_value_cell(method.against_matched.sufficiency.p_value),
            number_cell(artifacts.seconds_of_methods.get(name), 4),
        ],
    )


def _curve_blocks(artifacts: RunArtifacts, found: FaithfulnessFile) -> list[Block]:
    plots = []
    for set_name, part in found.sets.items():
        name = artifacts.set_name(set_name)
        curves = [
            Curve(method, _points(part.probability, found.shares, part.methods[method].removed))
            for method in found.methods
        ]
        ends = ", ".join(f"{curve.points[-1][1]:.2f} ({curve.name})" for curve in curves)
        description = (
            f"{name}: mean probability of the label, {part.probability:.2f} for whole posts, without "
            f"{100 * found.shares[-1]:g} % of the words {ends}."
        )
        plot = deletion_plot(curves, name, description)
        plots.append(FigureBlock("", plot, size="small", name=name))
    rows = tuple(
        named_row(
            artifacts.set_name(set_name),
            [
                Cell(method),
                number_cell(100 * share, 0),
                number_cell(part.methods[method].removed[index], 3),
                number_cell(part.methods[method].kept[index], 3),
            ],
        )
        for set_name, part in found.sets.items()
        for method in found.methods
        for index, share in enumerate(found.shares)
    )
    header = ("set", "method", "words, %", "probability without them", "probability with them alone")
    table = TableBlock("Numbers of the deletion curves.", header, rows, name="curves")
    return [BlockGroup(tuple(plots)), BlockGroup((table,), collapsed_title="Numbers of these plots")]


def _points(
    whole: float, shares: Sequence[float], probabilities: Sequence[float]
) -> tuple[tuple[float, float], ...]:
    return ((0.0, whole), *((100 * share, value) for share, value in zip(shares, probabilities, strict=True)))


def _plausibility_blocks(artifacts: RunArtifacts, found: FaithfulnessFile) -> list[Block]:
    rows = []
    for set_name, part in found.sets.items():
        for name in found.methods:
            means = part.methods[name].plausibility
            if means is not None:
                cells = [Cell(name), count_cell(means.rows)]
                for estimate in (means.token_f1, means.iou_f1, means.auprc):
                    ends = estimate.interval
                    cells += [
                        number_cell(100 * estimate.value, 1),
                        interval_cell(None if ends is None else (100 * ends[0], 100 * ends[1]), 1),
                    ]
                rows.append(named_row(artifacts.set_name(set_name), cells))
    if not rows:
        return []
    lead = (
        "Where annotators marked passages for the label that the model gave, its evidence is compared with them: the "
        "words and the whole passages that would be quoted, and the ranking of all words."
    )
    header = ("set", "method", "answers", "token F1", "95 %", "IoU F1", "95 %", "AUPRC", "95 %")
    return [
        Paragraph(lead),
        TableBlock("Plausibility, in percent.", header, tuple(rows), name="plausibility"),
    ]
