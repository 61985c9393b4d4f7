"""Numbers of rows: of each set and split, and their totals."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.records import SPLITS, Split
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.release_data import ReleaseData, missing_file


def check_set_rows(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Rows of every published file against the numbers in the task files."""
    data = inputs.data
    for name, split, published in _published(data):
        subject, rows = f"{name}, {split}", data.rows(name, split)
        if rows is None:
            yield not_possible(claim, subject, missing_file(split), published=published)
        else:
            fewer = "rows are missing from the file" if len(rows) < published else ""
            yield judge(claim, subject, len(rows), published=published, cause=fewer)


def check_total_rows(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Totals of the files; where a file is missing or has fewer rows, there is no total to compare."""
    data = inputs.data
    for subject in claim.values:
        splits = SPLITS if subject == "all" else (subject,)
        wanted = [(name, split, rows) for name, split, rows in _published(data) if split in splits]
        short = [
            f"{name} {split}"
            for name, split, rows in wanted
            if (found := data.rows(name, split)) is None or len(found) < rows
        ]
        if short:
            known = claim.causes.get(subject, "")
            cause = f"no or fewer rows of {len(short)} of {len(wanted)} files"
            yield not_possible(claim, subject, "; ".join(filter(None, (cause, known))))
        else:
            yield judge(claim, subject, sum(len(data.rows(name, split) or ()) for name, split, _ in wanted))


def _published(data: ReleaseData) -> Iterator[tuple[str, Split, int]]:
    """Set, split and number of published rows, of the published sets."""
    for name, task in data.tasks.items():
        if task.published_rows is not None:
            for split in SPLITS:
                yield name, split, getattr(task.published_rows, split)
