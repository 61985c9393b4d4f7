"""The check stage in a run: reviewers' edits rerun it, and data that raters reject ends with an exit code."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.check.output.gate_report_schema import DroppedResponse
from mentallama.cli.app import app
from mentallama.config import Recipe, read_recipe
from mentallama.errors import EXIT_TOO_MANY_REJECTS, DataError, TooManyRejectsError
from mentallama.files.manifest import digest_folder, read_manifest
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Response
from tests.factories.project import ROOT

RECIPE = ROOT / "recipes/sample-build.yaml"
SMALL = ("sets=[CLP, DR]", "jobs=1", f"data={ROOT / 'sample'}", "check.rating_sample_size=10")
STAGES = ["collect", "teach", "check"]


def recipe(*changes: str) -> Recipe:
    return read_recipe(RECIPE, (*SMALL, *changes))


def ran(folder: Path, made: Recipe | None = None) -> list[str]:
    """The stages that were not up to date."""
    said: list[str] = []
    run_recipe(made or recipe(), folder, said.append)
    return [line.partition(":")[0] for line in said if ": done in" in line]


def results(folder: Path) -> dict[str, bytes]:
    paths = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in {"manifest.json", ".lock"}
    )
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def read_sheet(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def write_sheet(path: Path, rows: Sequence[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two sets."""
    folder = tmp_path_factory.mktemp("small") / "run"
    assert ran(folder) == STAGES
    return folder


@pytest.fixture
def run(small: Path, tmp_path: Path) -> Path:
    """A copy of a finished run."""
    return Path(shutil.copytree(small, tmp_path / "run"))


def test_the_sample_is_built_offline(small: Path) -> None:
    summary = read_json(small / "check/summary.json")
    assert summary["responses"] >= 80
    assert summary["accepted"] >= 0.95 * summary["responses"]
    manifest = read_manifest(small / "check")
    assert manifest is not None
    assert manifest.outputs == digest_folder(small / "check")
    assert {
        "collect/posts.jsonl.zst",
        "teach/responses.jsonl.zst",
        "teach/summary.json",
        "collect/summary.json",
    } <= {each["name"] for each in manifest.cache_key["inputs"]}
    assert manifest.counts == summary


def test_a_second_run_does_nothing(run: Path) -> None:
    before = results(run)
    assert ran(run) == []
    assert results(run) == before


@pytest.mark.parametrize(("column", "text"), [("note", "a fine one"), ("rater", "ana")])
def test_a_file_that_decides_nothing_new_reruns_nothing(column: str, text: str, run: Path) -> None:
    path = run / "review/sample.csv"
    write_sheet(path, [row | {column: text} for row in read_sheet(path)])
    assert ran(run) == []
    assert {row[column] for row in read_sheet(path)} == {text}


def test_a_rating_reruns_check_once(run: Path) -> None:
    path = run / "review/sample.csv"
    rows = read_sheet(path)
    assert len(rows) == 10
    write_sheet(path, [rows[0] | {"rater": "ana", "overall": "3"}, *rows[1:]])
    assert ran(run) == ["check"]
    assert read_json(run / "check/gates.json")["rating_sample"]["rated"] == 1
    assert read_sheet(path)[0]["rater"] == "ana"
    assert ran(run) == []


def test_a_sorted_file_reruns_nothing(run: Path) -> None:
    path = run / "review/sample.csv"
    rows = [row | {"rater": "ana", "overall": "3"} for row in read_sheet(path)[:4]] + read_sheet(path)[4:]
    write_sheet(path, rows)
    assert ran(run) == ["check"]
    write_sheet(path, list(reversed(read_sheet(path))))
    assert ran(run) == []


def test_a_decision_reruns_check_and_accepts_the_row(run: Path) -> None:
    responses = list(read_records(run / "teach/responses.jsonl.zst", Response))
    turned = responses[0].model_copy(update={"text": _turned(responses[0].text)})
    # As another teacher would have answered: the stage's manifest is told, so that teach itself stays up to date.
    write_records(run / "teach/responses.jsonl.zst", [turned, *responses[1:]])
    manifest = read_manifest(run / "teach")
    assert manifest is not None
    marked = manifest.model_copy(update={"outputs": digest_folder(run / "teach")})
    (run / "teach/manifest.json").write_text(marked.model_dump_json(), encoding="utf-8")

    assert ran(run) == ["check"]
    path = run / "review/disagreements.csv"
    (row,) = read_sheet(path)
    assert read_json(run / "check/summary.json")["undecided"] == 1
    assert "label_match" in reasons(run)[turned.example_id]
    assert ran(run) == []
    write_sheet(path, [row | {"decision": "teacher"}])
    assert ran(run) == ["check"]
    assert read_json(run / "check/summary.json")["undecided"] == 0
    # Its explanation still argues for the first label, which is for other gates to say.
    assert "label_match" not in reasons(run).get(turned.example_id, {})
    assert ran(run) == []


def reasons(run: Path) -> dict[str, dict[str, str]]:
    """Example id -> reasons for dropping it, by gate."""
    return {
        each.example_id: each.reasons for each in read_records(run / "check/dropped.jsonl", DroppedResponse)
    }


def _turned(text: str) -> str:
    """The same answer with the other label."""
    yes, no = "Yes, the poster suffers from depression.", "No, the poster does not suffer from depression."
    assert text.startswith((yes, no))
    return text.replace(yes, no, 1) if text.startswith(yes) else text.replace(no, yes, 1)


def test_a_malformed_file_stops_the_run_before_any_change(run: Path) -> None:
    path = run / "review/sample.csv"
    rows = read_sheet(path)
    write_sheet(path, [rows[0] | {"overall": "very good"}, *rows[1:]])
    before = results(run)
    with pytest.raises(DataError, match=r"sample\.csv, row 2: overall is not a score"):
        ran(run)
    assert results(run) == before


def reject(run: Path) -> None:
    path = run / "review/sample.csv"
    write_sheet(path, [row | {"rater": "ana", "overall": "0"} for row in read_sheet(path)])


def test_rejected_data_is_written_and_ends_with_an_exit_code(run: Path) -> None:
    reject(run)
    with pytest.raises(
        TooManyRejectsError, match="raters found 10 of 10 explanations of the sample poor"
    ) as told:
        ran(run)
    assert told.value.exit_code == EXIT_TOO_MANY_REJECTS
    assert read_json(run / "check/gates.json")["rating_sample"]["result"] == "reject"
    with pytest.raises(TooManyRejectsError):  # also when nothing is left to do
        ran(run)


def test_the_command_prints_the_result(run: Path) -> None:
    changes = [part for change in SMALL for part in ("--set", change)]
    done = CliRunner().invoke(app, ["check", str(RECIPE), *changes, "--out", str(run)])
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1] == str(run / "check")
    assert "responses accepted; " in done.stderr
    reject(run)
    rejected = CliRunner().invoke(app, ["check", str(RECIPE), *changes, "--out", str(run)])
    assert isinstance(rejected.exception, TooManyRejectsError)


def test_a_changed_threshold_reruns_check_alone(run: Path) -> None:
    assert ran(run, recipe("check.length=[5, 401]")) == ["check"]
    assert ran(run, recipe("check.length=[5, 401]", "jobs=2")) == []
