"""Sections on abstention, review and upstream labels."""

from __future__ import annotations

import pytest

from mentallama.evaluate.score_file import ScoreFile
from mentallama.report.page_model import Paragraph, Section, TableBlock
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.selective import selective_section, upstream_section
from mentallama.tasks import load_tasks
from tests.factories.report_run import make_scores


@pytest.fixture(scope="module")
def scores(tmp_path_factory: pytest.TempPathFactory) -> ScoreFile:
    """The scores of the synthetic run, in which DR alone has no predictions on validation rows."""
    return make_scores(tmp_path_factory.mktemp("scores"))


def _section(scores: ScoreFile) -> Section:
    section = selective_section(RunArtifacts(scores=scores, tasks=load_tasks()))
    assert section is not None
    return section


def _row(section: Section, table: str, name: str) -> dict[str, str]:
    (block,) = (block for block in section.blocks if isinstance(block, TableBlock) and block.name == table)
    (row,) = (row for row in block.rows if row.cells[0].text == name)
    return dict(zip(block.header, (cell.text for cell in row.cells), strict=True))


def test_the_tables_show_the_scores(scores: ScoreFile) -> None:
    section = _section(scores)
    curve, review = scores.sets["SAD"].risk_coverage, scores.sets["SAD"].review
    assert curve is not None
    assert review is not None
    risk = _row(section, "risk", "SAD")
    assert risk["mean risk, %"] == f"{100 * curve.aurc:.2f}"
    assert risk["risk at 100 % coverage"] == f"{100 * curve.points[-1].risk:.1f}"
    assert risk["without probability"] == str(90 - curve.n)
    shown = _row(section, "review", "SAD")
    assert shown["label"] == "emotional turmoil"
    assert shown["10 % reviewed"] == f"{review.budgets[2].recall:.1f}"
    assert shown["1 % reviewed"] == "–"
    assert shown["why there is no recall"] == "this share of 90 rows is less than one row"


def test_a_set_without_validation_predictions_says_so(scores: ScoreFile) -> None:
    section = _section(scores)
    notes = [block.text for block in section.blocks if isinstance(block, Paragraph) and block.missing]
    note, other = (text for text in notes if text.startswith("No threshold"))
    assert note.startswith("No threshold of abstention was chosen for DR: ")
    assert other.startswith(
        "No threshold of abstention was chosen for Dreaddit, loneliness: no threshold reaches"
    )
    assert "predict.splits" in note
    found = scores.sets["SAD"].abstention
    assert found is not None
    shown = _row(section, "abstention", "SAD")
    assert shown["target on validation rows"] == "coverage 80 %"
    assert shown["weighted F1"] == f"{found.weighted_f1:.2f}"


def test_a_run_without_any_validation_predictions_says_it_once(scores: ScoreFile) -> None:
    only = scores.model_copy(update={"sets": {"DR": scores.sets["DR"]}})
    notes = [block.text for block in _section(only).blocks if isinstance(block, Paragraph) and block.missing]
    assert len(notes) == 1
    assert notes[0].startswith("No threshold of abstention was chosen: there are no predictions on all")


def test_answers_without_probabilities_have_neither(scores: ScoreFile) -> None:
    bare = {
        name: part.model_copy(update={"risk_coverage": None, "abstention": None})
        for name, part in scores.sets.items()
    }
    (block,) = _section(scores.model_copy(update={"sets": bare})).blocks
    assert isinstance(block, Paragraph)
    assert block.missing


def test_both_labels_stand_side_by_side(scores: ScoreFile) -> None:
    section = upstream_section(RunArtifacts(scores=scores, tasks=load_tasks()))
    found = scores.against_upstream["Irf"]
    assert section is not None
    table = section.blocks[1]
    assert isinstance(table, TableBlock)
    cells = dict(zip(table.header, (cell.text for cell in table.rows[0].cells), strict=True))
    assert (cells["rows with both"], cells["labels differ"]) == (str(found.rows), str(found.differ))
    assert cells["weighted F1, release"] == f"{found.release_f1:.2f}"
    assert cells["weighted F1, upstream"] == f"{found.upstream_f1:.2f}"
    without = scores.model_copy(update={"against_upstream": {}})
    assert upstream_section(RunArtifacts(scores=without, tasks=load_tasks())) is None


def test_nothing_without_scores() -> None:
    assert selective_section(RunArtifacts()) is None
    assert upstream_section(RunArtifacts()) is None
