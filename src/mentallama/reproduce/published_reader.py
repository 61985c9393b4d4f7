"""Texts that the published scripts cannot read: outputs become the negative class, references are dropped."""

from __future__ import annotations

from collections.abc import Iterator

from mentallama.evaluate.published.align_outputs import ESCAPE_CHARS, read_outputs
from mentallama.evaluate.published.reader import first_key_label, load_published_rules
from mentallama.metrics.bootstrap import mean_interval
from mentallama.reproduce.claims import ClaimFinding, PaperClaim, judge, not_possible
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.release_data import missing_file

EXAMPLES_FOLDER = "examples/response_generation_examples"


def check_unreadable_outputs(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Rows of the release's example outputs without any key of the published reader."""
    for name in claim.values:
        path = inputs.data.release / EXAMPLES_FOLDER / f"{name}.csv"
        if not path.is_file():
            yield not_possible(claim, name, f"{EXAMPLES_FOLDER}/SET.csv is missing")
            continue
        outputs = read_outputs(path, ESCAPE_CHARS[0])
        keys = load_published_rules()[name].output_keys
        unread = sum(first_key_label(output.text, keys) is None for output in outputs)
        yield judge(claim, name, unread, cause=f"of {len(outputs)} rows")


def check_unreadable_references(claim: PaperClaim, inputs: ReproductionInputs) -> Iterator[ClaimFinding]:
    """Share of a test file's references without any key of the published reader."""
    for name in claim.values:
        rows = inputs.data.rows(name, "test")
        if not rows:
            yield not_possible(claim, name, missing_file("test"))
            continue
        keys = load_published_rules()[name].reference_keys
        unread = [100.0 * (first_key_label(row.reference, keys) is None) for row in rows]
        yield judge(
            claim,
            name,
            round(sum(unread) / len(unread), 2),
            interval=mean_interval(unread, [row.key for row in rows], inputs.resampling),
            cause=f"{round(sum(unread) / 100):,} of {len(rows):,} rows",
        )
