"""Scores of trained models against Tables 2 and 3 of the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mentallama.errors import counted
from mentallama.evaluate.published.paper_results import ModelScores, load_paper_results
from mentallama.report.comparability import is_synthetic, other_number_of_rows, reasons_against_paper
from mentallama.report.sections.results import held_out_sets
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs, ScoredRun

NO_RUN = "no run of this model was given (--runs)"
UNKNOWN_MODEL = (
    "the run's base is none of the paper's; if it is a run of one of its models, give it as MODEL=DIR"
)


def check_test_scores(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Scores on the sets that a run did not hold out, and the runs whose model is not one of the paper's."""
    yield from _check(claim, inputs, load_paper_results().test, held_out=False)
    for run in inputs.runs:
        if run.model is None:
            yield not_possible(claim, run.folder.name, UNKNOWN_MODEL)


def check_held_out_scores(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Scores on the sets that a run held out, or of models that were not trained at all."""
    return _check(claim, inputs, load_paper_results().held_out, held_out=True)


def _check(
    claim: PaperClaim, inputs: ReproductionInputs, models: Sequence[ModelScores], *, held_out: bool
) -> Iterator[ClaimFinding]:
    for model in models:
        found = [
            finding
            for run in inputs.runs
            if run.model == model.name
            for finding in _run_findings(claim, run, model, held_out)
        ]
        yield from found or [not_possible(claim, model.name, NO_RUN)]


def _run_findings(
    claim: PaperClaim, run: ScoredRun, model: ModelScores, held_out: bool
) -> Iterator[ClaimFinding]:
    scores = run.artifacts.scores
    assert scores is not None
    for name, published in model.weighted_f1.items():
        if name in scores.sets and _is_unseen(run, name) in {held_out, None}:
            subject = f"{name}, {model.name}"
            fewer = other_number_of_rows(run.artifacts, name)
            reasons = [reason for reason in _reasons(run, name) if reason != fewer]
            if reasons:
                yield not_possible(claim, subject, "; ".join(reasons), published=published)
                continue
            of_set = scores.sets[name]
            yield judge(
                claim,
                subject,
                round(of_set.weighted_f1, 2),
                published=published,
                interval=of_set.weighted_f1_interval,
                cause="; ".join(filter(None, (fewer, *_gap_causes(run, name)))),
            )


def _gap_causes(run: ScoredRun, name: str) -> Iterator[str]:
    """Possible causes of a difference from the published score: reader, leaks, drift of labels, and seed."""
    artifacts = run.artifacts
    assert artifacts.scores is not None
    as_published = (artifacts.scores.as_published or {}).get(name)
    if as_published is not None and as_published.weighted_f1 is not None:
        yield f"the published reader gives {as_published.weighted_f1:.2f}"
    overlap = artifacts.overlap
    if overlap is not None and overlap.after_guard is not None and name in overlap.test_sets:
        counts = overlap.after_guard[overlap.test_sets.index(name)]
        for other, posts in zip(overlap.train_sets, counts, strict=True):
            if posts:
                yield f"{counted(posts, 'test post')} in training data of {other}"
    drift = [item for item in artifacts.drift or () if item.set == name]
    if differ := sum(item.differ for item in drift):
        yield f"labels of {differ:,} of {sum(item.rows for item in drift):,} published rows differ upstream"
    if run.seed is not None:
        yield f"one training, seed {run.seed}"


def _is_unseen(run: ScoredRun, name: str) -> bool | None:
    """Whether a set was held out of the run's training; None where the run has trained nothing."""
    if "train" not in run.artifacts.manifests:
        return None
    return name in held_out_sets(run.artifacts)


def _reasons(run: ScoredRun, name: str) -> Iterator[str]:
    """Why the score is not one on rows of the published test file."""
    artifacts = run.artifacts
    assert artifacts.scores is not None
    if is_synthetic(artifacts, name):
        yield "synthetic posts"
    matched = artifacts.scores.matched_files.get(name)
    if matched is not None and not matched.file.startswith("test_data"):
        yield "the outputs answer the experts' file"
    yield from reasons_against_paper(artifacts, name)
