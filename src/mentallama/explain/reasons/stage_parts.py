"""The parts of the explain stage that are about bound reasons."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mentallama.analysts.registry import spec_problem
from mentallama.config.explain import BoundText
from mentallama.errors import counted
from mentallama.files.record_files import read_records
from mentallama.llm_api.endpoint import unset_key_problem
from mentallama.pipeline.stage import spec_files
from mentallama.progress import log_to_stderr
from mentallama.records import Post
from mentallama.run_files import EVIDENCE_FILE, POSTS_PATH, REASONS_FILE, REASONS_LEDGER_PATH, REASONS_PATH
from mentallama.tasks import Task

if TYPE_CHECKING:
    from mentallama.explain.answers import AnswerSelection

CACHE_EXCLUDED_SETTINGS: dict[str, Any] = dict.fromkeys(
    (
        "key_env_var",
        "input_price",
        "output_price",
        "requests_per_minute",
        "tokens_per_minute",
        "max_concurrency",
        "timeout",
        "max_failed_share",
        "budget",
        "allow_remote",
    ),
    True,
)
"""Settings of the model that change no reason."""


def writer_inputs(settings: BoundText | None) -> dict[str, Path]:
    """The files of a model on this machine, or of a script with replies."""
    if settings is None or settings.kind == "remote":
        return {}
    return spec_files(settings.spec, "writer of reasons")


def writer_problems(settings: BoundText | None) -> Iterator[str]:
    """A model that does not exist, or a key that is not set."""
    if settings is None:
        return
    problem = {
        "remote": lambda: unset_key_problem(settings, os.environ),
        "causal": lambda: spec_problem(settings.spec),
        "scripted": lambda: (
            None if Path(settings.location).is_file() else f"there is no file {settings.location}"
        ),
    }[settings.kind]()
    if problem:
        yield f"explain.bound: {problem}"


def write_bound_reasons(
    settings: BoundText,
    tasks: Mapping[str, Task],
    answers: AnswerSelection,
    method: str,
    folder: Path,
    out: Path,
) -> dict[str, int]:
    """Have a reason written for each explained answer from a method's evidence in `out`; returns counts by status."""
    from mentallama.explain.reasons.run import ReasonWriter, evidenced, open_writer, write_reasons
    from mentallama.explain.results import EvidenceRow
    from mentallama.llm_api.ledger.ledger import Ledger

    by_example = {answer.example.id: answer for answer in answers}
    found = [
        evidenced(by_example[row.example_id], row, settings.top_k)
        for row in read_records(out / EVIDENCE_FILE, EvidenceRow)
        if row.method == method
    ]
    if settings.kind == "remote":
        post_ids = {each.answer.example.post_id for each in found}
        _refuse_agreements(settings, tasks, folder / POSTS_PATH, post_ids)
    with Ledger(folder / REASONS_LEDGER_PATH) as ledger:
        writer = ReasonWriter(open_writer(settings, os.environ), tasks, settings, ledger)
        return dict(write_reasons(writer, found, out / REASONS_FILE, log_to_stderr))


def _refuse_agreements(
    settings: BoundText, tasks: Mapping[str, Task], posts: Path, post_ids: set[str]
) -> None:
    """Raise `UsageError` if passages of posts under an agreement would be sent without permission."""
    from mentallama.llm_api.data_agreements import refuse_posts_under_agreement

    explained = (post for post in read_records(posts, Post) if post.id in post_ids)
    n_real = Counter(post.set for post in explained if not post.provenance.synthetic)
    refuse_posts_under_agreement(
        n_real,
        tasks,
        [settings.spec],
        settings.allow_remote,
        "choose other sets, or a model on this machine",
        option="--set explain.bound.allow_remote=[{}]",
    )


def reason_notes(folder: Path) -> Iterator[str]:
    """A line on reasons that were not accepted."""
    from mentallama.explain.reasons.dialogue import BoundReason

    path = folder / REASONS_PATH
    if not path.is_file():
        return
    reasons = list(read_records(path, BoundReason))
    counts = Counter(reason.status for reason in reasons)
    without = counts.total() - counts["accepted"]
    if without:
        faults = Counter(
            fault for reason in reasons if reason.status == "rejected" for fault in set(reason.faults)
        )
        why = ", ".join(f"{count} {status}" for status, count in counts.most_common() if status != "accepted")
        found = (
            f"; faults: {', '.join(f'{count} {kind}' for kind, count in faults.most_common())}"
            if faults
            else ""
        )
        yield f"note: explain: {counted(without, 'answer')} of {counts.total()} without a bound reason ({why}{found})"
