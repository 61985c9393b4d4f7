"""Runs against Tables 2 and 3: which model of the paper a run is, and what makes a score not one of its."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mentallama.collect.summary import CollectSummary, HeldOut, LabelDrift, Overlap
from mentallama.errors import UsageError
from mentallama.evaluate.published.reader import PublishedScore
from mentallama.evaluate.run import score_sets, write_scores
from mentallama.evaluate.score_file import MatchedFile, ScoreFile
from mentallama.files.manifest import write_manifest
from mentallama.metrics.bootstrap import Resampling
from mentallama.reproduce.claims import ClaimFinding, load_claims
from mentallama.reproduce.inputs import ReproductionInputs, ScoredRun, open_scored_run
from mentallama.reproduce.release_data import ReleaseData
from mentallama.reproduce.trained_models import NO_RUN, check_held_out_scores, check_test_scores
from mentallama.tasks import load_tasks
from tests.factories.report_run import synthetic_rows

TASKS = load_tasks()
ROBERTA, CHAT_13B, ZERO_SHOT = "MentalRoBERTa, fine-tuned", "MentaLLaMA-chat-13B", "ChatGPT, zero-shot"
TEST_FILE = MatchedFile(file="test_data/test_instruction/dreaddit.csv", rows=414, aligned_by="rows")
CLAIMS = {claim.check: claim for claim in load_claims()}


def write_run(folder: Path, posts: int = 414, base: str | None = None, **changes: Any) -> Path:
    """A folder with scores of dreaddit; with a base, also the manifest of a training."""
    how = Resampling(resamples=50)
    rows = {"dreaddit": synthetic_rows(TASKS["dreaddit"], posts)}
    fields: dict[str, Any] = {"matched_files": {"dreaddit": TEST_FILE}, **changes}
    scores = ScoreFile(
        form="instruction", source={"kind": "predictions", "model": "m"}, resampling=how,
        sets=score_sets(rows, TASKS, how), missing=(), missing_reasons={}, **fields,
    )  # fmt: skip
    (folder / "evaluate").mkdir(parents=True)
    write_scores(folder / "evaluate", scores, rows)
    if base is not None:
        (folder / "train").mkdir()
        write_manifest(
            folder / "train", "train", {"settings": {"seed": 7, "train": {"base": base}}}, (), {}, 0
        )
    return folder


def findings(check: str, data: Path, *runs: ScoredRun) -> dict[str, ClaimFinding]:
    (data / "sources").mkdir(exist_ok=True)
    function = {"test_scores": check_test_scores, "held_out_scores": check_held_out_scores}[check]
    found = function(CLAIMS[check], ReproductionInputs(ReleaseData(data, TASKS), runs))
    return {finding.subject: finding for finding in found}


@pytest.mark.parametrize(
    ("base", "model"),
    [
        ("mental/mental-roberta-base", ROBERTA),
        ("/models/Llama-2-13b-chat-hf", CHAT_13B),
        ("gpt2", None),
        (None, None),
    ],
)
def test_the_model_of_a_run_is_told_by_its_base(base: str | None, model: str | None, tmp_path: Path) -> None:
    run = open_scored_run(str(write_run(tmp_path / "run", base=base)), TASKS)
    assert (run.model, run.seed) == (model, None if base is None else 7)


def test_a_score_is_compared_with_that_of_the_same_model_in_table_2(tmp_path: Path) -> None:
    run = open_scored_run(str(write_run(tmp_path / "run", base="mental-roberta-base")), TASKS)
    assert run.artifacts.scores is not None
    scores = run.artifacts.scores.sets["dreaddit"]
    found = findings("test_scores", tmp_path, run)
    score = found[f"dreaddit, {ROBERTA}"]
    assert (score.published, score.ours, score.interval) == (
        81.76, round(scores.weighted_f1, 2), scores.weighted_f1_interval,
    )  # fmt: skip
    low, high = scores.weighted_f1_interval or (0, 0)
    assert score.verdict == ("reproduced" if low <= 81.76 <= high else "differs")
    assert score.cause == "one training, seed 7"
    assert (found[CHAT_13B].verdict, found[CHAT_13B].cause) == ("not possible", NO_RUN)


def test_fewer_rows_are_a_cause_and_other_rows_make_it_impossible(tmp_path: Path) -> None:
    half = open_scored_run(f"{CHAT_13B}={write_run(tmp_path / 'half', posts=200)}", TASKS)
    assert findings("test_scores", tmp_path, half)[f"dreaddit, {CHAT_13B}"].cause == "200 rows instead of 414"
    for name, changes, reason in (
        ("synthetic", {"synthetic_rows": {"dreaddit": 3}}, "synthetic posts"),
        ("unknown", {"matched_files": {}}, "it is not known where its test posts are from"),
        (
            "expert",
            {"matched_files": {"dreaddit": TEST_FILE.model_copy(update={"file": "human_evaluation/x.csv"})}},
            "the outputs answer the experts' file",
        ),
    ):
        run = open_scored_run(f"{CHAT_13B}={write_run(tmp_path / name, **changes)}", TASKS)
        finding = findings("test_scores", tmp_path, run)[f"dreaddit, {CHAT_13B}"]
        assert (finding.verdict, finding.ours, finding.cause) == ("not possible", None, reason)


def test_reader_leaks_drift_and_seed_are_said_as_causes(tmp_path: Path) -> None:
    reader = PublishedScore(
        weighted_f1=70.5,
        accuracy=70.0,
        reason=None,
        n_references=414,
        n_outputs=414,
        n_defaulted=9,
        n_differences=9,
    )
    folder = write_run(tmp_path / "run", base="mental-roberta-base", as_published={"dreaddit": reader})
    run = open_scored_run(str(folder), TASKS)
    overlap = Overlap(
        test_sets=("dreaddit",), train_sets=("dreaddit", "Irf"), test_posts=(414,),
        before_guard=((5, 5),), after_guard=((0, 2),),
    )  # fmt: skip
    drift = (LabelDrift(set="dreaddit", question="stress", rows=400, differ=3, share=0.0075),)
    known = replace(run, artifacts=replace(run.artifacts, overlap=overlap, drift=drift))
    assert findings("test_scores", tmp_path, known)[f"dreaddit, {ROBERTA}"].cause == (
        "the published reader gives 70.50; 2 test posts in training data of Irf; "
        "labels of 3 of 400 published rows differ upstream; one training, seed 7"
    )


def test_held_out_sets_are_compared_with_table_3_alone(tmp_path: Path) -> None:
    run = open_scored_run(str(write_run(tmp_path / "run", base="Llama-2-13b-chat-hf")), TASKS)
    unseen = CollectSummary(held_out=HeldOut(sets=("dreaddit",), verified=True))
    held = replace(run, artifacts=replace(run.artifacts, collect_summary=unseen))
    subject = f"dreaddit, {CHAT_13B}"
    assert subject in findings("test_scores", tmp_path, run)
    assert subject not in findings("held_out_scores", tmp_path, run)
    assert subject not in findings("test_scores", tmp_path, held)
    assert findings("held_out_scores", tmp_path, held)[subject].published == 71.98


def test_a_model_that_was_not_trained_needs_no_held_out_sets(tmp_path: Path) -> None:
    run = open_scored_run(f"{ZERO_SHOT}={write_run(tmp_path / 'run')}", TASKS)
    assert findings("held_out_scores", tmp_path, run)[f"dreaddit, {ZERO_SHOT}"].published == 71.79


def test_a_run_of_another_model_is_said_to_be_none_of_the_paper_s(tmp_path: Path) -> None:
    run = open_scored_run(str(write_run(tmp_path / "mine", base="gpt2")), TASKS)
    assert "give it as MODEL=DIR" in findings("test_scores", tmp_path, run)["mine"].cause


def test_wrong_runs_are_refused_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere: there is no such folder"):
        open_scored_run("nowhere", TASKS)
    with pytest.raises(UsageError, match="there are no scores in this folder"):
        open_scored_run(str(tmp_path), TASKS)
    with pytest.raises(
        UsageError, match=r"'MentaLLaMA-chat-14B' is no model .*did you mean \"MentaLLaMA-chat-13B\"\?"
    ):
        open_scored_run(f"MentaLLaMA-chat-14B={tmp_path}", TASKS)
