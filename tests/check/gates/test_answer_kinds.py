"""Gates that look at labels, on answers of several parts."""

from __future__ import annotations

import pytest

from mentallama.answers.format import write_answer
from mentallama.check.gates.label_consistency import predict_from_explanations
from mentallama.check.gates.label_match import check_label_match
from mentallama.check.gates.prompt_leakage import check_prompt_leakage
from mentallama.check.gates.quote_grounding import check_quote_grounding
from mentallama.check.human_review.disagreements import Decisions
from mentallama.check.output.statistics import SelectionCounts
from mentallama.check.response_rows import ResponseRow, parse_response
from mentallama.check.selection import Selection
from mentallama.records import Post, Provenance, Response, example_of
from tests.factories.answer_kinds import task_of_kind

POST = "I lie awake until 4. Everything is grey."


def row(
    kind: str, label: str, answer: str, explanation: str = "They say “lie awake until 4”."
) -> ResponseRow:
    """The answer of a teacher, `answer`, to a post whose label is `label`."""
    task = task_of_kind(kind)
    provenance = Provenance(file="a.csv", row=2, origin="table", synthetic=True)
    post = Post(
        id="p", set=task.set, split="train", text=POST, labels={"about": label}, provenance=provenance
    )
    example = example_of(post, "about", "instruction")
    text = write_answer(task, None, answer, explanation)
    return parse_response(post, example, Response(example_id=example.id, text=text, model="m"), task)


@pytest.mark.parametrize(
    ("kind", "label", "answer", "reason"),
    [
        ("multi", "sleep; low mood", "low mood; sleep", None),
        ("multi", "sleep", "sleep; low mood", "the teacher says 'sleep; low mood', the set 'sleep'"),
        ("scale", "sleep: several days", "none", "the teacher says 'none', the set 'sleep: several days'"),
        ("spans", 'sleep: "awake until 4"', 'sleep: "lie awake"', None),
        (
            "spans",
            'sleep: "awake until 4"',
            'low mood: "grey"',
            "the teacher quotes other passages than the set",
        ),
    ],
)
def test_labels_are_compared_in_their_canonical_form(
    kind: str, label: str, answer: str, reason: str | None
) -> None:
    verdict = check_label_match(row(kind, label, answer), Decisions())
    assert verdict.ok == (reason is None)
    assert verdict.reason == (reason and f"{reason}; nobody has decided yet")


def test_the_quotations_of_an_answer_stand_in_the_post() -> None:
    good = row("spans", "none", 'sleep: "lie awake"; low mood: "Everything is grey"')
    bad = row("spans", "none", 'sleep: "up all night"; low mood: "Everything is grey"')
    assert check_quote_grounding(good, 0.0).ok
    verdict = check_quote_grounding(bad, 0.9)
    assert (verdict.ok, verdict.score) == (False, 0.5)
    assert verdict.reason == "1 of 2 quotations of the answer not in the post"


@pytest.mark.parametrize("kind", ["multi", "scale", "spans"])
def test_a_label_of_several_parts_is_not_predicted_from_the_explanation(kind: str) -> None:
    (prediction,) = predict_from_explanations([row(kind, "none", "none")])
    assert prediction.not_judged_reason == f"answers of kind {kind} have no single label to predict"


def test_the_words_of_items_and_of_the_answer_are_no_leak() -> None:
    made = row("scale", "none", "none", "The post shows trouble sleeping and little energy.")
    assert check_prompt_leakage(made, 3).ok
    leaky = row("scale", "none", "none", "Leave out an item for which the post gives no ground.")
    assert not check_prompt_leakage(leaky, 6).ok


def test_counts_are_by_how_many_labels_and_by_part_and_hold_no_words_of_the_post() -> None:
    task = task_of_kind("spans")
    counts = SelectionCounts({task.set: task})
    for answer in ('sleep: "lie awake"; sleep: "4"', 'sleep: "4"; low mood: "grey"', "none"):
        made = row("spans", answer, answer)
        counts.add(Selection(made, (), {}, made.reading.label))
    assert [(c.label, c.rows) for c in counts.accepted_by_label()] == [
        ("0 types", 1),
        ("1 type", 1),
        ("2 types", 1),
    ]
    assert [(c.part, c.level, c.rows) for c in counts.accepted_by_part()] == [
        ("sleep", "absent", 1), ("sleep", "present", 2), ("low mood", "absent", 2), ("low mood", "present", 1),
    ]  # fmt: skip
    assert counts.accepted == 3
