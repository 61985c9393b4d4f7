"""A page of several runs: side by side only what can be compared, and nobody else's file replaced."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

from mentallama.errors import DataError, UsageError
from mentallama.evaluate.run import score_sets, write_scores
from mentallama.evaluate.score_file import ScoreFile
from mentallama.evaluate.scores import ScoredRow
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.comparison import distinct_names
from mentallama.report.run import report_runs
from mentallama.tasks import load_tasks
from tests.factories.report_run import synthetic_rows

TASKS = load_tasks()
SAMPLE = {name: synthetic_rows(TASKS[name], 12) for name in ("DR", "dreaddit")}


def wrong(rows: Sequence[ScoredRow]) -> list[ScoredRow]:
    return [row.model_copy(update={"status": "unparsed", "predicted": None}) for row in rows]


def make_scored_run(
    folder: Path, rows: Mapping[str, Sequence[ScoredRow]], synthetic: Mapping[str, int] | None = None
) -> Path:
    how = Resampling(resamples=50)
    write_scores(
        folder,
        ScoreFile(
            form="instruction",
            source={"kind": "predictions", "model": f"linear:{folder.name}"},
            resampling=how,
            sets=score_sets(rows, TASKS, how),
            missing=(),
            missing_reasons={},
            synthetic_rows=dict(synthetic or {}),
        ),
        rows,
    )
    return folder


def table(out: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(out / f"files/{name}.csv").set_index("set")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three runs: b is wrong about DR, and c is scored on other rows of Dreaddit and on synthetic posts of DR."""
    folder = tmp_path_factory.mktemp("runs")
    first = make_scored_run(folder / "a/evaluate", SAMPLE).parent
    second = make_scored_run(folder / "b", {**SAMPLE, "DR": wrong(SAMPLE["DR"])})
    third = make_scored_run(folder / "c", {**SAMPLE, "dreaddit": SAMPLE["dreaddit"][:7]}, {"DR": 12})
    report_runs([first, second, third], folder / "page")
    return folder / "page"


def test_scores_stand_side_by_side_where_they_can_be_compared(out: Path) -> None:
    scores = table(out, "scores")
    assert scores["b"]["DR"] == 0.0
    assert scores["a"]["Dreaddit"] == scores["b"]["Dreaddit"] > 0
    assert scores["rows"]["DR"] == 12
    assert scores["published rows"]["DR"] == 405
    assert scores["c"].isna().all()
    assert (
        "c with a: other rows: 12 and 7, of which 7 are the same"
        in scores["not comparable because"]["Dreaddit"]
    )
    assert (
        "with the paper: it is not known where its test posts are from, 12 rows instead of 405"
        in (scores["not comparable because"]["DR"])
    )


def test_synthetic_scores_have_a_table_without_the_paper(out: Path) -> None:
    synthetic = table(out, "synthetic")
    assert list(synthetic.index) == ["DR"]
    assert not [name for name in synthetic.columns if "published" in name]
    assert synthetic["a"].isna().all()
    assert "synthetic posts in one of the runs only" in synthetic["not comparable because"]["DR"]


def test_differences_are_those_from_the_first_run(out: Path) -> None:
    differences = table(out, "scores-differences")
    assert list(differences["run"]) == ["b", "b"]
    assert differences["difference, points"]["Dreaddit"] == 0
    gained = differences["difference, points"]["DR"]
    assert gained == pytest.approx(
        -table(out, "scores")["a"]["DR"], abs=1e-4
    )  # scores are rounded to 4 decimals
    correct = sum(row.correct for row in SAMPLE["DR"])
    assert (differences["only a right"]["DR"], differences["only the run right"]["DR"]) == (correct, 0)


def test_every_score_is_among_all_scores_with_its_own_rows(out: Path) -> None:
    rows = pd.read_csv(out / "files/scores-all.csv").set_index(["set", "run"])["rows"]
    assert rows.to_dict() == {
        ("DR", "a"): 12,
        ("DR", "b"): 12,
        ("Dreaddit", "a"): 12,
        ("Dreaddit", "b"): 12,
        ("Dreaddit", "c"): 7,
    }


def test_the_same_runs_give_the_same_bytes_and_replace_only_what_the_command_wrote(tmp_path: Path) -> None:
    runs = [make_scored_run(tmp_path / name, {"DR": SAMPLE["DR"]}) for name in ("a", "b")]
    page = report_runs(runs, tmp_path / "page")
    before = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    (page.parent / "notes.md").write_text("mine", encoding="utf-8")
    assert report_runs(runs, tmp_path / "page").read_bytes() == before[page]
    unchanged = {path for path in before if path.read_bytes() == before[path]}
    assert {path.name for path in before.keys() - unchanged} <= {"manifest.json"}
    report_runs(runs[:1], tmp_path / "page")  # another page: what belonged to the first one alone goes
    assert not (page.parent / "files/scores-differences.csv").exists()
    assert (page.parent / "notes.md").read_text(encoding="utf-8") == "mine"


def test_a_page_of_the_user_s_is_not_replaced(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path / "a", {"DR": SAMPLE["DR"]})
    (tmp_path / "page").mkdir()
    (tmp_path / "page/index.html").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match=r"index\.html: report RUN did not make this file"):
        report_runs([run, make_scored_run(tmp_path / "b", {"DR": SAMPLE["DR"]})], tmp_path / "page")
    assert [path.name for path in (tmp_path / "page").iterdir()] == ["index.html"]


def test_runs_without_scores_or_named_twice_are_refused(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path / "a", {"DR": SAMPLE["DR"]})
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"empty: there are no scores in this folder"):
        report_runs([run, tmp_path / "empty"], tmp_path / "page")
    with pytest.raises(UsageError, match=r"a: this run is named twice"):
        report_runs([run, run / "../a"], tmp_path / "page")
    (run / "scores.json").write_text(json.dumps({"form": "poem"}), encoding="utf-8")
    with pytest.raises(DataError, match=r"scores\.json"):
        report_runs([run, run.parent / "empty"], tmp_path / "page")
    with pytest.raises(UsageError, match=r"empty: this is no folder of a run"):
        report_runs([tmp_path / "empty"], tmp_path / "page")
    assert not (tmp_path / "page").exists()


def test_runs_without_rows_are_shown_without_differences(tmp_path: Path) -> None:
    runs = [make_scored_run(tmp_path / name, {"DR": SAMPLE["DR"]}) for name in ("a", "b")]
    (runs[1] / "rows.jsonl.zst").unlink()
    text = report_runs(runs, tmp_path / "page").read_text(encoding="utf-8")
    assert "one of the runs has no file of scored rows" in text
    assert "No run can be compared with a row by row" in text


def test_names_tell_runs_apart() -> None:
    assert distinct_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    assert distinct_names([Path("/x/a/run"), Path("/y/a/run")]) == ["x/a/run", "y/a/run"]
