"""Explain: evidence for a model's answers, and tests of whether the model rests on it.

    mentallama explain recipes/sample-explain.yaml

Reads posts, the predictions about them and their model. Writes `evidence.jsonl.zst`, the evidence of each method for
each answer; `faithfulness.json`, how faithful and how plausible it is by set and method; and `metrics.jsonl`, the time
that the methods took. Everything enters a journal as soon as it is computed, so the same command resumes a killed run.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mentallama.analysts.base import Analyst
from mentallama.attribution.base import Attribution, AttributionMethod
from mentallama.attribution.evidence import evidence_spans, word_contributions
from mentallama.attribution.log_odds import NoProbabilitiesError
from mentallama.errors import UsageError
from mentallama.explain.answers import AnswerSelection, ExplainedAnswer
from mentallama.explain.deletion import (
    SHARES,
    DeletionCurve,
    deletion_curves,
    matched_choices,
    top_choices,
)
from mentallama.explain.plausibility import plausibility
from mentallama.explain.results import EvidenceRow, FaithfulnessFile, MethodTiming
from mentallama.explain.summary import summarize_set
from mentallama.explain.word_ranking import FloatArray
from mentallama.files.atomic import write_json
from mentallama.files.record_files import record_writer, write_records
from mentallama.files.record_journal import RecordJournal
from mentallama.metrics.bootstrap import Resampling
from mentallama.parallel import batched
from mentallama.progress import progress_bar
from mentallama.records import Record, stable_id
from mentallama.run_files import EVIDENCE_FILE, FAITHFULNESS_FILE, METRICS_FILE
from mentallama.tasks.answer_values import without_quotations

ANSWERS_AT_A_TIME = 16
"""Answers whose variants the analyst reads in one call: 21 texts each for every method. A kill loses one such batch."""

VARIANT_WITHOUT_PROBABILITIES = "post of which a variant has no probabilities"
"""Why an answer is left out while others are explained: a remote model may refuse to answer about parts of a post."""

DIGITS = 6
"""Decimals of weights and probabilities on disk."""


class TimedEvidence(Record):
    """A line of the journal: evidence, and the seconds that its attribution took."""

    row: EvidenceRow
    seconds: float

    @property
    def key(self) -> str:
        return evidence_key(self.row.example_id, self.row.method)


def evidence_key(example_id: str, method: str) -> str:
    """The key of a line of the journal."""
    return f"{example_id} {method}"


def run(
    analyst: Analyst,
    answers: AnswerSelection,
    methods: Mapping[str, AttributionMethod],
    out: Path,
    journal: Path,
    resampling: Resampling,
) -> FaithfulnessFile:
    """Explain answers, test the evidence and write the results into `out`.

    Parameters
    ----------
    analyst
        The analyst that gave the answers.
    methods
        Methods of attribution by name; `random` must be among them.
    journal
        File of the evidence so far. The caller deletes it once `out` is complete.
    resampling
        Of the intervals; its seed is also that of the random words.

    Raises
    ------
    UsageError
        There is no answer to explain, or a method cannot explain the analyst.
    MentallamaError
        A call of the analyst failed; all evidence so far is in the journal.
    """
    if not len(answers):
        raise _nothing_to_explain(answers.skipped)
    with RecordJournal(journal, TimedEvidence, lambda line: line.key) as open_journal:
        _explain_remaining(analyst, answers, methods, open_journal, resampling.seed)
        return _write_results(analyst, answers, tuple(methods), open_journal, out, resampling)


def _nothing_to_explain(skipped: Mapping[str, int]) -> UsageError:
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(skipped.items()))
    return UsageError(
        f"explain: there is no answer to explain ({reasons or 'no predictions'}); answers need a label and its "
        "probability, which mode: answer-first gives"
    )


def _explain_remaining(
    analyst: Analyst,
    answers: AnswerSelection,
    methods: Mapping[str, AttributionMethod],
    journal: RecordJournal[TimedEvidence],
    seed: int,
) -> None:
    """Explain the answers whose evidence is not in the journal yet."""
    total = len(answers) * len(methods)
    with progress_bar("explain", total, len(journal), "explanations") as advance:
        for batch in batched(answers, ANSWERS_AT_A_TIME):
            for line in _explain_where_possible(analyst, batch, methods, journal, seed):
                journal.add(line)
                advance(1)


def _explain_where_possible(
    analyst: Analyst,
    batch: Sequence[ExplainedAnswer],
    methods: Mapping[str, AttributionMethod],
    journal: RecordJournal[TimedEvidence],
    seed: int,
) -> list[TimedEvidence]:
    """The missing evidence for a batch, without that for answers of which a variant has no probabilities."""
    try:
        return _explain_batch(analyst, batch, methods, journal, seed)
    except NoProbabilitiesError:
        if len(batch) == 1:
            return []
        return [
            line
            for answer in batch
            for line in _explain_where_possible(analyst, [answer], methods, journal, seed)
        ]


def _explain_batch(
    analyst: Analyst,
    batch: Sequence[ExplainedAnswer],
    methods: Mapping[str, AttributionMethod],
    journal: RecordJournal[TimedEvidence],
    seed: int,
) -> list[TimedEvidence]:
    """The evidence of each method that is missing in the journal; all variants are asked about in one call."""
    attributed: list[tuple[ExplainedAnswer, Attribution, float]] = []
    for name, method in methods.items():
        remaining = [answer for answer in batch if evidence_key(answer.example.id, name) not in journal]
        if remaining:
            start = time.perf_counter()
            found = method.attribute(
                [answer.example for answer in remaining], [answer.label for answer in remaining]
            )
            seconds = (time.perf_counter() - start) / len(remaining)
            attributed += [(answer, part, seconds) for answer, part in zip(remaining, found, strict=True)]
    choices = []
    for answer, attribution, _ in attributed:
        weights = _word_weights(answer, attribution)
        top = top_choices(answer.example, answer.label, answer.words, weights)
        rng = np.random.default_rng(int(stable_id(str(seed), answer.example.id, attribution.method), 16))
        choices += [top, matched_choices(top, rng)]
    curves = deletion_curves(analyst, choices)
    return [
        TimedEvidence(row=_evidence_row(answer, attribution, top, matched), seconds=seconds)
        for (answer, attribution, seconds), top, matched in zip(
            attributed, curves[::2], curves[1::2], strict=True
        )
    ]


def _evidence_row(
    answer: ExplainedAnswer, attribution: Attribution, top: DeletionCurve, matched: DeletionCurve
) -> EvidenceRow:
    example = answer.example
    spans = evidence_spans(example.text, attribution)
    return EvidenceRow(
        example_id=example.id,
        post_id=example.post_id,
        set=example.task,
        question=example.question,
        label=without_quotations(answer.label),
        method=attribution.method,
        spans=spans,
        units=attribution.units,
        weights=tuple(round(weight, DIGITS) for weight in attribution.weights),
        completeness_gap=attribution.completeness_gap,
        top=_rounded(top),
        matched=_rounded(matched),
        plausibility=plausibility(answer.words, _word_weights(answer, attribution), spans, answer.annotated),
    )


def _word_weights(answer: ExplainedAnswer, attribution: Attribution) -> FloatArray:
    """The weight of each word; a clause ranks by its mean, so that a long one does not come first for its length."""
    return word_contributions([start for start, _ in answer.words], attribution)


def _rounded(curve: DeletionCurve) -> DeletionCurve:
    return DeletionCurve(
        whole=round(curve.whole, DIGITS),
        removed=tuple(round(value, DIGITS) for value in curve.removed),
        kept=tuple(round(value, DIGITS) for value in curve.kept),
    )


def _write_results(
    analyst: Analyst,
    answers: AnswerSelection,
    methods: Sequence[str],
    journal: RecordJournal[TimedEvidence],
    out: Path,
    resampling: Resampling,
) -> FaithfulnessFile:
    # The methods are compared on the same answers.
    explained = [
        answer
        for answer in answers
        if all(evidence_key(answer.example.id, name) in journal for name in methods)
    ]
    skipped = Counter(answers.skipped)
    skipped[VARIANT_WITHOUT_PROBABILITIES] += len(answers) - len(explained)
    skipped = +skipped
    if not explained:
        raise _nothing_to_explain(skipped)
    rows: dict[str, dict[str, list[EvidenceRow]]] = defaultdict(lambda: defaultdict(list))
    seconds = dict.fromkeys(methods, 0.0)
    with record_writer(out / EVIDENCE_FILE) as write:
        for answer in explained:
            for name in methods:
                line = journal.read(evidence_key(answer.example.id, name))
                write(line.row)
                rows[answer.example.task][name].append(line.row)
                seconds[name] += line.seconds
    report = FaithfulnessFile(
        model=analyst.spec,
        seed=resampling.seed,
        methods=tuple(methods),
        shares=SHARES,
        sets={name: summarize_set(found, answers.of[name], resampling) for name, found in rows.items()},
        skipped=dict(skipped),
    )
    write_json(out / FAITHFULNESS_FILE, report.model_dump(mode="json"))
    timings = (MethodTiming(method=name, rows=len(explained), seconds=seconds[name]) for name in methods)
    write_records(out / METRICS_FILE, timings)
    return report
