"""Check: gates decide which responses are fit to train on, and give the reason for each that is not.

    mentallama check recipes/sample-build.yaml

Reads the posts, and the responses of `teach` or, in a recipe without `teach`, those of the published release. Writes
  instructions.jsonl.zst   the accepted examples with label and answer, in the recipe's form
  data/                    the same in both forms as JSON Lines and Parquet, by split
  release/                 the same in the layout of the published files
  README.md                the dataset card; LICENSE.md: its terms, if they are no single standard licence
  croissant.json           the same for machines: Croissant with the responsible-AI vocabulary
  verdicts.jsonl.zst       every gate's verdict on every response
  quotes.jsonl.zst         where the quotations of each explanation are in its post
  dropped.jsonl            which responses were dropped by which gates, without text
  gates.json, gates.md     the gate report
  summary.json             counts
The files that people fill in are beside the stage's folder, in `review/`; a new run preserves their entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from mentallama.check.gate import Gate
from mentallama.check.gate_runner import GateRun, run_gates
from mentallama.check.gates import GATES, PARSED_GATE, PARSED_PASSES_IF
from mentallama.check.human_review.review_folder import (
    HumanInputs,
    read_human_inputs,
    update_disagreements,
    update_rating_sample,
)
from mentallama.check.output.croissant import croissant_metadata, dataset_files
from mentallama.check.output.dataset import AcceptedResponse, dataset_writer
from mentallama.check.output.dataset_card import (
    DatasetCardData,
    collect_card_data,
    dataset_card_path,
    render_dataset_card,
    render_terms,
)
from mentallama.check.output.gate_report import render_gate_report
from mentallama.check.output.gate_report_schema import GateCounts, GateReport
from mentallama.check.output.statistics import SelectionCounts
from mentallama.check.response_rows import CheckInputs, ResponseRow
from mentallama.check.selection import Selection, select_responses
from mentallama.config import Check, Publication, Recipe
from mentallama.files.atomic import write_json, write_text
from mentallama.files.record_files import has_pyarrow, read_records, record_writer
from mentallama.records import Post
from mentallama.run_files import (
    CROISSANT_FILE,
    DROPPED_FILE,
    GATE_REPORT_FILE,
    GATE_REPORT_PAGE_FILE,
    POSTS_PATH,
    QUOTES_FILE,
    RELEASE_RESPONSES_PATH,
    SUMMARY_FILE,
    TEACH_RESPONSES_PATH,
    VERDICTS_FILE,
)
from mentallama.tasks.terms import TERMS_FILE
from mentallama.text.fingerprint import is_certainly_real

NO_PARQUET_NOTE = (
    "Parquet files are omitted because pyarrow, which the extra parquet brings, is not installed."
)
NO_RESPONSES_NOTE = (
    "There are no responses to judge: no teacher wrote any, and the data folder has no release with answers."
)
LABEL_GIVEN_NOTE = (
    "The prompt gave the teacher the label and asked for the explanation only. The gate label_match therefore shows "
    "whether the teacher kept to the label, not whether it would have chosen it."
)


def run(recipe: Recipe, folder: Path, out: Path, gates: Sequence[Gate] = GATES) -> dict[str, object]:
    """Check a run's responses into `out`; returns the summary that is also written.

    Raises
    ------
    DataError
        A response has no post, or a file that people fill in is malformed; that file is left unchanged.
    """
    settings = recipe.check
    assert settings is not None
    human_inputs = read_human_inputs(folder)
    inputs = locate_inputs(recipe, folder)
    with TemporaryDirectory(dir=out, prefix=".work-") as scratch_dir:
        gate_run = run_gates(inputs, recipe, human_inputs.decisions, Path(scratch_dir), gates)
    selections = select_responses(gate_run, human_inputs.decisions, frozenset(settings.report_only))
    written = _write(selections, recipe, out)
    with record_writer(out / QUOTES_FILE) as write:
        for line in filter(None, gate_run.quote_lines):
            write(line)
    descriptions = {PARSED_GATE: PARSED_PASSES_IF} | {gate.name: gate.passes_if for gate in gates}
    report = _gate_report(gate_run, written, recipe, inputs, human_inputs, descriptions)
    write_json(out / GATE_REPORT_FILE, report.model_dump(mode="json"))
    write_text(out / GATE_REPORT_PAGE_FILE, render_gate_report(recipe.name, report))
    card = collect_card_data(recipe, folder, report, written.parquet, sorted(written.languages))
    card = replace(card, synthetic=written.synthetic, real=written.real)
    _write_card(card, settings.publication, out)
    summary = _summary(report)
    write_json(out / SUMMARY_FILE, summary)
    return summary


def _write_card(card: DatasetCardData, publication: Publication, out: Path) -> None:
    """Write the dataset card with its terms, and the Croissant metadata if there are rows."""
    write_text(dataset_card_path(out), render_dataset_card(card))
    terms = render_terms(card)
    if terms is not None:
        write_text(out / TERMS_FILE, terms)
    if card.count_rows():
        write_json(out / CROISSANT_FILE, croissant_metadata(card, publication, dataset_files(out)))


def locate_inputs(recipe: Recipe, folder: Path) -> CheckInputs:
    """Paths of the files that check reads."""
    release = recipe.data / "release"
    release_responses = folder / RELEASE_RESPONSES_PATH
    return CheckInputs(
        posts=folder / POSTS_PATH,
        responses=release_responses if recipe.teach is None else folder / TEACH_RESPONSES_PATH,
        references=None if recipe.teach is None else release_responses,
        release=release if release.is_dir() else None,
    )


@dataclass
class _WrittenRows:
    """The accepted rows and counts over all rows. `synthetic` and `real` count the accepted rows about synthetic posts
    and about posts that certainly are not, by set."""

    counts: SelectionCounts
    parquet: bool
    accepted: list[ResponseRow] = field(default_factory=list)
    languages: set[str] = field(default_factory=set)
    synthetic: Counter[str] = field(default_factory=Counter)
    real: Counter[str] = field(default_factory=Counter)

    def add(self, accepted: AcceptedResponse) -> None:
        row = accepted.row
        self.accepted.append(row)
        self.languages.add(row.post.language or row.task.language)
        self.synthetic[row.task.set] += row.post.provenance.synthetic
        self.real[row.task.set] += is_certainly_real(row.post.text, row.post.provenance.synthetic)


def _write(selections: Iterator[Selection], recipe: Recipe, out: Path) -> _WrittenRows:
    """Write every verdict, every dropped row without its text, and the accepted rows."""
    written = _WrittenRows(SelectionCounts(recipe.catalogue()), has_pyarrow())
    with (
        record_writer(out / VERDICTS_FILE) as write_verdict,
        record_writer(out / DROPPED_FILE) as write_dropped,
        dataset_writer(out, recipe.form, written.parquet) as write_accepted,
    ):
        for selection in selections:
            written.counts.add(selection)
            for verdict in selection.verdicts:
                write_verdict(verdict)
            if selection.drop_reasons:
                write_dropped(selection.dropped_record())
            if selection.accepted_label is not None:
                accepted = AcceptedResponse(selection.row, selection.accepted_label)
                write_accepted(accepted)
                written.add(accepted)
    return written


def _gate_report(
    gate_run: GateRun,
    written: _WrittenRows,
    recipe: Recipe,
    inputs: CheckInputs,
    human_inputs: HumanInputs,
    descriptions: dict[str, str],
) -> GateReport:
    settings, counts = recipe.check, written.counts
    assert settings is not None
    return GateReport(
        responses=counts.responses,
        accepted=counts.accepted,
        unanswered=_count_unanswered(inputs.posts, recipe, gate_run.rows),
        gates=tuple(_gate_counts(gate, descriptions[gate], settings, counts) for gate in gate_run.gates),
        disabled=tuple(settings.disabled_gates()),
        teachers=counts.teachers(),
        accepted_by_label=counts.accepted_by_label(),
        accepted_by_part=counts.accepted_by_part(),
        failed_by_label=counts.failed_by_label(gate_run.gates),
        unusable_answers=counts.unusable_answers(),
        tables=tuple(gate_run.tables),
        disagreements=update_disagreements(human_inputs, gate_run.rows) if settings.label_match else {},
        rating_sample=update_rating_sample(human_inputs, written.accepted, settings, recipe.seed),
        notes=(*_notes(recipe, written), *gate_run.notes),
    )


def _gate_counts(gate: str, passes_if: str, settings: Check, counts: SelectionCounts) -> GateCounts:
    threshold = None if gate == PARSED_GATE else settings.threshold(gate)
    return GateCounts(
        gate=gate,
        passes_if=passes_if,
        threshold=threshold,
        drops=gate == PARSED_GATE or (threshold is not None and gate not in settings.report_only),
        note=counts.not_judged_note(gate),
        **counts.counts(gate),
    )


def _count_unanswered(posts: Path, recipe: Recipe, rows: list[ResponseRow]) -> int:
    """Number of labelled questions without a response, in the splits that teachers were asked about."""
    splits = None if recipe.teach is None else recipe.teach.splits
    n_questions = sum(
        len(post.labels) for post in read_records(posts, Post) if splits is None or post.split in splits
    )
    return max(0, n_questions - len({row.example.id for row in rows if row.example.label is not None}))


def _notes(recipe: Recipe, written: _WrittenRows) -> Iterator[str]:
    if not written.counts.responses:
        yield NO_RESPONSES_NOTE
    if not written.parquet:
        yield NO_PARQUET_NOTE
    if recipe.teach is not None and recipe.teach.prompt == "label-given":
        yield LABEL_GIVEN_NOTE


def _summary(report: GateReport) -> dict[str, object]:
    return {
        "responses": report.responses,
        "accepted": report.accepted,
        "unanswered": report.unanswered,
        "failed": {gate.gate: gate.failed for gate in report.gates},
        "undecided": report.disagreements.get("undecided"),
        "rating_sample": report.rating_sample.get("result"),
        "notes": list(report.notes),
    }
