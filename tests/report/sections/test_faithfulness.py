"""The section on evidence: numbers of the file, a sentence for each method, curves."""

from __future__ import annotations

import pytest

from mentallama.explain.results import (
    Contrast,
    Estimate,
    FaithfulnessFile,
    MethodFaithfulness,
    PairedEstimate,
    PlausibilityMeans,
    SetFaithfulness,
)
from mentallama.report.page_model import BlockGroup, FigureBlock, Paragraph, Section, TableBlock
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.faithfulness import faithfulness_section
from mentallama.tasks import load_tasks


def contrast(value: float, p_value: float) -> Contrast:
    difference = PairedEstimate(value=value, interval=(value - 0.1, value + 0.1), p_value=p_value)
    return Contrast(comprehensiveness=difference, sufficiency=difference)


def method(
    value: float, p_value: float, difference: float = 0.2, plausible: bool = False
) -> MethodFaithfulness:
    estimate = Estimate(value=value, interval=(value - 0.05, value + 0.05))
    return MethodFaithfulness(
        comprehensiveness=estimate,
        sufficiency=Estimate(value=-0.02),
        removed=(0.8, 0.7),
        kept=(0.3, 0.4),
        matched_comprehensiveness=Estimate(value=0.0625),
        matched_sufficiency=Estimate(value=0.125),
        against_random=None,
        against_matched=contrast(difference, p_value),
        plausibility=PlausibilityMeans(rows=12, token_f1=estimate, iou_f1=estimate, auprc=estimate)
        if plausible
        else None,
    )


def faithfulness() -> FaithfulnessFile:
    def part(**methods: MethodFaithfulness) -> SetFaithfulness:
        return SetFaithfulness(rows=40, posts=40, of=90, probability=0.9, methods=methods)

    return FaithfulnessFile(
        model="linear:runs/made-up/train",
        seed=7,
        methods=("exact", "occlusion", "random"),
        shares=(0.1, 0.5),
        sets={
            "DR": part(exact=method(0.25, 0.001), occlusion=method(0.125, 0.2), random=method(0.0, 1.0)),
            "Irf": part(
                exact=method(0.5, 0.0001, plausible=True),
                occlusion=method(0.4, 0.001, difference=-0.1),
                random=method(0.0, 1.0),
            ),
        },
    )


@pytest.fixture(scope="module")
def section() -> Section:
    artifacts = RunArtifacts(
        faithfulness=faithfulness(), seconds_of_methods={"exact": 0.00125}, tasks=load_tasks()
    )
    found = faithfulness_section(artifacts)
    assert found is not None
    return found


def table(section: Section, name: str) -> TableBlock:
    (block,) = (block for block in section.blocks if isinstance(block, TableBlock) and block.name == name)
    return block


def test_a_run_without_the_stage_has_no_section() -> None:
    assert faithfulness_section(RunArtifacts()) is None


def test_the_table_shows_every_method_of_every_set(section: Section) -> None:
    rows = [[cell.text for cell in row.cells] for row in table(section, "methods").rows]
    assert [row[:2] for row in rows] == [
        [name, method] for name in ("DR", "IRF") for method in ("exact", "occlusion", "random")
    ]
    assert rows[0][2:] == [
        *("40", "0.250", "+0.200 to +0.300", "0.062", "0.001"),
        *("−0.020", "–", "0.125", "0.001", "0.0013"),
    ]
    assert rows[1][-1] == "–"  # no time is known


def test_a_sentence_says_where_a_method_deserves_belief(section: Section) -> None:
    text = [block.text for block in section.blocks if isinstance(block, Paragraph)]
    assert "exact: more comprehensive than random passages (p < 0.05) on all sets." in text
    assert "occlusion: more comprehensive than random passages (p < 0.05) on no set." in text
    assert not any(sentence.startswith("random:") for sentence in text)


def test_curves_begin_with_the_whole_post(section: Section) -> None:
    (plots, numbers) = (block for block in section.blocks if isinstance(block, BlockGroup))
    assert len(plots.blocks) == 2
    assert all(isinstance(plot, FigureBlock) for plot in plots.blocks)
    first = plots.blocks[0]
    assert isinstance(first, FigureBlock)
    assert (
        "0.90 for whole posts, without 50 % of the words 0.70 (exact), 0.70 (occlusion)" in first.description
    )
    (data,) = numbers.blocks
    assert isinstance(data, TableBlock)
    assert [cell.text for cell in data.rows[1].cells] == ["DR", "exact", "50", "0.700", "0.400"]


def test_plausibility_is_shown_where_annotators_marked_passages(section: Section) -> None:
    (row,) = table(section, "plausibility").rows
    assert [cell.text for cell in row.cells] == ["IRF", "exact", "12", *["50.0", "45.0–55.0"] * 3]
