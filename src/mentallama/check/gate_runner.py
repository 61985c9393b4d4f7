"""All responses of a run, read and judged by every gate of the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from pathlib import Path

from mentallama.analysts.registry import open_label_reader
from mentallama.check.gates.label_consistency import (
    ExplanationPrediction,
    check_label_consistency,
    label_consistency_report,
    predict_from_explanations,
)
from mentallama.check.gates.label_match import check_label_match
from mentallama.check.gates.quote_grounding import find_in_other_posts
from mentallama.check.gates.reference_overlap import (
    check_reference_overlap,
    collect_references,
    overlap_report,
    score_overlap,
)
from mentallama.check.gates.repeated_explanation import count_other_posts, repeated_explanation_verdict
from mentallama.check.gates.trained_reader import predict_with_label_reader
from mentallama.check.human_review.disagreements import Decisions
from mentallama.check.judge import (
    GateResult,
    JudgedResponse,
    dump_tasks,
    gate_result,
    judge_batch,
    with_other_post_quotes,
)
from mentallama.check.output.gate_report_schema import GateReportRow
from mentallama.check.response_join import expert_rows, join_responses, read_response_rows
from mentallama.check.response_row import ResponseRow
from mentallama.config import Check, Recipe
from mentallama.files.record_files import open_jsonl, read_records
from mentallama.parallel import batched, map_batches
from mentallama.progress import progress_bar
from mentallama.records import Post, Verdict
from mentallama.tasks import Task

JOIN_BATCH_SIZE = 256


@dataclass(frozen=True)
class CheckInputs:
    """Files that check reads. `goldens` are the release's responses where teachers wrote others; `release` is the
    published release, for its expert-written part."""

    posts: Path
    responses: Path
    references: Path | None = None
    release: Path | None = None


@dataclass
class GateRun:
    """Rows in the order of the responses, and of each row what every gate found and where its quotations stand."""

    rows: list[ResponseRow]
    results: list[dict[str, GateResult]]
    quote_lines: list[str]
    label_consistency: tuple[GateReportRow, ...] = ()
    reference_overlap: tuple[GateReportRow, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def parsed_indices(self) -> list[int]:
        """Places of the rows that gates can judge."""
        return [at for at, row in enumerate(self.rows) if row.reading.status == "parsed"]


def run_gates(inputs: CheckInputs, recipe: Recipe, decisions: Decisions, scratch_dir: Path) -> GateRun:
    """Read and judge every response.

    Parameters
    ----------
    decisions
        What people have decided about disagreements.
    work
        A folder for what does not fit into memory.
    """
    settings, tasks = recipe.check, recipe.catalogue()
    assert settings is not None
    assessed = _run_row_gates(inputs, recipe, tasks, settings)
    with progress_bar("check: compare", None):
        for verdicts in _run_corpus_gates(inputs, assessed, settings, tasks, decisions, scratch_dir):
            for at, verdict in zip(assessed.parsed_indices, verdicts, strict=True):
                assessed.results[at][verdict.gate] = gate_result(verdict)
    return assessed


def _run_row_gates(
    inputs: CheckInputs, recipe: Recipe, tasks: Mapping[str, Task], settings: Check
) -> GateRun:
    """Gates that look at one row, on several processes."""
    work = partial(judge_batch, tasks_json=dump_tasks(tasks), settings=settings)
    stream = batched(join_responses(inputs.posts, inputs.responses, tasks, recipe.form), JOIN_BATCH_SIZE)
    ours, theirs = tee(stream)
    rows: list[ResponseRow] = []
    judged: list[JudgedResponse] = []
    with progress_bar("check: judge", _count_lines(inputs.responses)) as advance:
        for batch, found in zip(ours, map_batches(work, theirs, recipe.jobs), strict=True):
            rows += (
                ResponseRow(post, tasks[post.set], example, response, each.reading, each.quotes)
                for (post, example, response), each in zip(batch, found, strict=True)
            )
            judged += found
            advance(len(batch))
    _mark_other_post_quotes(inputs.posts, rows, judged, settings)
    return GateRun(rows, [each.results for each in judged], [each.quote_line for each in judged])


def _mark_other_post_quotes(
    posts: Path, rows: Sequence[ResponseRow], judged: list[JudgedResponse], settings: Check
) -> None:
    """Tell quotations from other posts apart from those that stand in none."""
    borrowed = find_in_other_posts(
        (quote for each in judged for quote in each.missing_quotes), read_records(posts, Post)
    )
    for at, (row, each) in enumerate(zip(rows, judged, strict=True)):
        judged[at] = with_other_post_quotes(row, each, borrowed, settings.max_ungrounded_quotes)


def _run_corpus_gates(
    inputs: CheckInputs,
    assessed: GateRun,
    settings: Check,
    tasks: Mapping[str, Task],
    decisions: Decisions,
    work: Path,
) -> Iterator[Iterable[Verdict]]:
    """Gates that look at all rows at once, or at what people and references say of them."""
    rows = [assessed.rows[at] for at in assessed.parsed_indices]
    experts = list(_parsed_expert_rows(inputs, tasks))
    if settings.label_match:
        yield (check_label_match(row, decisions) for row in rows)
    if settings.min_label_consistency is not None:
        backs = _predict_labels([*rows, *experts], settings, assessed)
        own, theirs = backs[: len(rows)], backs[len(rows) :]
        told = [*label_consistency_report(rows, own), *label_consistency_report(experts, theirs, "expert")]
        assessed.label_consistency = tuple(told)
        yield check_label_consistency(rows, settings.min_label_consistency, own)
    if settings.max_explanation_similarity is not None:
        copies = count_other_posts(rows, settings.max_explanation_similarity, work).tolist()
        yield (repeated_explanation_verdict(row, count) for row, count in zip(rows, copies, strict=True))
    references = collect_references(_reference_rows(inputs, tasks, rows)) | collect_references(experts)
    if references or settings.min_chrf is not None:
        measured = score_overlap(rows, references)
        assessed.reference_overlap = tuple(overlap_report(rows, measured))
        yield check_reference_overlap(rows, measured, settings.min_chrf)


def _predict_labels(
    rows: Sequence[ResponseRow], settings: Check, assessed: GateRun
) -> list[ExplanationPrediction]:
    """What each explanation alone says, by the trained reader where there is one and it may judge."""
    backs = predict_from_explanations(rows)
    if settings.label_reader is None:
        return backs
    reader = open_label_reader(settings.label_reader)
    trained = predict_with_label_reader(rows, reader)
    assessed.notes.append(
        f"{reader.name} read {len(trained)} of {len(rows)} explanations; it has not seen their posts. The others were "
        "read by the embedded reader."
    )
    return [trained.get(at, back) for at, back in enumerate(backs)]


def _reference_rows(
    inputs: CheckInputs, tasks: Mapping[str, Task], rows: Sequence[ResponseRow]
) -> Iterator[ResponseRow]:
    if inputs.references is not None and rows:
        yield from read_response_rows(inputs.posts, inputs.references, tasks, rows[0].example.form)


def _parsed_expert_rows(inputs: CheckInputs, tasks: Mapping[str, Task]) -> Iterator[ResponseRow]:
    if inputs.release is not None:
        yield from (row for row in expert_rows(inputs.release, tasks) if row.reading.status == "parsed")


def _count_lines(path: Path) -> int:
    with open_jsonl(path, "r") as lines:
        return sum(1 for _ in lines)
