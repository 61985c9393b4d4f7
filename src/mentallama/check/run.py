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

from mentallama.check.gate_runner import Assessed, Inputs, assess
from mentallama.check.human_review.review_folder import People, ask_to_decide, ask_to_rate, read_people
from mentallama.check.judge import READ
from mentallama.check.output.dataset import Accepted, writing_accepted
from mentallama.check.output.dataset_card import card, card_path
from mentallama.check.output.gate_report import gates_page
from mentallama.check.output.gate_report_schema import NAME, GateFile, Judged
from mentallama.check.output.origin import read_origin
from mentallama.check.output.statistics import Tally
from mentallama.check.response_row import Row
from mentallama.check.selection import Fate, choose
from mentallama.config import GATES, Check, Recipe
from mentallama.files.record_files import read_records, write_json, write_text, writes_parquet, writing
from mentallama.records import Post

NO_PARQUET = "Parquet files are left out, for pyarrow is not installed: pip install 'mentallama[parquet]'."
NOTHING = (
    "There is no response to judge: no teacher wrote any, and no release with answers is in the data folder."
)
LABEL_GIVEN = (
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
    people = read_people(folder)
    inputs = inputs_of(recipe, folder)
    with TemporaryDirectory(dir=out, prefix=".work-") as work:
        assessed = assess(inputs, recipe, people.decisions, Path(work))
    outcome = _write(choose(assessed, people.decisions, frozenset(settings.report_only)), recipe, out)
    gates = _gate_file(assessed, outcome, recipe, inputs, people)
    write_json(out / NAME, gates.model_dump(mode="json"))
    write_text(out / "gates.md", gates_page(recipe.name, gates))
    origin = read_origin(recipe, folder)
    material = origin.card(recipe.name, gates, outcome.parquet, sorted(outcome.languages), outcome.made_up)
    write_text(card_path(out), card(material))
    with writing(out / "quotes.jsonl.zst") as write:
        for line in filter(None, assessed.evidence):
            write(line)
    summary = _summary(gates)
    write_json(out / "summary.json", summary)
    return summary


def inputs_of(recipe: Recipe, folder: Path) -> Inputs:
    """The files that check reads, wherever they are to be found."""
    collected, release = folder / "collect", recipe.data / "release"
    goldens = collected / "responses.jsonl.zst"
    return Inputs(
        posts=collected / "posts.jsonl.zst",
        responses=goldens if recipe.teach is None else folder / "teach" / "responses.jsonl.zst",
        goldens=None if recipe.teach is None else goldens,
        release=release if release.is_dir() else None,
    )


@dataclass
class _Outcome:
    """What was found while the accepted rows were written. `made_up` counts, by set, those about made-up posts."""

    tally: Tally
    parquet: bool
    accepted: list[Row] = field(default_factory=list)
    languages: set[str] = field(default_factory=set)
    made_up: Counter[str] = field(default_factory=Counter)

    def take(self, accepted: Accepted) -> None:
        row = accepted.row
        self.accepted.append(row)
        self.languages.add(row.post.language or row.task.language)
        self.made_up[row.task.set] += row.post.provenance.synthetic


def _write(fates: Iterator[Fate], recipe: Recipe, out: Path) -> _Outcome:
    """Write every verdict, every dropped row without its text, and the accepted rows."""
    outcome = _Outcome(Tally(recipe.catalogue()), writes_parquet())
    with (
        writing(out / "verdicts.jsonl.zst") as write_verdict,
        writing(out / "dropped.jsonl") as write_dropped,
        writing_accepted(out, recipe.form, outcome.parquet) as accept,
    ):
        for fate in fates:
            outcome.tally.add(fate)
            for verdict in fate.verdicts:
                write_verdict(verdict)
            if fate.reasons:
                write_dropped(fate.dropped())
            if fate.label is not None:
                accepted = Accepted(fate.row, fate.label)
                accept(accepted)
                outcome.take(accepted)
    return outcome


def _gate_file(
    assessed: Assessed, outcome: _Outcome, recipe: Recipe, inputs: Inputs, people: People
) -> GateFile:
    settings, tally = recipe.check, outcome.tally
    assert settings is not None
    off = settings.off()
    ran = [READ, *(name for name in GATES if name not in off and not _idle(name, settings, assessed))]
    return GateFile(
        responses=tally.responses,
        accepted=tally.accepted,
        unanswered=_unanswered(inputs.posts, recipe, assessed.rows),
        gates=tuple(_judged(name, settings, tally) for name in ran),
        off=tuple(off),
        teachers=tally.teachers(),
        kept=tally.kept(),
        dropped=tally.dropped(ran),
        unread=tally.unread(),
        consistency=assessed.consistency,
        quality=assessed.quality,
        review=ask_to_decide(people, assessed.rows) if settings.correctness else {},
        sample=ask_to_rate(people, outcome.accepted, settings, recipe.seed),
        notes=(*_notes(recipe, outcome), *assessed.notes),
    )


def _idle(name: str, settings: Check, assessed: Assessed) -> bool:
    """Whether chrF has neither a bound nor anything to compare with."""
    return name == "chrf" and settings.chrf is None and not assessed.quality


def _judged(name: str, settings: Check, tally: Tally) -> Judged:
    threshold = getattr(settings, name, None)
    drops = name not in settings.report_only and not (name == "chrf" and threshold is None)
    return Judged(gate=name, threshold=threshold, drops=drops, note=tally.note(name), **tally.counts(name))


def _unanswered(posts: Path, recipe: Recipe, rows: list[Row]) -> int:
    """Labelled questions of the splits that were asked about, without a response."""
    splits = None if recipe.teach is None else recipe.teach.splits
    asked = sum(
        len(post.labels) for post in read_records(posts, Post) if splits is None or post.split in splits
    )
    return max(0, asked - len({row.example.id for row in rows if row.example.label is not None}))


def _notes(recipe: Recipe, outcome: _Outcome) -> Iterator[str]:
    if not outcome.tally.responses:
        yield NOTHING
    if not outcome.parquet:
        yield NO_PARQUET
    if recipe.teach is not None and recipe.teach.prompt == "label-given":
        yield LABEL_GIVEN


def _summary(gates: GateFile) -> dict[str, object]:
    return {
        "responses": gates.responses,
        "accepted": gates.accepted,
        "unanswered": gates.unanswered,
        "failed": {each.gate: each.failed for each in gates.gates},
        "undecided": gates.review.get("undecided"),
        "sample": gates.sample.get("result"),
        "notes": list(gates.notes),
    }
