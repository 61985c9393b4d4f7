"""Whether scores can be compared: they are about the same posts, all of them, with the same labels."""

from __future__ import annotations

from mentallama.report.run_artifacts import RunArtifacts
from mentallama.tasks import load_tasks

ORIGIN_NAMES = {"upstream": "from the set's own files", "table": "from a table of the user's"}
"""Where test posts are from that the published release did not choose."""


def is_synthetic(artifacts: RunArtifacts, name: str) -> bool:
    """Whether any scored row of a set is about a synthetic post."""
    return artifacts.scores is not None and artifacts.scores.synthetic_rows.get(name, 0) > 0


def reasons_against_paper(artifacts: RunArtifacts, name: str) -> tuple[str, ...]:
    """Why the score of a set is not a score on the published test set; () if it is."""
    assert artifacts.scores is not None
    if artifacts.published_test_rows(name) is None:
        return ("it is not a set of the paper",)
    reasons = [*_other_posts(artifacts, name), *filter(None, (other_number_of_rows(artifacts, name),))]
    if list(artifacts.scores.sets[name].per_class) != list(load_tasks()[name].labels):
        reasons.append("other labels than published")
    return tuple(reasons)


def other_number_of_rows(artifacts: RunArtifacts, name: str) -> str | None:
    """The numbers of scored and of published rows, if they are not the same."""
    assert artifacts.scores is not None
    published, rows = artifacts.published_test_rows(name), artifacts.scores.sets[name].n
    return None if published in {None, rows} else f"{rows:,} rows instead of {published:,}"


def _other_posts(artifacts: RunArtifacts, name: str) -> list[str]:
    assert artifacts.scores is not None
    if name in artifacts.scores.matched_files:
        return []
    origins = artifacts.test_origins.get(name)
    if origins is None:
        return ["it is not known where its test posts are from"]
    return [f"other split: test posts {ORIGIN_NAMES[origin]}" for origin in ORIGIN_NAMES if origin in origins]
