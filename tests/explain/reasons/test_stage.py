"""Bound reasons as a part of the stage: from a run's own evidence, counted, kept from remote models, and erased."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mentallama.answers.format import write_answer
from mentallama.config import Recipe, read_recipe
from mentallama.erasure.erase import erase
from mentallama.errors import UsageError
from mentallama.explain.reasons.dialogue import BoundReason
from mentallama.explain.results import EvidenceRow
from mentallama.files.manifest import read_manifest
from mentallama.files.record_files import read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Post
from mentallama.run_files import EVIDENCE_PATH, POSTS_PATH, REASONS_LEDGER_PATH, REASONS_PATH
from tests.factories.ledgers import all_completions
from tests.factories.project import ROOT

FAST = (
    *("train.C=[1.0]", "train.topics=[0]", "train.intercept_shifts=[false]", "jobs=1", "sets=[DR]"),
    *(f"data={ROOT / 'sample'}", "explain.max_posts_per_set=6", "explain.resamples=100"),
)


def recipe(*changes: str) -> Recipe:
    return read_recipe(ROOT / "recipes/sample-linear.yaml", (*FAST, *changes))


@pytest.fixture(scope="module")
def evidence_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_recipe(recipe(), folder, lambda _: None, until="explain")
    return folder


def script_for(folder: Path, path: Path) -> dict[str, str]:
    """Write a script that gives one answer a reason from its strongest passage, and all others one that quotes nothing.

    Returns the label of each answer that has evidence for it, by example id.
    """
    texts = {post.id: post.text for post in read_records(folder / POSTS_PATH, Post)}
    rows = [row for row in read_records(folder / EVIDENCE_PATH, EvidenceRow) if row.method != "random"]
    labels, lines = {}, []
    for row in rows:
        span = max(
            (span for span in row.spans if (span.weight or 0) > 0), key=lambda s: s.weight or 0, default=None
        )
        if span is None:
            continue
        labels[row.example_id] = row.label
        passage = texts[row.post_id][span.start : span.end]
        if not lines:
            reply = write_answer("DR", None, row.label, f"The writer says “{passage}”.")
            lines.append({"contains": [f"1. “{passage}”"], "reply": reply})
    lines.append({"contains": [], "reply": write_answer("DR", None, "yes", "The words are sad.")})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return labels


def test_the_answers_of_a_run_get_reasons_bound_to_their_evidence(evidence_run: Path, tmp_path: Path) -> None:
    script = tmp_path / "replies.jsonl"
    labels = script_for(evidence_run, script)
    bound = recipe("explain.text=bound", f"explain.bound=scripted:{script}")
    lines: list[str] = []
    run_recipe(bound, evidence_run, lines.append, until="explain")
    reasons = list(read_records(evidence_run / REASONS_PATH, BoundReason))
    status = {reason.example_id: reason.status for reason in reasons}
    assert len(reasons) == 6
    assert {name for name, found in status.items() if found == "no evidence"} == set(status) - set(labels)
    (accepted,) = [reason for reason in reasons if reason.status == "accepted"]
    assert accepted.text is not None
    assert accepted.text.startswith(write_answer("DR", None, accepted.label, "").removesuffix(" Reasoning:"))
    assert all(reason.attempts == 3 for reason in reasons if reason.status == "rejected")
    manifest = read_manifest(evidence_run / "explain")
    assert manifest is not None
    assert manifest.counts["reasons"]["accepted"] == 1
    note = next(line for line in lines if "without a bound reason" in line)
    assert note.startswith("note: explain: 5 answers of 6 without a bound reason (")
    assert "no quotation" in note
    # one request for the accepted one, three for each rejected one
    with Ledger(evidence_run / REASONS_LEDGER_PATH) as ledger:
        assert len(all_completions(ledger)) == 1 + 3 * (len(labels) - 1)
    run_recipe(bound, evidence_run, lines.append, until="explain")
    assert "explain: up to date" in lines
    erase(evidence_run, accepted.post_id)
    left = list(read_records(evidence_run / REASONS_PATH, BoundReason))
    assert left == [reason for reason in reasons if reason.post_id != accepted.post_id]
    with Ledger(evidence_run / REASONS_LEDGER_PATH) as ledger:
        assert len(all_completions(ledger)) == 3 * (len(labels) - 1)


def test_faults_are_found_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_WRITER_KEY", raising=False)
    remote = '{"spec": "remote:m@http://127.0.0.1:8000/v1", "key_env_var": "MY_WRITER_KEY"}'
    for writer, part in (
        ("scripted:gone.jsonl", "there is no file gone.jsonl"),
        (f"causal:{tmp_path / 'gone'}", "there is no model folder"),
        (remote, "the environment variable MY_WRITER_KEY is not set"),
    ):
        with pytest.raises(UsageError, match=f"explain.bound: .*{part}"):
            run_recipe(
                recipe("explain.text=bound", f"explain.bound={writer}"), tmp_path / "run", lambda _: None
            )
    assert not (tmp_path / "run").exists()


def test_evidence_of_posts_under_an_agreement_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the sample's posts, taken for real ones
    monkeypatch.setattr("mentallama.collect.clean_inputs.synthetic_post_hashes", frozenset)
    bound = recipe("explain.text=bound", "explain.bound=remote:m@http://127.0.0.1:9/v1")
    with pytest.raises(
        UsageError, match=r"posts of DR were given under an agreement.*explain\.bound\.allow_remote"
    ):
        run_recipe(bound, tmp_path / "run", lambda _: None, until="explain")
