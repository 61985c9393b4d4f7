"""Check every claim against the files at hand, and write the ledger.

    mentallama reproduce --data DIR [--runs [MODEL=]RUN …] [--out DIR]

Reads the published release and the sets' own files. Writes
  claims.json    every claim with its findings
  claims.md      the same as a page
  manifest.json  which files of the folder the command wrote, and may replace
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from mentallama.evaluate.published.paper_results import load_paper_results
from mentallama.files.atomic import write_json, write_text
from mentallama.files.markdown import EMPTY_CELL, escape_markdown, markdown_table
from mentallama.files.ownership import claim_files, make_output_folder, record_claimed_files
from mentallama.records import Record
from mentallama.reproduce.claims import VERDICTS, ClaimFinding, PaperClaim, load_claims
from mentallama.reproduce.explanation_labels import check_explanation_labels
from mentallama.reproduce.human_ratings import check_rated_by_the_paper, check_rated_files
from mentallama.reproduce.inputs import ClaimCheck, ReproductionInputs
from mentallama.reproduce.label_agreement import check_label_drift, check_teacher_agreement
from mentallama.reproduce.linear_yardstick import check_linear_scores
from mentallama.reproduce.post_copies import check_copies_in_training
from mentallama.reproduce.published_reader import check_unreadable_outputs, check_unreadable_references
from mentallama.reproduce.set_sizes import check_set_rows, check_total_rows
from mentallama.reproduce.trained_models import check_held_out_scores, check_test_scores
from mentallama.run_files import CLAIMS_FILE, CLAIMS_PAGE_FILE
from mentallama.safety import NOTICE

REPRODUCE_COMMAND = "reproduce"

CHECKS: Mapping[str, ClaimCheck] = {
    "set_rows": check_set_rows,
    "total_rows": check_total_rows,
    "teacher_agreement": check_teacher_agreement,
    "label_drift": check_label_drift,
    "explanation_labels": check_explanation_labels,
    "rated_by_the_paper": check_rated_by_the_paper,
    "rated_files": check_rated_files,
    "copies_in_training": check_copies_in_training,
    "unreadable_outputs": check_unreadable_outputs,
    "unreadable_references": check_unreadable_references,
    "test_scores": check_test_scores,
    "held_out_scores": check_held_out_scores,
    "linear_scores": check_linear_scores,
}
"""Name in `claims.yaml` -> the function that checks such a claim."""


class ClaimLedger(Record):
    """`claims.json`: claims in order, and the findings of each by its id."""

    paper: str
    claims: tuple[PaperClaim, ...]
    findings: dict[str, tuple[ClaimFinding, ...]]

    def counts(self) -> dict[str, int]:
        """Number of findings by verdict."""
        counts = Counter(finding.verdict for of_claim in self.findings.values() for finding in of_claim)
        return {verdict: counts[verdict] for verdict in VERDICTS}


def check_claims(inputs: ReproductionInputs, claims: Sequence[PaperClaim] | None = None) -> ClaimLedger:
    """Check claims in their order; None: all of `claims.yaml`.

    Raises
    ------
    DataError
        A file of the data is damaged.
    """
    claims = load_claims() if claims is None else claims
    findings = {claim.id: tuple(CHECKS[claim.check](claim, inputs)) for claim in claims}
    return ClaimLedger(paper=load_paper_results().source, claims=tuple(claims), findings=findings)


def write_ledger(inputs: ReproductionInputs, out: Path) -> ClaimLedger:
    """Check all claims and write both files.

    Raises
    ------
    UsageError
        The folder holds a file of such a name that this command did not write.
    MentallamaError
        The folder cannot be written.
    DataError
        A file of the data is damaged.
    """
    make_output_folder(out)
    written = (CLAIMS_FILE, CLAIMS_PAGE_FILE)
    claim_files(out, REPRODUCE_COMMAND, written)
    ledger = check_claims(inputs)
    write_json(out / CLAIMS_FILE, ledger.model_dump(mode="json"))
    write_text(out / CLAIMS_PAGE_FILE, ledger_page(ledger))
    record_claimed_files(out, REPRODUCE_COMMAND, written)
    return ledger


def ledger_page(ledger: ClaimLedger) -> str:
    """The ledger as Markdown: a section for each claim, with all its numbers."""
    counts = ", ".join(f"{number} {verdict}" for verdict, number in ledger.counts().items())
    parts = [
        "# Claims of the paper\n",
        f"> {NOTICE}\n",
        f"{ledger.paper}. {counts}. A number is reproduced if it equals ours, lies within our 95 % interval over "
        "posts, or is a lower bound that ours reaches.\n",
    ]
    for claim in ledger.claims:
        origin = claim.where if claim.source == "paper" else f"measured by this project: {claim.where}"
        parts.append(f"## {escape_markdown(claim.claim)}\n\n{escape_markdown(origin)}.\n")
        cells = (finding_cells(claim, finding) for finding in ledger.findings[claim.id])
        parts.append(markdown_table(finding_header(claim), cells))
    return "\n".join(parts)


def finding_header(claim: PaperClaim) -> tuple[str, ...]:
    """Titles of the columns of `finding_cells`; the second says whose number it is, the third in which unit."""
    published = "paper" if claim.source == "paper" else "release"
    return (claim.per, published, f"ours, {claim.unit}", "95 %", "verdict", "cause")


def finding_cells(claim: PaperClaim, finding: ClaimFinding) -> tuple[str, ...]:
    """A finding as text."""
    ends = finding.interval
    interval = EMPTY_CELL if ends is None else f"{ends[0]:.1f}–{ends[1]:.1f}"
    bound = "≥ " if claim.comparison == "at least" and finding.published is not None else ""
    numbers = (bound + _number(finding.published), _number(finding.ours), interval)
    return (finding.subject, *numbers, finding.verdict, finding.cause or EMPTY_CELL)


def _number(value: float | None) -> str:
    """A count without decimals, any other number with at most two; an empty cell for None."""
    return EMPTY_CELL if value is None else f"{value:,.2f}".rstrip("0").rstrip(".")


def causes_of(findings: Iterable[ClaimFinding]) -> Iterator[tuple[str, str, list[str]]]:
    """Verdict, cause and subjects, one line for each cause of a verdict."""
    by_cause: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding.cause:
            by_cause.setdefault((finding.verdict, finding.cause), []).append(finding.subject)
    for (verdict, cause), subjects in by_cause.items():
        yield verdict, cause, subjects
