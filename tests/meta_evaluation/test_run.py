"""The command meta-evaluate: files, page, correlations and the reproducible fit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from mentallama.cli.app import app
from mentallama.errors import UsageError
from mentallama.explanation_metrics.base import MetricOptions
from mentallama.meta_evaluation.results import MetaEvaluation
from mentallama.meta_evaluation.run import meta_evaluate
from mentallama.tasks import load_tasks
from tests.factories.answer_kinds import task_of_kind
from tests.factories.rated_explanations import post_text, rated_rows, write_rows

TASKS = load_tasks()
DR = TASKS["DR"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Ratings in two files, and the results with a fit."""
    root = tmp_path_factory.mktemp("meta")
    rows = rated_rows(40)
    write_rows(root / "ratings/right.csv", [row for row in rows if "Yes" in row["gpt-3.5-turbo"]])
    write_rows(root / "ratings/wrong.csv", [row for row in rows if "No" in row["gpt-3.5-turbo"]])
    run(root / "ratings", root / "out", fit=root / "weights.json")
    return root


def run(ratings: Path, out: Path, **options) -> MetaEvaluation:
    return meta_evaluate([ratings], out, DR, "depression", MetricOptions(), resamples=100, **options)


def test_results_are_by_file_and_of_all(folder: Path) -> None:
    results = MetaEvaluation.model_validate_json((folder / "out/meta_evaluation.json").read_bytes())
    assert {name: group.rows for name, group in results.groups.items()} == {
        "all": 40,
        "right.csv": 32,
        "wrong.csv": 8,
    }
    assert results.groups["all"].outcomes == {
        "agrees with the reference label": 32,
        "disagrees with the reference label": 8,
    }
    agreement = results.groups["all"].agreement["fluency"].coefficients
    assert agreement["Gwet's AC2, linear"].value == 1.0
    assert agreement["Krippendorff's alpha, ordinal"].reason == "the ratings do not vary"


def test_correlations_are_with_the_mean_of_the_raters(folder: Path) -> None:
    results = MetaEvaluation.model_validate_json((folder / "out/meta_evaluation.json").read_bytes())
    group = results.groups["wrong.csv"]
    rows = [row for row in rated_rows(40) if "No" in row["gpt-3.5-turbo"]]
    means = [np.mean(json.loads(row["overall"])) for row in rows]
    # Each further sentence makes the explanation longer, so both ranks are known without the metric.
    detail = [number % 4 for number in range(0, 40, 5)]
    found = group.metrics["feature.length"].aspects["overall"]
    assert found["kendall"].value == pytest.approx(stats.kendalltau(detail, means)[0], abs=0.05)
    assert found["pearson"].interval is not None


def test_the_fit_is_reproduced_byte_for_byte_and_marked_as_fitted(folder: Path, tmp_path: Path) -> None:
    run(folder / "ratings", tmp_path / "again", fit=tmp_path / "weights.json")
    assert (tmp_path / "weights.json").read_bytes() == (folder / "weights.json").read_bytes()
    for name in ("meta_evaluation.json", "index.html", "report.md"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / "out" / name).read_bytes()
    own = f"explanation_quality:{folder / 'weights.json'}"
    results = run(folder / "ratings", tmp_path / "applied", metrics=[own])
    assert results.groups["all"].metrics["explanation_quality"].in_sample == 40
    assert "(fitted to these)" in (tmp_path / "applied/report.md").read_text()
    assert results.fit is None


def test_the_packages_weights_are_fitted_to_none_of_these(folder: Path) -> None:
    results = MetaEvaluation.model_validate_json((folder / "out/meta_evaluation.json").read_bytes())
    assert results.groups["all"].metrics["explanation_quality"].in_sample == 0
    assert results.fit is not None
    compared = results.fit.comparisons["feature.label_agreement"]
    assert compared.difference == pytest.approx(compared.out_of_fold - compared.pearson)
    assert set(results.fit.left_out_files) <= {"right.csv", "wrong.csv"}


def test_no_file_holds_text_of_a_post(folder: Path) -> None:
    written = [path for path in (folder / "out").rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in [*written, folder / "weights.json"]:
        assert b"hopeless" not in path.read_bytes(), path


def test_perturbations_lower_the_score(folder: Path) -> None:
    results = MetaEvaluation.model_validate_json((folder / "out/meta_evaluation.json").read_bytes())
    for perturbed in results.perturbations.values():
        assert all(result.cases > 0 for result in perturbed.values())
        # Explanations of other posts are left out: here they differ in length, and one in four is none at all.
        for name in ("truncated", "answer only", "flipped label", "shuffled words"):
            assert perturbed[name].after < perturbed[name].before, name


def test_one_file_without_labels_is_one_group(tmp_path: Path) -> None:
    rows = [{name: cell for name, cell in row.items() if name != "label"} for row in rated_rows(8)]
    results = run(write_rows(tmp_path / "a.csv", rows), tmp_path / "out")
    assert list(results.groups) == ["all"]
    unscored = results.groups["all"].metrics["feature.label_agreement"]
    assert (unscored.scored, unscored.unscored) == (0, {"no reference label": 8})
    assert unscored.aspects["overall"]["pearson"].reason == "fewer than two items"
    assert list(results.perturbations) == ["without it"]


def test_references_come_from_a_release(tmp_path: Path) -> None:
    query = f'Consider this post: "{post_text(1)}" Question: Does the poster suffer from depression?'
    response = "Yes, the poster suffers from depression. Reasoning: They feel hopeless and hardly sleep."
    write_rows(
        tmp_path / "release/test_data/test_instruction/DR.csv", [{"query": query, "gpt-3.5-turbo": response}]
    )
    ratings = write_rows(tmp_path / "a.csv", rated_rows(6))
    overlap = run(ratings, tmp_path / "out", references=tmp_path / "release").groups["all"].metrics["rouge1"]
    assert (overlap.scored, overlap.unscored) == (1, {"no reference": 5})
    with pytest.raises(UsageError, match="not the published release"):
        run(ratings, tmp_path / "other", references=tmp_path / "out")


def test_files_of_others_are_not_replaced(tmp_path: Path) -> None:
    ratings = write_rows(tmp_path / "a.csv", rated_rows(6))
    (tmp_path / "out").mkdir()
    (tmp_path / "out/report.md").write_text("mine")
    with pytest.raises(UsageError, match="did not make this file"):
        run(ratings, tmp_path / "out")
    assert (tmp_path / "out/report.md").read_text() == "mine"
    assert not (tmp_path / "out/meta_evaluation.json").exists()


def test_weights_replace_weights_only(folder: Path, tmp_path: Path) -> None:
    ratings = write_rows(tmp_path / "a.csv", rated_rows(40))
    content = ratings.read_bytes()
    with pytest.raises(UsageError, match="no file of weights"):
        run(ratings, tmp_path / "out", fit=ratings)
    assert ratings.read_bytes() == content
    weights = tmp_path / "weights.json"
    weights.write_text((folder / "weights.json").read_text().replace('"version": 1', '"version": 0'))
    run(ratings, tmp_path / "out", fit=weights)
    assert json.loads(weights.read_text())["version"] == 1


def test_the_command(tmp_path: Path) -> None:
    ratings = write_rows(tmp_path / "a.csv", rated_rows(6))
    arguments = ["meta-evaluate", str(ratings), "--out", str(tmp_path / "out"), "--resamples", "100"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert (tmp_path / "out/index.html").is_file()
    several = CliRunner().invoke(app, [*arguments, "--task", "Irf"])
    assert isinstance(several.exception, UsageError)
    assert "name one of Irf:thwarted belongingness" in str(several.exception)


def test_the_command_prints_each_metric_beside_the_ceiling(folder: Path, tmp_path: Path) -> None:
    arguments = [
        "meta-evaluate",
        str(folder / "ratings"),
        "--out",
        str(tmp_path / "out"),
        "--resamples",
        "100",
    ]
    printed = CliRunner().invoke(app, arguments, catch_exceptions=False).stdout
    lines = [line.split("│") for line in printed.splitlines() if line.startswith("│")]
    results = MetaEvaluation.model_validate_json((tmp_path / "out/meta_evaluation.json").read_bytes())
    group = results.groups["all"]
    rouge = group.metrics["rouge1"]
    assert len(lines) == len(group.metrics) + 1
    assert lines[-1][1].strip() == "ceiling: one rater with the others"
    assert float(lines[-1][3]) == round(group.agreement["overall"].ceiling["pearson"].value, 2)
    assert [cells[2].strip() for cells in lines if cells[1].strip() == rouge.title] == [str(rouge.scored)]


def test_answers_of_several_parts_are_refused_before_anything_is_written(
    folder: Path, tmp_path: Path
) -> None:
    task = task_of_kind("multi")
    with pytest.raises(UsageError, match="synthetic-multi: its answers have several parts"):
        meta_evaluate(
            [folder / "ratings"], tmp_path / "new", task, "about", MetricOptions(tasks={task.set: task})
        )
    assert not (tmp_path / "new").exists()
