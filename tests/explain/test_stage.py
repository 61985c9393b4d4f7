"""The stage in a run: settings, resumption, erasure of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.config import Recipe, read_recipe
from mentallama.erasure.run_contents import read_run_contents
from mentallama.errors import UsageError
from mentallama.explain.results import EvidenceRow, FaithfulnessFile
from mentallama.explain.stage import JOURNAL_NAME
from mentallama.files.record_files import read_record, read_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post
from mentallama.run_files import EVIDENCE_PATH, FAITHFULNESS_PATH, POSTS_PATH
from tests.factories.project import ROOT

FAST = (
    *("train.C=[1.0]", "train.topics=[0]", "train.intercept_shifts=[false]", "jobs=1"),
    f"data={ROOT / 'sample'}",
)


def recipe(*changes: str) -> Recipe:
    small = (*FAST, "sets=[loneliness, DR]", "explain.max_posts_per_set=4", "explain.resamples=100")
    return read_recipe(ROOT / "recipes/sample-linear.yaml", (*small, *changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_recipe(recipe(), folder, lambda _: None, until="explain")
    return folder


def test_predictions_of_a_run_are_explained(folder: Path) -> None:
    found = read_record(folder / FAITHFULNESS_PATH, FaithfulnessFile)
    assert found.methods == ("exact", "random")
    assert {name: part.rows for name, part in found.sets.items()} == {"loneliness": 4, "DR": 4}
    texts = {post.id: post.text for post in read_records(folder / POSTS_PATH, Post)}
    rows = list(read_records(folder / EVIDENCE_PATH, EvidenceRow))
    assert len(rows) == 16
    for row in rows:
        assert all(end <= len(texts[row.post_id]) for _, end in row.units)


def test_finished_evidence_is_not_computed_again_and_its_journal_is_gone(folder: Path) -> None:
    lines: list[str] = []
    run_recipe(recipe(), folder, lines.append, until="explain")
    assert "explain: up to date" in lines
    assert not list(folder.glob(JOURNAL_NAME.format("*")))


def test_other_methods_are_other_results(folder: Path) -> None:
    run_recipe(recipe("explain.methods=[occlusion]"), folder, lambda _: None, until="explain")
    assert read_record(folder / FAITHFULNESS_PATH, FaithfulnessFile).methods == ("occlusion", "random")


def test_faults_are_found_before_any_work(tmp_path: Path) -> None:
    wrong = recipe("explain.methods=[occlusoin, integrated-gradients]")
    with pytest.raises(UsageError) as fault:
        run_recipe(wrong, tmp_path / "run", lambda _: None)
    assert "no attribution method 'occlusoin'; did you mean occlusion" in str(fault.value)
    assert not (tmp_path / "run").exists()


def test_a_method_is_not_named_twice() -> None:
    with pytest.raises(UsageError, match="named twice"):
        recipe("explain.methods=[exact, exact]")


def test_a_journal_belongs_to_the_run(folder: Path) -> None:
    journal = folder / JOURNAL_NAME.format("0" * 16)
    journal.touch()
    assert journal in read_run_contents(folder).files
    (folder / JOURNAL_NAME.format("mine")).touch()
    assert folder / JOURNAL_NAME.format("mine") in read_run_contents(folder).foreign_files
