"""Scores of explanations of several systems: by metric, as means over sets, and on shared rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from mentallama.evaluate.run import score_sets, write_scores
from mentallama.evaluate.score_file import ScoreFile
from mentallama.explanation_metrics.base import ExplanationRow
from mentallama.explanation_metrics.llm_judge.rubric import JUDGE_COLUMNS
from mentallama.explanation_metrics.llm_judge.summary import AGREEMENT_UNKNOWN, JudgeAgreement, JudgeSummary
from mentallama.explanation_metrics.scoring import summarize_rows
from mentallama.files.record_files import write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.comparison.comparison import read_comparison
from mentallama.report.comparison.explanation_sections import explanation_scores_section
from mentallama.report.page_model import Paragraph
from mentallama.report.run import report_runs
from mentallama.tasks import load_tasks
from tests.factories.report_run import synthetic_rows

TASKS = load_tasks()
ROWS = {name: synthetic_rows(TASKS[name], 8) for name in ("DR", "dreaddit")}
COLUMNS = ["rouge1", "rouge2", "rougeL", "chrf", "quotes_in_post", "label_consistency"]
HOW = Resampling(resamples=20)


def make_system(
    folder: Path,
    value: float,
    n: int = 8,
    models: Mapping[str, str] | None = None,
    judge: JudgeSummary | None = None,
) -> Path:
    """Scores of the first `n` rows of two sets; every explanation of DR has `value`, of dreaddit its number."""
    rows = {name: of_set[:n] for name, of_set in ROWS.items()}
    columns = COLUMNS if judge is None else [*COLUMNS, *(column.name for column in JUDGE_COLUMNS)]
    explanations = {
        name: [
            ExplanationRow(
                example_id=row.example_id,
                set=name,
                question=row.question,
                post_id=row.post_id,
                gold=row.gold,
                predicted=row.predicted,
                values=dict.fromkeys(columns, value if name == "DR" else float(number)),
            )
            for number, row in enumerate(of_set)
        ]
        for name, of_set in rows.items()
    }
    write_scores(
        folder,
        ScoreFile(
            form="instruction",
            source={"kind": "predictions", "model": folder.name},
            resampling=HOW,
            sets=score_sets(rows, TASKS, HOW),
            missing=(),
            missing_reasons={},
            explanation_metrics={
                name: summarize_rows(of_set, columns, HOW) for name, of_set in explanations.items()
            },
            metric_names=dict(models or {}),
            judge=judge,
        ),
        rows,
    )
    write_records(
        folder / "explanations.jsonl.zst", (row for of_set in explanations.values() for row in of_set)
    )
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """b has the better explanations; those of c were compared by another model."""
    folder = tmp_path_factory.mktemp("systems")
    systems = [
        make_system(folder / "a", 40.0),
        make_system(folder / "b", 100.0),
        make_system(folder / "c", 50.0, models={"overlap": "overlap:other"}),
    ]
    report_runs(systems, folder / "page")
    return folder / "page"


def test_a_metric_is_compared_only_where_its_model_is_the_same(out: Path) -> None:
    first, other = (
        pd.read_csv(out / f"files/explanations-{name}.csv").set_index("set")
        for name in ("overlap", "overlap-2")
    )
    assert first.loc["DR", ["a", "b"]].to_list() == [40.0, 100.0]
    assert first["c"].isna().all()
    assert other["c"]["DR"] == 50.0
    assert other[["a", "b"]].isna().all(axis=None)
    assert "| DR | 8 | 40.0 | **100.0** | – |" in (out / "report.md").read_text(encoding="utf-8")


def test_means_over_sets_have_a_line_for_every_column(out: Path) -> None:
    """Dreaddit has the values 0 to 7, whose mean is 3.5."""
    means = pd.read_csv(out / "files/explanations-means.csv").set_index(["score", "metric"])
    assert means.loc[("ROUGE-1", "overlap"), ["a", "b"]].to_list() == [(40 + 3.5) / 2, (100 + 3.5) / 2]
    assert pd.isna(means["c"]["ROUGE-1", "overlap"])
    assert means["c"]["ROUGE-1", "overlap (overlap:other)"] == (50 + 3.5) / 2


def test_right_reasons_are_shares_of_all_answers_by_system(out: Path) -> None:
    """In b every explanation of DR agrees with the answer and quotes the post, so right labels have right reasons."""
    shares = pd.read_csv(out / "files/explanations-right-reason.csv").set_index("set")
    right = 100 * sum(row.correct for row in ROWS["DR"]) / 8
    assert shares.loc["DR", ["a", "b"]].to_list() == [0.0, right]
    parts = pd.read_csv(out / "files/explanations-right-reason-all.csv").set_index(["set", "system"])
    assert parts["right label, %"]["DR", "a"] == right
    assert "Answers with the right label for a right reason" not in (out / "report.md").read_text("utf-8")


def test_every_two_systems_are_counted_in_a_table(out: Path) -> None:
    pairs = pd.read_csv(out / "files/differences-pairwise.csv").set_index("system")
    assert pairs["b"]["a"] == pairs["c"]["b"] == "+0 −0 of 2"
    assert pd.isna(pairs["a"]["a"])


def test_explanations_are_scored_again_on_shared_rows(tmp_path: Path) -> None:
    """Of the values 0 to 7 of Dreaddit the first 5 are shared, whose mean is 2."""
    folders = [make_system(tmp_path / "a", 40.0), make_system(tmp_path / "b", 90.0, n=5)]
    both = read_comparison(folders, TASKS, shared_only=True).systems
    found = [(system.scores.explanation_metrics or {})["dreaddit"] for system in both]
    assert found[0] == found[1]
    assert (found[0].rows, found[0].columns["rouge1"].mean) == (5, 2.0)
    (folders[0] / "explanations.jsonl.zst").unlink()
    first, second = read_comparison(folders, TASKS, shared_only=True).systems
    assert first.scores.explanation_metrics == {}
    assert list(second.scores.explanation_metrics or {}) == ["DR", "dreaddit"]


def test_a_judges_scores_stand_beside_what_is_known_of_its_agreement_with_people(tmp_path: Path) -> None:
    unchecked = JudgeSummary(model="m", rubric="1", samples=1, temperature=0.0)
    checked = unchecked.with_agreement(JudgeAgreement(ratings="r.csv", explanations=9, scored=8, aspects={}))
    names = {"llm_judge": "llm_judge:m"}
    folders = [
        make_system(tmp_path / "a", 1.0, models=names, judge=unchecked),
        make_system(tmp_path / "b", 2.0, models=names, judge=checked),
        make_system(tmp_path / "c", 3.0, models=names, judge=unchecked),
        make_system(tmp_path / "d", 3.0),
    ]
    section = explanation_scores_section(read_comparison(folders, TASKS))
    assert section is not None
    notes = [block.text for block in section.blocks if isinstance(block, Paragraph)]
    assert f"llm_judge:m, asked about a, c: {AGREEMENT_UNKNOWN}." in notes
    assert f"llm_judge:m, asked about b: {checked.agreement_note}." in notes
    assert not any("asked about d" in note for note in notes)
