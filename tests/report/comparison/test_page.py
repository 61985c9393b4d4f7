"""A page of several systems: side by side only what can be compared, and nobody else's file replaced."""

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
from mentallama.files.record_files import write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.report.comparison.comparison import read_comparison
from mentallama.report.comparison.comparison_file import ComparisonFile
from mentallama.report.comparison.systems import distinct_names, system_kind
from mentallama.report.page_model import number_cell, with_best
from mentallama.report.run import report_runs, write_comparison
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


def test_scores_stand_in_one_line_where_the_rows_are_the_same(out: Path) -> None:
    scores = pd.read_csv(out / "files/scores.csv").set_index(["set", "rows"])
    assert list(scores.index) == [("DR", 12), ("Dreaddit", 12), ("Dreaddit", 7)]
    assert scores["b"]["DR", 12] == 0.0
    assert scores["a"]["Dreaddit", 12] == scores["b"]["Dreaddit", 12] > 0
    assert scores["published rows"]["DR", 12] == 405
    assert scores["c"].isna().to_list() == [True, True, False]
    assert scores[["a", "b"]].isna().loc["Dreaddit", 7].all()
    assert (
        scores["not comparable because"]["DR", 12]
        == "with the paper: it is not known where its test posts are from, 12 rows instead of 405"
    )


def test_the_best_score_of_a_line_is_marked(out: Path) -> None:
    text = (out / "report.md").read_text(encoding="utf-8")
    first = table(out, "scores")["a"].iloc[0]
    assert f"| DR | 12 | **{first:.2f}** | 0.00 | – |" in text
    equal = table(out, "scores")["b"].iloc[1]
    assert f"| Dreaddit | 12 | **{equal:.2f}** | **{equal:.2f}** | – |" in text


def test_where_all_scores_of_a_line_are_zero_none_is_the_best() -> None:
    def best(*values: float | None, direction: int = 1) -> list[bool]:
        return [cell.is_best for cell in with_best([number_cell(value) for value in values], direction)]

    assert best(0.0, 0.0, 0.0) == [False, False, False]
    assert best(61.611, None, 61.612) == [True, False, True]
    assert best(2.0, 2.0, 1.0) == [True, True, False]
    assert best(2.0, 2.0, 1.0, direction=-1) == [False, False, True]


def test_the_floor_is_told_from_a_system_named_majority(tmp_path: Path) -> None:
    """The column of the most frequent label has a title of its own, so no title is there twice."""
    systems = [make_scored_run(tmp_path / name, SAMPLE) for name in ("majority", "linear")]
    report_runs(systems, tmp_path / "page")
    header = (tmp_path / "page/files/scores.csv").read_text().splitlines()[0].split(",")
    assert header[:5] == ["set", "rows", "majority", "linear", "most frequent label"]
    assert len(set(header)) == len(header)


def test_systems_with_other_rows_are_listed_with_what_they_share(out: Path) -> None:
    apart = table(out, "rows")
    assert apart["systems"].to_dict() == {"DR": "a, b", "Dreaddit": "a, b"}
    assert apart["with"].to_dict() == {"DR": "c", "Dreaddit": "c"}
    assert apart["not comparable because"].to_dict() == {
        "DR": "synthetic posts in one of them only",
        "Dreaddit": "other rows: 12 and 7, of which 7 are the same",
    }


def test_synthetic_scores_have_a_table_without_the_paper(out: Path) -> None:
    synthetic = table(out, "synthetic")
    assert list(synthetic.index) == ["DR"]
    assert not [name for name in synthetic.columns if "published" in name]
    assert synthetic["a"].isna().all()
    assert synthetic["c"]["DR"] == table(out, "scores")["a"]["DR"]


def test_a_leaderboard_ranks_systems_on_the_same_rows_of_all_its_sets(out: Path) -> None:
    board = pd.read_csv(out / "files/scores-leaderboard.csv").set_index("system")
    assert board["rank"].to_dict() == {"a": 1, "b": 2}
    scores = table(out, "scores").dropna(subset="a")
    assert board["weighted F1"].to_dict() == pytest.approx(scores[["a", "b"]].mean().to_dict())
    assert board["without a label, %"]["b"] > 50
    assert not (out / "files/synthetic-leaderboard.csv").exists()


def test_differences_are_those_from_the_baseline(out: Path) -> None:
    differences = table(out, "differences")
    assert list(differences["system"]) == ["b", "b"]
    assert differences["difference, points"]["Dreaddit"] == 0
    gained = differences["difference, points"]["DR"]
    # scores are rounded to 4 decimals
    assert gained == pytest.approx(-table(out, "scores")["a"]["DR"], abs=1e-4)
    correct = sum(row.correct for row in SAMPLE["DR"])
    assert (differences["only a right"]["DR"], differences["only the system right"]["DR"]) == (correct, 0)


def test_every_score_is_among_all_scores_with_its_own_rows(out: Path) -> None:
    rows = pd.read_csv(out / "files/scores-all.csv").set_index(["set", "system"])["rows"]
    assert rows.to_dict() == {
        ("DR", "a"): 12,
        ("DR", "b"): 12,
        ("Dreaddit", "a"): 12,
        ("Dreaddit", "b"): 12,
        ("Dreaddit", "c"): 7,
    }


def test_answers_without_a_label_are_counted_by_the_label_of_the_data_set(out: Path) -> None:
    counts = pd.read_csv(out / "files/outcomes-labels.csv").set_index(
        ["set", "label of the data set", "system"]
    )
    golds = [row.gold for row in SAMPLE["DR"]]
    for label in ("yes", "no"):
        line = counts.loc["DR", label, "b"]
        assert (line["rows"], line["unparsed"], line["without a label, %"]) == (golds.count(label),) * 2 + (
            100,
        )


def test_the_file_for_programs_says_what_the_page_says(out: Path) -> None:
    file = ComparisonFile.model_validate(
        json.loads((out / "comparison.json").read_text("utf-8")), strict=False
    )
    assert (file.baseline, list(file.scores), file.shared_rows) == ("a", ["a", "b", "c"], False)
    assert [(group.set, group.rows, group.synthetic, group.systems) for group in file.rows] == [
        ("DR", 12, False, ("a", "b")),
        ("DR", 12, True, ("c",)),
        ("dreaddit", 12, False, ("a", "b")),
        ("dreaddit", 7, False, ("c",)),
    ]
    assert [list(board.weighted_f1) for board in file.leaderboards] == [["a", "b"]]
    assert [(part.set, part.first, part.second, part.rows) for part in file.differences] == [
        ("DR", "a", "b", 12),
        ("dreaddit", "a", "b", 12),
    ]


def test_another_baseline_is_compared_with_and_an_unknown_one_refused(out: Path) -> None:
    folders = [out.parent / name for name in "abc"]
    comparison = read_comparison(folders, TASKS, baseline="b")
    assert {system for _, system in comparison.differences} == {"a"}
    with pytest.raises(UsageError, match="no system is called 'd'"):
        read_comparison(folders, TASKS, baseline="d")


def test_on_shared_rows_all_systems_with_a_set_have_the_same(out: Path) -> None:
    """Of Dreaddit, c has the first 7 rows; of DR its 12 rows are the same but synthetic, so they stay apart."""
    comparison = read_comparison([out.parent / name for name in "abc"], TASKS, shared_only=True)
    (dreaddit,) = comparison.groups["dreaddit"]
    assert (dreaddit.names, dreaddit.n) == (("a", "b", "c"), 7)
    expected = score_sets({"dreaddit": SAMPLE["dreaddit"][:7]}, TASKS, Resampling(resamples=50))["dreaddit"]
    assert [system.scores.sets["dreaddit"] for system in comparison.systems] == [expected] * 3
    assert [group.names for group in comparison.groups["DR"]] == [("a", "b"), ("c",)]
    page = (
        write_comparison(comparison, out.parent / "shared").with_name("report.md").read_text(encoding="utf-8")
    )
    assert "Every set is scored on the rows that all systems with the set share" in page


def test_a_set_without_shared_rows_is_left_out_and_said(tmp_path: Path) -> None:
    rows = SAMPLE["DR"]
    runs = [
        make_scored_run(tmp_path / name, {"DR": part, "dreaddit": SAMPLE["dreaddit"]})
        for name, part in (("a", rows[:5]), ("b", rows[5:]))
    ]
    comparison = read_comparison(runs, TASKS, shared_only=True)
    assert list(comparison.groups) == ["dreaddit"]
    assert comparison.left_out == ("DR is left out: its 2 systems share no row of it.",)


def test_the_same_runs_give_the_same_bytes_and_replace_only_what_the_command_wrote(tmp_path: Path) -> None:
    runs = [make_scored_run(tmp_path / name, {"DR": SAMPLE["DR"]}) for name in ("a", "b")]
    page = report_runs(runs, tmp_path / "page")
    before = {path: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    (page.parent / "notes.md").write_text("mine", encoding="utf-8")
    assert report_runs(runs, tmp_path / "page").read_bytes() == before[page]
    unchanged = {path for path in before if path.read_bytes() == before[path]}
    assert {path.name for path in before.keys() - unchanged} <= {"manifest.json"}
    report_runs(runs[:1], tmp_path / "page")  # another page: what belonged to the first one alone goes
    assert not (page.parent / "files/differences.csv").exists()
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
    with pytest.raises(UsageError, match=r"a: this folder is named twice"):
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
    assert "one of them has no file of scored rows" in text
    assert "No system can be compared with a row by row" in text


@pytest.mark.parametrize("change", ["doubled", "lost", "other"])
def test_rows_of_another_evaluation_are_refused(change: str, tmp_path: Path) -> None:
    runs = [make_scored_run(tmp_path / name, {"DR": SAMPLE["DR"]}) for name in ("a", "b")]
    rows = {
        "doubled": [*SAMPLE["DR"], SAMPLE["DR"][0]],
        "lost": SAMPLE["DR"][1:],
        "other": wrong(SAMPLE["DR"]),
    }
    write_records(runs[1] / "rows.jsonl.zst", rows[change])
    repeated = ", 1 of them with the id of another row" if change == "doubled" else ""
    message = rf"b/rows\.jsonl\.zst: {len(rows[change])} rows of DR{repeated}, which are not the 12 rows that scores"
    with pytest.raises(DataError, match=message):
        report_runs(runs, tmp_path / "page")


def test_scores_of_another_schema_are_to_be_made_again(tmp_path: Path) -> None:
    runs = [make_scored_run(tmp_path / name, {"DR": SAMPLE["DR"]}) for name in ("a", "b")]
    old = json.loads((runs[1] / "scores.json").read_text(encoding="utf-8"))
    del old["resampling"]
    (runs[1] / "scores.json").write_text(json.dumps(old), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"cannot read resampling; if another version .* wrote it, evaluate again"
    ):
        report_runs(runs, tmp_path / "page")


def test_rows_without_hashes_of_posts_are_told_from_other_rows(tmp_path: Path) -> None:
    hashed = [row.model_copy(update={"post_hash": f"hash of {row.post_id}"}) for row in SAMPLE["DR"]]
    runs = [
        make_scored_run(tmp_path / name, {"DR": part}) for name, part in (("a", SAMPLE["DR"]), ("b", hashed))
    ]
    text = report_runs(runs, tmp_path / "page").read_text(encoding="utf-8")
    assert "rows without hashes of their posts, as earlier versions wrote them; evaluate again" in text


def test_kinds_of_folders_are_told_apart(tmp_path: Path) -> None:
    assert system_kind(make_scored_run(tmp_path / "a", {"DR": SAMPLE["DR"]}), TASKS) == "scores"
    (tmp_path / "outputs").mkdir()
    with pytest.raises(
        UsageError, match=r"outputs: there are no scores in this folder, and no outputs named after"
    ):
        system_kind(tmp_path / "outputs", TASKS)
    (tmp_path / "outputs/DR.csv").write_text("goldens,generated_text\n", encoding="utf-8")
    assert system_kind(tmp_path / "outputs", TASKS) == "outputs"
    (tmp_path / "run/predict").mkdir(parents=True)
    (tmp_path / "run/predict/predictions.jsonl.zst").touch()
    with pytest.raises(UsageError, match=r"run: this run has no scores yet"):
        system_kind(tmp_path / "run", TASKS)
    with pytest.raises(UsageError, match=r"nothing: there is no such folder"):
        system_kind(tmp_path / "nothing", TASKS)


def test_names_tell_runs_apart() -> None:
    assert distinct_names([Path("/x/a"), Path("/x/b")]) == ["a", "b"]
    paths = [Path("/x/a/run"), Path("/y/a/run"), Path("/y/b")]
    assert distinct_names(paths) == ["x/a/run", "y/a/run", "b"]
