"""Check: gates decide which responses are fit to train on, and say why.

    mentallama check recipes/sample-build.yaml

Reads posts, and the responses of `teach` or, without it, those of the release. Writes
  instructions.jsonl.zst   the accepted examples with label and answer, in the recipe's form
  data/                    the same in both forms as JSON Lines and Parquet, by split
  release/                 the same in the layout of the published files
  README.md                the dataset card
  verdicts.jsonl.zst       what every gate found of every response
  quotes.jsonl.zst         where the quotations of every explanation stand in its post
  dropped.jsonl            which responses were dropped by which gates, without text
  gates.json, gates.md     the gate report
  summary.json             counts
Beside the stage's folder, in `review/`, stand the files that people write in; a run carries over what they wrote.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from mentallama.check.gate_runner import CheckInputs, GateRun, run_gates
from mentallama.check.human_review.review_folder import (
    HumanInputs,
    read_human_inputs,
    update_disagreements,
    update_rating_sample,
)
from mentallama.check.judge import PARSED_GATE
from mentallama.check.output.dataset import AcceptedResponse, dataset_writer
from mentallama.check.output.dataset_card import dataset_card_path, render_dataset_card
from mentallama.check.output.gate_report import render_gate_report
from mentallama.check.output.gate_report_schema import GateCounts, GateReport
from mentallama.check.output.origin import read_stage_summaries
from mentallama.check.output.statistics import SelectionCounts
from mentallama.check.response_row import ResponseRow
from mentallama.check.selection import Selection, select_responses
from mentallama.config import GATE_NAMES, Check, Recipe
from mentallama.files.record_files import has_pyarrow, read_records, record_writer, write_json, write_text
from mentallama.records import Post
from mentallama.run_files import (
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

NO_PARQUET_NOTE = (
    "Parquet files are left out, for pyarrow is not installed: pip install 'mentallama[parquet]'."
)
NO_RESPONSES_NOTE = (
    "There is no response to judge: no teacher wrote any, and no release with answers is in the data folder."
)
LABEL_GIVEN_NOTE = (
    "The teacher was told the label and asked for the explanation only, so that correctness says whether it kept to "
    "the label, not whether it would have found it."
)


def run(recipe: Recipe, folder: Path, out: Path) -> dict[str, object]:
    """Check a run's responses into `out`; returns the summary that is also written.

    Raises
    ------
    BadData
        A response has no post, or a file that people write in has a fault; what they wrote is left as it is.
    """
    settings = recipe.check
    assert settings is not None
    people = read_human_inputs(folder)
    inputs = locate_inputs(recipe, folder)
    with TemporaryDirectory(dir=out, prefix=".work-") as work:
        assessed = run_gates(inputs, recipe, people.decisions, Path(work))
    outcome = _write(
        select_responses(assessed, people.decisions, frozenset(settings.report_only)), recipe, out
    )
    gates = _gate_report(assessed, outcome, recipe, inputs, people)
    write_json(out / GATE_REPORT_FILE, gates.model_dump(mode="json"))
    write_text(out / GATE_REPORT_PAGE_FILE, render_gate_report(recipe.name, gates))
    origin = read_stage_summaries(recipe, folder)
    material = origin.dataset_card_data(
        recipe.name, gates, outcome.parquet, sorted(outcome.languages), outcome.synthetic
    )
    write_text(dataset_card_path(out), render_dataset_card(material))
    with record_writer(out / QUOTES_FILE) as write:
        for line in filter(None, assessed.quote_lines):
            write(line)
    summary = _summary(gates)
    write_json(out / SUMMARY_FILE, summary)
    return summary


def locate_inputs(recipe: Recipe, folder: Path) -> CheckInputs:
    """The files that check reads, wherever they are to be found."""
    release = recipe.data / "release"
    goldens = folder / RELEASE_RESPONSES_PATH
    return CheckInputs(
        posts=folder / POSTS_PATH,
        responses=goldens if recipe.teach is None else folder / TEACH_RESPONSES_PATH,
        references=None if recipe.teach is None else goldens,
        release=release if release.is_dir() else None,
    )


@dataclass
class _WrittenRows:
    """What was found while the accepted rows were written. `made_up` counts, by set, those about made-up posts."""

    counts: SelectionCounts
    parquet: bool
    accepted: list[ResponseRow] = field(default_factory=list)
    languages: set[str] = field(default_factory=set)
    synthetic: Counter[str] = field(default_factory=Counter)

    def add(self, accepted: AcceptedResponse) -> None:
        row = accepted.row
        self.accepted.append(row)
        self.languages.add(row.post.language or row.task.language)
        self.synthetic[row.task.set] += row.post.provenance.synthetic


def _write(selections: Iterator[Selection], recipe: Recipe, out: Path) -> _WrittenRows:
    """Write every verdict, every dropped row without its text, and the accepted rows."""
    outcome = _WrittenRows(SelectionCounts(recipe.catalogue()), has_pyarrow())
    with (
        record_writer(out / VERDICTS_FILE) as write_verdict,
        record_writer(out / DROPPED_FILE) as write_dropped,
        dataset_writer(out, recipe.form, outcome.parquet) as accept,
    ):
        for fate in selections:
            outcome.counts.add(fate)
            for verdict in fate.verdicts:
                write_verdict(verdict)
            if fate.drop_reasons:
                write_dropped(fate.dropped_record())
            if fate.accepted_label is not None:
                accepted = AcceptedResponse(fate.row, fate.accepted_label)
                accept(accepted)
                outcome.add(accepted)
    return outcome


def _gate_report(
    assessed: GateRun, outcome: _WrittenRows, recipe: Recipe, inputs: CheckInputs, people: HumanInputs
) -> GateReport:
    settings, tally = recipe.check, outcome.counts
    assert settings is not None
    off = settings.disabled_gates()
    ran = [
        PARSED_GATE,
        *(
            name
            for name in GATE_NAMES
            if name not in off and not _has_no_references(name, settings, assessed)
        ),
    ]
    return GateReport(
        responses=tally.responses,
        accepted=tally.accepted,
        unanswered=_count_unanswered(inputs.posts, recipe, assessed.rows),
        gates=tuple(_gate_counts(name, settings, tally) for name in ran),
        disabled=tuple(off),
        teachers=tally.teachers(),
        accepted_by_label=tally.accepted_by_label(),
        failed_by_label=tally.failed_by_label(ran),
        unusable_answers=tally.unusable_answers(),
        consistency=assessed.label_consistency,
        quality=assessed.reference_overlap,
        disagreements=update_disagreements(people, assessed.rows) if settings.label_match else {},
        rating_sample=update_rating_sample(people, outcome.accepted, settings, recipe.seed),
        notes=(*_notes(recipe, outcome), *assessed.notes),
    )


def _has_no_references(name: str, settings: Check, assessed: GateRun) -> bool:
    """Whether chrF has neither a bound nor anything to compare with."""
    return name == "reference_overlap" and settings.min_chrf is None and not assessed.reference_overlap


def _gate_counts(name: str, settings: Check, tally: SelectionCounts) -> GateCounts:
    threshold = None if name == PARSED_GATE else settings.threshold(name)
    drops = name not in settings.report_only and not (name == "reference_overlap" and threshold is None)
    return GateCounts(
        gate=name, threshold=threshold, drops=drops, note=tally.not_judged_note(name), **tally.counts(name)
    )


def _count_unanswered(posts: Path, recipe: Recipe, rows: list[ResponseRow]) -> int:
    """Labelled questions of the splits that were asked about, without a response."""
    splits = None if recipe.teach is None else recipe.teach.splits
    asked = sum(
        len(post.labels) for post in read_records(posts, Post) if splits is None or post.split in splits
    )
    return max(0, asked - len({row.example.id for row in rows if row.example.label is not None}))


def _notes(recipe: Recipe, outcome: _WrittenRows) -> Iterator[str]:
    if not outcome.counts.responses:
        yield NO_RESPONSES_NOTE
    if not outcome.parquet:
        yield NO_PARQUET_NOTE
    if recipe.teach is not None and recipe.teach.prompt == "label-given":
        yield LABEL_GIVEN_NOTE


def _summary(gates: GateReport) -> dict[str, object]:
    return {
        "responses": gates.responses,
        "accepted": gates.accepted,
        "unanswered": gates.unanswered,
        "failed": {each.gate: each.failed for each in gates.gates},
        "undecided": gates.disagreements.get("undecided"),
        "rating_sample": gates.rating_sample.get("result"),
        "notes": list(gates.notes),
    }
