"""How often posts have each label, worked by hand for each kind of answer."""

from __future__ import annotations

import pytest

from mentallama.errors import DataError
from mentallama.report.label_distribution import LabelDistribution, count_labels, stated_names
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.data import labels_section
from tests.factories.answer_kinds import task_of_kind
from tests.factories.linear_cases import make_post

LABELS = {
    "ordinal": ["mild", "severe", "mild"],
    "multi": ["sleep; low mood", "none", "low mood"],
    "spans": ['sleep: "a"; sleep: "b"', "none", 'low mood: "a"'],
    "scale": ["sleep: not at all", "none", "sleep: not at all; energy: several days"],
}
COUNTS = {
    "ordinal": {"mild": 2, "severe": 1},
    "multi": {"sleep": 1, "low mood": 2},
    "spans": {"sleep": 1, "low mood": 1},  # posts, however many passages they have of a type
    "scale": {
        "sleep: not at all": 2,
        "sleep: not filled": 1,
        "energy: not filled": 2,
        "energy: several days": 1,
    },
}


def distributions(kind: str, labels: list[str]) -> dict[str, LabelDistribution]:
    task = task_of_kind(kind)
    posts = [
        make_post(task.set, "train", f"a b {number}", {"about": label}) for number, label in enumerate(labels)
    ]
    found: dict[str, LabelDistribution] = {}
    assert list(count_labels(posts, {task.set: task}, found)) == posts
    return found


@pytest.mark.parametrize("kind", LABELS)
def test_counts_by_hand(kind: str) -> None:
    (found,) = distributions(kind, LABELS[kind]).values()
    assert {name: dict(counts) for (_, name), counts in found.posts.items()} == {
        name: {"train": count} for name, count in COUNTS[kind].items()
    }
    assert {question: dict(counts) for question, counts in found.labelled.items()} == {"about": {"train": 3}}
    assert {name for _, name in found.posts} <= set(stated_names(task_of_kind(kind)))


def test_a_label_that_is_no_answer_is_an_error_without_its_text() -> None:
    with pytest.raises(DataError, match="a label is no answer of synthetic-spans") as caught:
        distributions("spans", ['pain: "a secret"'])
    assert "secret" not in str(caught.value)


def test_the_section_has_a_line_for_each_label_and_shares_of_the_posts_with_an_answer() -> None:
    task = task_of_kind("multi")
    artifacts = RunArtifacts(tasks={task.set: task}, labels=distributions("multi", LABELS["multi"]))
    section = labels_section(artifacts)
    assert section is not None
    table = section.blocks[1].blocks[0]
    assert table.header == ("label", "train", "%", "validation", "%", "test", "%")
    assert [[cell.text for cell in row.cells[:5]] for row in table.rows] == [
        ["sleep", "1", "33.3", "0", "–"],
        ["appetite", "0", "0.0", "0", "–"],
        ["low mood", "2", "66.7", "0", "–"],
    ]
    assert labels_section(RunArtifacts(tasks={task.set: task})) is None
