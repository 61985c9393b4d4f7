"""The command `compare`: runs, scores and folders of outputs side by side."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.cli.app import app
from mentallama.errors import DataError, UsageError
from tests.factories.report_run import make_scores

POSTS = [
    f"a post that was written for this test, number {number}, by @someone_{number}" for number in range(4)
]
REFERENCES = [
    f"{answer} Reasoning: because."
    for answer in ("Yes, the poster suffers from stress.",) * 2
    + ("No, the poster does not suffer from stress.",) * 2
]


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A benchmark of four rows, and the outputs of two systems: one always says yes, one refuses once."""
    query = 'Consider this post: "{}" Question: Does the poster suffer from stress?'
    rows = [(query.format(post), reference) for post, reference in zip(POSTS, REFERENCES, strict=True)]
    write_table(
        tmp_path / "release/test_data/test_instruction/dreaddit.csv", ("query", "gpt-3.5-turbo"), rows
    )
    answers = {"yes": REFERENCES[:1] * 4, "careful": ["I cannot provide a diagnosis.", *REFERENCES[1:]]}
    for name, texts in answers.items():
        outputs = list(zip(REFERENCES, texts, strict=True))
        write_table(tmp_path / f"outputs/{name}/dreaddit.csv", ("goldens", "generated_text"), outputs)
    return tmp_path


def compare(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


def test_outputs_are_scored_on_the_way_and_compared_on_the_same_rows(folder: Path) -> None:
    options = ("--benchmark", folder / "release", "--out", folder / "page")
    printed = compare(folder / "outputs/yes", folder / "outputs/careful", *options)
    assert printed.splitlines()[-1] == str(folder / "page/index.html")
    # yes: F1 of yes 2·2/(4+2), of no 0. careful: yes 2·1/(1+2), no 1.
    assert "│ Dreaddit │ 4    │ 33.33 │   83.33 │" in printed
    assert (folder / "page/scores/careful/scores.json").is_file()
    file = json.loads((folder / "page/comparison.json").read_text(encoding="utf-8"))
    assert [(part["second"], part["only_first"], part["only_second"]) for part in file["differences"]] == [
        ("careful", 1, 2)
    ]
    compare(folder / "outputs/yes", folder / "outputs/careful", *options)  # again, over its own files


def test_scores_and_outputs_share_rows(folder: Path) -> None:
    """What `evaluate --out` wrote of a folder is the same system as the folder."""
    options = ["--responses", str(folder / "outputs/yes"), "--out", str(folder / "scored")]
    evaluate = ["evaluate", "--benchmark", str(folder / "release"), *options]
    CliRunner().invoke(app, evaluate, catch_exceptions=False)
    compare(
        folder / "scored", folder / "outputs/yes", "--benchmark", folder / "release", "--out", folder / "page"
    )
    file = json.loads((folder / "page/comparison.json").read_text(encoding="utf-8"))
    assert file["rows"] == [{"set": "dreaddit", "rows": 4, "synthetic": False, "systems": ["scored", "yes"]}]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["outputs/yes"], r"a comparison needs two systems or more"),
        (
            ["outputs/yes", "outputs/careful"],
            r"outputs/yes: this folder holds a model's outputs.*--benchmark DIR",
        ),
        (["outputs/yes", "outputs/../outputs/yes"], r"outputs/yes: this folder is named twice"),
        (
            ["outputs/yes", "release"],
            r"release: there are no scores in this folder, and no outputs named after a set",
        ),
        (["outputs/yes", "nothing"], r"nothing: there is no such folder"),
        (["outputs/yes", "outputs/careful", "--baseline", "yess"], r"no system is called 'yess'.*yes"),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(
    arguments: list[str], message: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(UsageError, match=message):
        CliRunner().invoke(app, ["compare", *arguments, "--out", "page"], catch_exceptions=False)
    assert not (folder / "page").exists()


def test_outputs_of_other_rows_are_refused_before_a_page_is_written(folder: Path) -> None:
    make_scores(folder / "run")
    write_table(folder / "outputs/yes/dreaddit.csv", ("goldens", "generated_text"), [(REFERENCES[0], "yes")])
    with pytest.raises(DataError, match=r"dreaddit\.csv, row \d+: 1 rows where .* has 4"):
        compare(
            folder / "run",
            folder / "outputs/yes",
            "--benchmark",
            folder / "release",
            "--out",
            folder / "page",
        )
    assert not (folder / "page/index.html").exists()
    assert not (folder / "page/scores/yes/scores.json").exists()
