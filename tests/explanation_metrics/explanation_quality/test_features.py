"""Features of explanations, worked by hand, and how they react to damage."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mentallama.answers.parse import read_answer
from mentallama.explanation_metrics.base import ExplanationCase
from mentallama.explanation_metrics.explanation_quality.criteria import TermIndex, criteria_of
from mentallama.explanation_metrics.explanation_quality.features import FEATURES, explanation_features
from mentallama.records import Example
from mentallama.tasks import load_tasks
from mentallama.text.tokenize import word_tokens

TASKS = load_tasks()
POST = "My violin teacher left in spring. I feel hopeless, I cannot sleep and I stopped eating dinner."
GOOD = (
    "Yes, the poster suffers from depression. Reasoning: They say that they feel hopeless and that they "
    "“cannot sleep” since the violin teacher left. Losing sleep and not eating dinner are symptoms of depression."
)


def case(answer: str, post: str = POST, label: str | None = "yes", task: str = "DR") -> ExplanationCase:
    question = next(iter(TASKS[task].questions))
    example = Example(
        id="1", post_id="p", task=task, question=question, form="instruction", text=post, label=label
    )
    return ExplanationCase(example=example, reading=read_answer(TASKS[task], answer))


def features(
    answer: str, post: str = POST, label: str | None = "yes", task: str = "DR"
) -> dict[str, float | None]:
    return explanation_features(case(answer, post, label, task), TASKS[task])


def test_terms_are_words_beginnings_and_phrases() -> None:
    index = TermIndex({"mood": ["hopeless*", "sad"], "interest": ["loss of interest", "no point"]})
    assert index.groups_in(word_tokens("Hopelessness")) == {"mood"}
    assert index.groups_in(word_tokens("sadly there was a loss of interests")) == {"interest"}
    assert index.groups_in(word_tokens("a point of no interest")) == set()


@pytest.mark.parametrize("task", list(TASKS))
def test_every_task_has_criteria(task: str) -> None:
    criteria = criteria_of(TASKS[task])
    label = next(name for name in TASKS[task].labels)
    wording = next(iter(TASKS[task].questions.values())).wording.for_form("instruction")
    assert criteria.names_topic(word_tokens(wording))
    if not TASKS[task].is_yes_no and label not in {"no mental disorders", "none"}:
        assert label in criteria.areas_in(word_tokens(label))


def test_label_agreement_needs_a_reference_and_an_explanation() -> None:
    assert features(GOOD)["label_agreement"] == pytest.approx(1.0, abs=0.01)
    assert features(GOOD, label="no")["label_agreement"] == 0.0
    assert features(GOOD, label=None)["label_agreement"] is None
    assert features("Yes, the poster suffers from depression.")["label_agreement"] == 0.0


def test_label_support_reads_what_the_sentences_argue_for() -> None:
    against = (
        "No, the poster does not suffer from depression. Reasoning: There are no signs of it in the post."
    )
    # One sentence with a negated topic counts as three: 3 / (0 + 3 + 1).
    assert features(against)["label_support"] == 0.75
    assert (
        features(against.replace("No, the poster does not suffer", "Yes, the poster suffers"))[
            "label_support"
        ]
        == 0
    )
    # Two sentences with evidence: 2 / (2 + 0 + 1).
    assert features(GOOD)["label_support"] == pytest.approx(2 / 3)


def test_evidence_counts_words_of_the_post_and_quotations() -> None:
    # feel, hopeless, sleep, violin, teacher, left, eating and dinner; and one quotation that stands in the post.
    shared = 8
    assert features(GOOD)["evidence"] == pytest.approx(1 - math.exp(-(shared + 1) / 6))
    invented = GOOD.replace("“cannot sleep”", "“sell my car tomorrow”")
    assert features(invented)["evidence"] < features(GOOD)["evidence"]


def test_copying_the_post_or_repeating_a_sentence_adds_no_length() -> None:
    opening = "Yes, the poster suffers from depression. Reasoning: "
    assert features(opening + POST)["length"] == 0.0
    sentence = "They have been feeling quite hopeless for months now. "
    once, often = (features(opening + sentence * times)["length"] for times in (2, 20))
    assert often == pytest.approx(once)


def test_word_order() -> None:
    assert features(GOOD)["well_formedness"] > 0.8
    shuffled = (
        "Yes. Reasoning: the of They sleep that and the since teacher a hopeless feel they are of the depression with "
        "the. symptoms for and their to violin say"
    )
    assert features(shuffled)["well_formedness"] < 0.2


@pytest.mark.parametrize("task", ["SAD", "MultiWD", "Irf", "loneliness", "dreaddit", "CAMS"])
def test_other_tasks_have_features(task: str) -> None:
    name = next(iter(TASKS[task].labels))
    answer = f"{TASKS[task].labels[name].answer.for_form('instruction')} Reasoning: They feel left alone at school."
    found = features(answer, "I am alone at school.", name, task)
    assert all(value is None or 0 <= value <= 1 for value in found.values())


@settings(max_examples=40)
@given(
    answer=st.text(max_size=300),
    post=st.text(min_size=1, max_size=200),
    label=st.sampled_from(["yes", "no", None]),
)
def test_any_text_has_features_between_0_and_1(answer: str, post: str, label: str | None) -> None:
    found = features(answer, post, label)
    assert set(found) == set(FEATURES)
    assert all(value is None or 0 <= value <= 1 for value in found.values())
    assert (found["label_agreement"] is None) == (label is None)
