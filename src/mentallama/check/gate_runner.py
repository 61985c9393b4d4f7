"""All responses of a run, read and judged by every gate of the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import tee
from pathlib import Path

from mentallama.analysts.registry import open_label_reader
from mentallama.check.gates.label_consistency import ReadBack, consistency, consistency_report, read_back
from mentallama.check.gates.label_match import correctness
from mentallama.check.gates.quote_grounding import elsewhere
from mentallama.check.gates.reference_overlap import chrf, golden_references, measure, quality_report
from mentallama.check.gates.repeated_explanation import repeated, repeats
from mentallama.check.gates.trained_reader import read_trained
from mentallama.check.human_review.disagreements import Decisions
from mentallama.check.judge import Found, Judged, found_of, judge_batch, packed, with_borrowed
from mentallama.check.output.gate_report_schema import Figures
from mentallama.check.response_join import expert_rows, join, read_rows
from mentallama.check.response_row import Row
from mentallama.config import Check, Recipe
from mentallama.files.record_files import open_lines, read_records
from mentallama.parallel import batches, map_batches
from mentallama.progress import progress
from mentallama.records import Post, Verdict
from mentallama.tasks import Task

BATCH = 256


@dataclass(frozen=True)
class Inputs:
    """Files that check reads. `goldens` are the release's responses where teachers wrote others; `release` is the
    published release, for its expert-written part."""

    posts: Path
    responses: Path
    goldens: Path | None = None
    release: Path | None = None


@dataclass
class Assessed:
    """Rows in the order of the responses, and of each row what every gate found and where its quotations stand."""

    rows: list[Row]
    found: list[dict[str, Found]]
    evidence: list[str]
    consistency: tuple[Figures, ...] = ()
    quality: tuple[Figures, ...] = ()
    notes: list[str] = field(default_factory=list)

    @property
    def readable(self) -> list[int]:
        """Places of the rows that gates can judge."""
        return [at for at, row in enumerate(self.rows) if row.reading.status == "read"]


def assess(inputs: Inputs, recipe: Recipe, decisions: Decisions, work: Path) -> Assessed:
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
    assessed = _one_by_one(inputs, recipe, tasks, settings)
    with progress("check: compare", None):
        for verdicts in _together(inputs, assessed, settings, tasks, decisions, work):
            for at, verdict in zip(assessed.readable, verdicts, strict=True):
                assessed.found[at][verdict.gate] = found_of(verdict)
    return assessed


def _one_by_one(inputs: Inputs, recipe: Recipe, tasks: Mapping[str, Task], settings: Check) -> Assessed:
    """Gates that look at one row, on several processes."""
    work = partial(judge_batch, tasks=packed(tasks), settings=settings)
    stream = batches(join(inputs.posts, inputs.responses, tasks, recipe.form), BATCH)
    ours, theirs = tee(stream)
    rows: list[Row] = []
    judged: list[Judged] = []
    with progress("check: judge", _lines(inputs.responses)) as advance:
        for batch, found in zip(ours, map_batches(work, theirs, recipe.jobs), strict=True):
            rows += (
                Row(post, tasks[post.set], example, response, each.reading, each.quotes)
                for (post, example, response), each in zip(batch, found, strict=True)
            )
            judged += found
            advance(len(batch))
    _tell_borrowed(inputs.posts, rows, judged, settings)
    return Assessed(rows, [each.found for each in judged], [each.evidence for each in judged])


def _tell_borrowed(posts: Path, rows: Sequence[Row], judged: list[Judged], settings: Check) -> None:
    """Tell quotations from other posts apart from those that stand in none."""
    borrowed = elsewhere((quote for each in judged for quote in each.lost), read_records(posts, Post))
    for at, (row, each) in enumerate(zip(rows, judged, strict=True)):
        judged[at] = with_borrowed(row, each, borrowed, settings.invented)


def _together(
    inputs: Inputs,
    assessed: Assessed,
    settings: Check,
    tasks: Mapping[str, Task],
    decisions: Decisions,
    work: Path,
) -> Iterator[Iterable[Verdict]]:
    """Gates that look at all rows at once, or at what people and references say of them."""
    rows = [assessed.rows[at] for at in assessed.readable]
    experts = list(_experts(inputs, tasks))
    if settings.correctness:
        yield (correctness(row, decisions) for row in rows)
    if settings.consistency is not None:
        backs = _backs([*rows, *experts], settings, assessed)
        own, theirs = backs[: len(rows)], backs[len(rows) :]
        told = [*consistency_report(rows, own), *consistency_report(experts, theirs, "expert")]
        assessed.consistency = tuple(told)
        yield consistency(rows, settings.consistency, own)
    if settings.boilerplate is not None:
        copies = repeats(rows, settings.boilerplate, work).tolist()
        yield (repeated(row, count) for row, count in zip(rows, copies, strict=True))
    references = golden_references(_goldens(inputs, tasks, rows)) | golden_references(experts)
    if references or settings.chrf is not None:
        measured = measure(rows, references)
        assessed.quality = tuple(quality_report(rows, measured))
        yield chrf(rows, measured, settings.chrf)


def _backs(rows: Sequence[Row], settings: Check, assessed: Assessed) -> list[ReadBack]:
    """What each explanation alone says, by the trained reader where there is one and it may judge."""
    backs = read_back(rows)
    if settings.reader is None:
        return backs
    reader = open_label_reader(settings.reader)
    trained = read_trained(rows, reader)
    assessed.notes.append(
        f"{reader.name} read {len(trained)} of {len(rows)} explanations; it has not seen their posts. The others were "
        "read by the embedded reader."
    )
    return [trained.get(at, back) for at, back in enumerate(backs)]


def _goldens(inputs: Inputs, tasks: Mapping[str, Task], rows: Sequence[Row]) -> Iterator[Row]:
    if inputs.goldens is not None and rows:
        yield from read_rows(inputs.posts, inputs.goldens, tasks, rows[0].example.form)


def _experts(inputs: Inputs, tasks: Mapping[str, Task]) -> Iterator[Row]:
    if inputs.release is not None:
        yield from (row for row in expert_rows(inputs.release, tasks) if row.reading.status == "read")


def _lines(path: Path) -> int:
    with open_lines(path, "r") as lines:
        return sum(1 for _ in lines)
