"""The stage in a run: settings, resumption, erasure of its files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from mentallama.config import Recipe, read_recipe
from mentallama.erasure.run_contents import read_run_contents
from mentallama.errors import UsageError
from mentallama.explain.results import EvidenceRow, FaithfulnessFile
from mentallama.explain.stage import JOURNAL_NAME, explain
from mentallama.files.record_files import read_record, read_records, write_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post, UpstreamLabels
from mentallama.run_files import EVIDENCE_PATH, FAITHFULNESS_PATH, POSTS_PATH, UPSTREAM_LABELS_PATH
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
    run_recipe(recipe("explain.methods=[random, occlusion]"), folder, lambda _: None, until="explain")
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


def test_a_journal_is_continued_only_with_the_same_posts_and_marks(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(folder, run, ignore=shutil.ignore_patterns(JOURNAL_NAME.format("*")))
    posts = list(read_records(run / POSTS_PATH, Post))

    def n_journals() -> int:
        explain(recipe(), run, tmp_path / "out")
        return len(list(run.glob(JOURNAL_NAME.format("*"))))

    assert [n_journals(), n_journals()] == [1, 1]
    write_records(run / POSTS_PATH, [post.model_copy(update={"evidence": {}}) for post in posts[:-1]])
    assert n_journals() == 2
    write_records(run / UPSTREAM_LABELS_PATH, [UpstreamLabels(post_id=posts[0].id, set="DR", labels={})])
    assert n_journals() == 3
