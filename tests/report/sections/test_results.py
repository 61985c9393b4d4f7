"""Results: what stands beside the paper's numbers, what does not, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from mentallama.collect.summary import CollectSummary, HeldOut
from mentallama.evaluate.run import score_sets
from mentallama.evaluate.score_file import MatchedFile, ScoreFile
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.comparability import reasons_against_paper
from mentallama.report.page_model import FigureBlock, Paragraph, Section, TableBlock
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.results import results_section
from mentallama.tasks import load_tasks
from tests.factories.report_run import synthetic_rows

TASKS = load_tasks()
HOW = Resampling(resamples=20)
RELEASE = frozenset({"release"})


def artifacts(
    sizes: Mapping[str, int],
    synthetic: Mapping[str, int] | None = None,
    origins: Mapping[str, frozenset[str]] | None = None,
    matched: Mapping[str, MatchedFile] | None = None,
) -> RunArtifacts:
    rows = {name: synthetic_rows(TASKS[name], posts) for name, posts in sizes.items()}
    scores = ScoreFile(
        form="instruction",
        source={"kind": "predictions", "model": "m"},
        resampling=HOW,
        sets=score_sets(rows, TASKS, HOW),
        missing=(),
        missing_reasons={},
        synthetic_rows=dict(synthetic or {}),
        matched_files=dict(matched or {}),
    )
    return RunArtifacts(scores=scores, tasks=TASKS, test_origins=dict(origins or {}))


def tables(section: Section) -> list[TableBlock]:
    return [block for block in section.blocks if isinstance(block, TableBlock)]


def row_of(table: TableBlock, name: str) -> dict[str, object]:
    (row,) = (row for row in table.rows if row.cells[0].text == name)
    return dict(zip(table.header, (cell.content for cell in row.cells), strict=True))


def test_scores_on_synthetic_posts_are_in_no_table_or_plot_with_the_paper_s() -> None:
    section = results_section(
        artifacts({"dreaddit": 414, "DR": 20}, {"DR": 1}, {"dreaddit": RELEASE, "DR": RELEASE})
    )
    paper, synthetic = tables(section)
    assert [row.cells[0].text for row in paper.rows] == ["Dreaddit"]
    assert [row.cells[0].text for row in synthetic.rows] == ["DR"]
    assert synthetic.header == ("set", "rows", "weighted F1", "95 %", "majority")
    real_plot, synthetic_plot = (block for block in section.blocks if isinstance(block, FigureBlock))
    assert "DR" not in real_plot.description
    assert "MentaLLaMA" in real_plot.plot.inline_svg()
    assert "MentaLLaMA" not in synthetic_plot.plot.inline_svg()


def test_a_run_on_synthetic_posts_alone_does_not_mention_the_paper_s_scores() -> None:
    section = results_section(artifacts({"DR": 20}, {"DR": 20}))
    assert section.title == "Results on synthetic posts"
    assert not [name for table in tables(section) for name in table.header if "MentaLLaMA" in name]


def test_rows_and_reasons_stand_beside_the_published_scores() -> None:
    section = results_section(
        artifacts({"dreaddit": 414, "DR": 20}, origins={"dreaddit": RELEASE, "DR": frozenset({"table"})})
    )
    (paper,) = tables(section)
    comparable, other = row_of(paper, "Dreaddit"), row_of(paper, "DR")
    assert (comparable["rows"], comparable["published rows"]) == (414, 414)
    assert (comparable["MentaLLaMA-chat-13B"], comparable["not comparable because"]) == (75.79, "")
    assert other["not comparable because"] == (
        "other split: test posts from a table of the user's; 20 rows instead of 405"
    )
    (figure,) = (block for block in section.blocks if isinstance(block, FigureBlock))
    assert "DR*" in figure.plot.inline_svg()
    assert "Dreaddit*" not in figure.plot.inline_svg()
    assert any(
        "for orientation only" in block.text for block in section.blocks if isinstance(block, Paragraph)
    )


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (RELEASE, ()),
        (frozenset({"release", "upstream"}), ("other split: test posts from the set's own files",)),
        (None, ("it is not known where its test posts are from",)),
    ],
)
def test_the_published_split_is_the_release_s(
    origins: frozenset[str] | None, expected: tuple[str, ...]
) -> None:
    run = artifacts({"dreaddit": 414}, origins={} if origins is None else {"dreaddit": origins})
    assert reasons_against_paper(run, "dreaddit") == expected


def test_the_benchmark_s_own_files_are_the_published_split() -> None:
    file = MatchedFile(file="test_data/test_instruction/dreaddit.csv", rows=414, aligned_by="rows")
    assert reasons_against_paper(artifacts({"dreaddit": 414}, matched={"dreaddit": file}), "dreaddit") == ()


def test_other_labels_and_other_sets_cannot_be_compared() -> None:
    run = artifacts({"dreaddit": 414}, origins={"dreaddit": RELEASE})
    assert run.scores is not None
    scores = run.scores.sets["dreaddit"]
    renamed = scores.model_copy(update={"per_class": {"stressed": scores.per_class["yes"]}})
    other = RunArtifacts(
        scores=run.scores.model_copy(update={"sets": {"dreaddit": renamed}}),
        tasks=TASKS,
        test_origins=run.test_origins,
    )
    assert reasons_against_paper(other, "dreaddit") == ("other labels than published",)
    assert reasons_against_paper(RunArtifacts(scores=run.scores), "dreaddit") == (
        "it is not a set of the paper",
    )


def held_out(run: RunArtifacts, *names: str) -> RunArtifacts:
    return replace(run, collect_summary=CollectSummary(held_out=HeldOut(sets=names, verified=True)))


def test_held_out_sets_stand_beside_table_3_and_the_others_beside_table_2() -> None:
    run = artifacts({"dreaddit": 414, "DR": 405}, origins={"dreaddit": RELEASE, "DR": RELEASE})
    unseen, seen = tables(results_section(held_out(run, "CAMS", "dreaddit", "Irf", "t-sid")))
    assert [row.cells[0].text for row in unseen.rows] == ["Dreaddit"]
    assert [row.cells[0].text for row in seen.rows] == ["DR"]
    row = row_of(unseen, "Dreaddit")
    # The paper's Table 3
    assert row["LLaMA2-13B, zero-shot"] == 36.28
    assert row["ChatGPT, zero-shot"] == 71.79
    assert (row["MentaLLaMA-chat-7B"], row["MentaLLaMA-chat-13B"]) == (67.42, 71.98)
    assert row["not comparable because"] == ""


@pytest.mark.parametrize(
    ("names", "reasons"),
    [
        (("dreaddit",), {"Dreaddit": "the paper held out other sets"}),
        (
            ("dreaddit", "DR"),
            {"Dreaddit": "the paper held out other sets", "DR": "the paper did not hold it out"},
        ),
    ],
)
def test_another_choice_of_held_out_sets_is_not_comparable(
    names: tuple[str, ...], reasons: dict[str, str]
) -> None:
    run = artifacts({"dreaddit": 414, "DR": 405}, origins={"dreaddit": RELEASE, "DR": RELEASE})
    table = tables(results_section(held_out(run, *names)))[0]
    assert {row.cells[0].text: row.cells[-1].text for row in table.rows} == reasons
