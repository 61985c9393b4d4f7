"""Labels are predicted from explanations after their answers are removed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.linear import explanation_classifier
from mentallama.analysts.linear.explanation_classifier import (
    N_FOLDS,
    ExplanationClassifier,
    NoSharedFeatures,
    assign_folds,
)
from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.answers.strip_label import strip_label
from mentallama.check.gates import label_consistency as gate
from mentallama.check.gates.label_consistency import (
    ExplanationPrediction,
    check_label_consistency,
    label_consistency_report,
    predict_from_explanations,
)
from mentallama.check.response_rows import ResponseRow, parse_response
from mentallama.files.imhi_release import (
    ReleaseFile,
    find_expert_files,
    find_release_files,
    read_release_file,
)
from mentallama.records import (
    FORMS,
    Post,
    Provenance,
    Response,
    Split,
    Verdict,
    example_of,
    stable_id,
)
from mentallama.tasks import find_task, load_tasks
from tests.factories.check_cases import post_of, row_for

THRESHOLD = 0.4


@pytest.mark.parametrize(
    ("name", "explanation", "left"),
    [
        ("DR", "Yes, the poster suffers from depression. The days are grey.", "The days are grey."),
        ("DR", "The days are grey. Overall, the poster suffers from depression.", "The days are grey."),
        (
            "DR",
            "The days are grey. Therefore the poster does not suffer from depression!",
            "The days are grey.",
        ),
        ("DR", "Yes. The days are grey.", "The days are grey."),
        ("DR", "Yes, it seems so. The days are grey.", "The days are grey."),
        ("DR", "**Answer:** Yes\n\nThe days are grey.", "The days are grey."),
        ("DR", "The days are grey.\nFinal answer: yes", "The days are grey."),
        ("SAD", "Work. The shifts are long.", "The shifts are long."),
        (
            "SAD",
            "This post shows the stress cause related to work. The shifts are long.",
            "The shifts are long.",
        ),
        ("SAD", "Financial stress: it begins with rent. The shifts are long.", "The shifts are long."),
        ("DR", "نعم لا. Yes, the poster suffers from depression.", "نعم لا."),
        ("DR", "Yes, the poster suffers from depression。天天都很灰暗。", "天天都很灰暗。"),
    ],
)
def test_sentences_that_state_the_answer_are_removed(name: str, explanation: str, left: str) -> None:
    assert strip_label(find_task(name), explanation) == left


@pytest.mark.parametrize(
    ("name", "explanation", "left"),
    [
        (
            "DR",
            "Yes, the poster suffers from depression because the days are grey.",
            "because the days are grey.",
        ),
        ("DR", "No: the week was calm.", "the week was calm."),
        ("SAD", "Work, since the shifts are long.", "since the shifts are long."),
    ],
)
def test_the_rest_of_the_sentence_stays_if_nothing_else_is_left(
    name: str, explanation: str, left: str
) -> None:
    assert strip_label(find_task(name), explanation).split() == left.split()


@pytest.mark.parametrize(
    ("name", "explanation"),
    [
        ("DR", "The poster calls the days grey and says yes to nothing."),
        ("SAD", "The message speaks of work that never ends. School is not named."),
        ("SAD", "The boss is hard to please, so the job is what weighs on them."),
        ("DR", "Noon is the worst hour of the day, they write."),
        ("t-sid", "The writer's friend has depression, they say."),
    ],
)
def test_reasons_stay(name: str, explanation: str) -> None:
    assert strip_label(find_task(name), explanation) == explanation


@pytest.mark.parametrize("name", list(load_tasks()))
def test_an_explanation_that_is_its_answer_leaves_nothing(name: str) -> None:
    task = load_tasks()[name]
    answers = [
        write_answer(task, next(iter(task.questions)), label, "", form)
        for label in task.labels
        for form in FORMS
    ]
    assert len(answers) >= 4
    for answer in answers:
        assert strip_label(task, answer.removesuffix("Reasoning:").strip()) == "", answer


WORDS = st.lists(
    st.sampled_from(["grey", "days.", "Yes,", "work", "no.", "the", "poster", "累。", "\n"]), max_size=15
)


@given(WORDS)
def test_removing_the_answer_adds_no_word(words: list[str]) -> None:
    text = " ".join(words)
    for name in ("DR", "SAD"):
        left = strip_label(find_task(name), text)
        assert set(left.split()) <= set(text.split()) | {"days", "work"}


HEAVY = (
    "the days are said to be grey from morning on", "nothing that used to please still does", "sleep brings no rest",
    "getting up is told as a fight", "the writer sees no use in themselves", "hope is said to be gone",
)  # fmt: skip
LIGHT = (
    "the tone is calm throughout", "plans for the weekend are told with joy", "friends are named with warmth",
    "a bad day is told as just that", "the writer laughs about the mishap", "interest in the garden is lively",
)  # fmt: skip
ASIDE = ("it is about a week in spring", "a cat is named", "the bus was late", "it ends with a question")


def explain(label: str, chance: random.Random) -> str:
    """A synthetic explanation: two reasons for the label and one irrelevant sentence, in any order."""
    said = [*chance.sample(HEAVY if label == "yes" else LIGHT, 2), chance.choice(ASIDE)]
    chance.shuffle(said)
    return ". ".join(part.capitalize() for part in said) + "."


def made_up(
    count: int, split: Split = "train", faulty: frozenset[int] = frozenset(), first: int = 0
) -> list[ResponseRow]:
    """Rows of DR; the faulty ones have explanations for the other label."""
    rows = []
    for number in range(first, first + count):
        chance, label = random.Random(number), ("yes", "no")[number % 2]
        other = {"yes": "no", "no": "yes"}[label]
        explanation = explain(other if number in faulty else label, chance)
        post = post_of("DR", f"Made-up post {number}.", {"depression": label}, split, number)
        rows.append(row_for(post, "depression", write_answer("DR", None, label, explanation)))
    return rows


def check(rows: Sequence[ResponseRow], threshold: float = THRESHOLD) -> list[Verdict]:
    """Verdicts from predictions of classifiers trained on the same rows."""
    return check_label_consistency(rows, threshold, predict_from_explanations(rows))


def failed(rows: Sequence[ResponseRow]) -> set[int]:
    """Indices of the rows that fail."""
    return {at for at, verdict in enumerate(check(rows)) if not verdict.ok}


def test_explanations_of_the_other_label_are_caught_among_training_and_other_rows() -> None:
    faulty = frozenset(random.Random(5).sample(range(200), 20))
    rows = [*made_up(140, faulty=faulty), *made_up(60, "test", faulty, first=140)]
    found = failed(rows)
    assert len(found & faulty) >= 19  # 95 % of 20
    assert len(found - faulty) <= 9  # 5 % of 180
    assert any(at >= 140 for at in found & faulty)
    assert any(at < 140 for at in found & faulty)


def test_the_reason_names_the_predicted_label() -> None:
    rows = [*made_up(60), *made_up(2, "test", frozenset({101}), first=100)]
    good, bad = check(rows)[-2:]
    assert (good.gate, good.ok, good.reason) == ("label_consistency", True, None)
    assert good.score is not None
    assert good.score > 0.9
    assert (bad.ok, bad.reason) == (False, "the explanation alone reads as 'yes'")
    assert bad.score is not None
    assert bad.score < 0.1
    assert (good.example_id, bad.example_id) == (rows[-2].example.id, rows[-1].example.id)


def test_the_answer_itself_does_not_help() -> None:
    rows = made_up(60)
    bare = post_of("DR", "Another.", {"depression": "yes"}, "test", 999)
    for explanation in ("", "Yes, the poster suffers from depression."):
        text = write_answer("DR", None, "yes", explanation)
        verdict = check([*rows, row_for(bare, "depression", text)])[-1]
        assert (verdict.ok, verdict.score) == (False, None)
        assert verdict.reason == "nothing is left of the explanation once its answer is removed"


def test_an_explanation_for_neither_label_fails_with_that_reason() -> None:
    row = made_up(1)[0]
    verdict = check_label_consistency([row], 0.9, [ExplanationPrediction({"yes": 0.6, "no": 0.4})])[0]
    assert (verdict.ok, verdict.score) == (False, 0.6)
    assert verdict.reason == "the explanation alone does not say which label it is for"


def test_test_and_validation_rows_are_not_trained_on() -> None:
    rows = made_up(60)
    lone = made_up(1, "test", first=100)
    alone = predict_from_explanations([*rows, *lone])[-1]
    crowd = [
        *made_up(80, "test", frozenset(range(200, 280)), first=200),
        *made_up(20, "validation", first=300),
    ]
    assert predict_from_explanations([*rows, *crowd, *lone])[-1] == alone


def test_a_training_row_is_judged_by_models_that_saw_no_row_of_its_post() -> None:
    # One post, two teachers who both argue for the other label with words of their own: either would teach the other.
    rows = made_up(60)
    post = post_of("DR", "A post of two teachers.", {"depression": "yes"}, number=500)
    words = "Purple umbrellas everywhere. Umbrellas of purple."
    twins = [
        row_for(
            post,
            "depression",
            write_answer("DR", None, "yes", f"{words} {LIGHT[0]}. {LIGHT[1]}."),
            model=model,
        )
        for model in ("one", "two")
    ]
    assert failed([*rows, *twins]) == {60, 61}
    truth = np.zeros(90, dtype=np.int64)
    groups = [f"post {at // 3}" for at in range(90)]
    folds = assign_folds(truth, groups)
    assert all(len(set(folds[at : at + 3].tolist())) == 1 for at in range(0, 90, 3))
    assert np.bincount(folds).tolist() == [18] * N_FOLDS


def test_folds_spread_labels_evenly() -> None:
    truth = np.array([0] * 10 + [1] * 10)
    folds = assign_folds(truth, [str(at) for at in range(20)])
    assert np.bincount(folds[:10]).tolist() == np.bincount(folds[10:]).tolist() == [2] * N_FOLDS


def test_noisy_rows_are_left_out_of_the_training() -> None:
    chance = random.Random(3)
    truth = np.array([at % 2 for at in range(100)])
    texts = [explain(("no", "yes")[label], chance) for label in truth]
    wrong = truth.copy()
    wrong[:12] = 1 - wrong[:12]
    reader = ExplanationClassifier(texts, wrong, [str(at) for at in range(100)], ["calm", "grey"])
    assert reader.used_rows[:12].sum() <= 3
    assert reader.used_rows[12:].mean() > 0.95
    assert ExplanationClassifier(
        texts, truth, [str(at) for at in range(100)], ["calm", "grey"]
    ).used_rows.all()
    assert reader.out_of_fold_probabilities.sum(axis=1) == pytest.approx(np.ones(100))


def test_without_training_rows_nothing_is_judged_for_a_stated_reason() -> None:
    rows = made_up(30, "test")
    verdicts = check(rows)
    assert all(each.ok and each.score is None for each in verdicts)
    assert {each.reason for each in verdicts} == {
        "not judged: DR has 0 training rows of 0 labels to learn from; it takes 20 of 2"
    }
    assert label_consistency_report(rows, predict_from_explanations(rows)) == [
        {"set": "DR", "split": "test", "rows": 30, "judged": 0, "not_judged": 30, "weighted_f1": None,
         "not_judged_reason": "DR has 0 training rows of 0 labels to learn from; it takes 20 of 2"}
    ]  # fmt: skip


def test_a_label_that_no_training_row_has_is_not_judged() -> None:
    def sad(label: str, number: int, split: Split) -> ResponseRow:
        post = post_of("SAD", f"Message {number}.", {"cause": label}, split, number)
        said = {
            "school": "The exam comes closer and the books pile up.",
            "work": "The shifts are long, the boss is loud.",
        }
        return row_for(
            post, "cause", write_answer("SAD", None, label, said.get(label, "Nobody calls back any more."))
        )

    rows = [sad(("school", "work")[at % 2], at, "train") for at in range(40)]
    verdicts = check([*rows, sad("social relationships", 50, "test"), sad("work", 51, "test")])[-2:]
    assert [(each.ok, each.reason) for each in verdicts] == [
        (True, "not judged: no training row has the answer's label"), (True, None)
    ]  # fmt: skip


def test_an_explanation_in_unknown_words_is_not_judged() -> None:
    post = post_of("DR", "Otro.", {"depression": "no"}, "test", 999)
    foreign = row_for(post, "depression", write_answer("DR", None, "no", "Всё спокойно, никакой тоски."))
    verdict = check([*made_up(60), foreign])[-1]
    assert (verdict.ok, verdict.score) == (True, None)
    assert verdict.reason == "not judged: hardly any word of the explanation occurs in the training rows"


def test_labels_are_predicted_from_chinese_without_spaces() -> None:
    dark = ("夜里总是睡不着", "什么都没有意思", "觉得自己毫无用处")
    light = ("周末去爬了山", "和朋友吃饭很开心", "新工作很顺利")
    chance, rows = random.Random(2), []
    for at in range(60):
        label = ("yes", "no")[at % 2]
        said = "，".join(chance.sample(dark if label == "yes" else light, 2))
        post = post_of("DR", f"第{at}条", {"depression": label}, number=at)
        rows.append(row_for(post, "depression", write_answer("DR", None, label, f"帖子里说{said}。")))
    verdicts = check(rows)
    assert [each.reason for each in verdicts] == [None] * 60


def test_explanations_that_share_no_word_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, posts = np.array([0, 1] * 12), [str(at) for at in range(24)]
    apart = [chr(0x4E00 + at) * 9 for at in range(26)]
    with pytest.raises(NoSharedFeatures):
        ExplanationClassifier(apart[:24], truth, posts, apart[24:])

    def nothing(*_: object) -> ExplanationClassifier:
        raise NoSharedFeatures

    monkeypatch.setattr(gate, "ExplanationClassifier", nothing)
    verdicts = check(made_up(60))
    why = "not judged: the explanations of the training rows share no words to learn from"
    assert [(each.ok, each.reason) for each in verdicts] == [(True, why)] * 60


def test_an_answer_with_another_label_than_the_sets_is_not_trained_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(explanation_classifier, "MIN_TRAINING_ROWS", 60)
    rows = made_up(60)
    post = rows[0].post.model_copy(update={"labels": {"depression": "no"}})
    other = row_for(post, "depression", rows[0].response.text)
    assert predict_from_explanations(rows)[0].not_judged_reason is None
    assert "59 training rows" in str(predict_from_explanations([other, *rows[1:]])[0].not_judged_reason)


def test_large_sets_are_subsampled_by_whole_posts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = made_up(200)
    monkeypatch.setattr(explanation_classifier, "MAX_TRAINING_ROWS", 50)
    drawn = gate._training_indices(rows, ["text"] * 200)
    assert len(drawn) == 50
    assert drawn == sorted(drawn)
    assert set(drawn) != set(range(50))
    assert len(failed(rows)) <= 10


def test_sets_are_judged_separately_in_the_order_of_the_rows() -> None:
    rows = made_up(60)
    posts = [
        post_of("CLP", f"Note {at}.", {"depression": ("yes", "no")[at % 2]}, number=at) for at in range(60)
    ]
    # CLP's explanations say the opposite of what they say in DR: one model for both could not be right.
    others = [
        row_for(
            post,
            "depression",
            write_answer("CLP", None, label, explain(("no", "yes")[at % 2], random.Random(at))),
        )
        for at, post in enumerate(posts)
        for label in [post.labels["depression"]]
    ]
    mixed = [row for pair in zip(rows, others, strict=True) for row in pair]
    assert len(failed(mixed)) <= 6
    report = label_consistency_report(mixed, predict_from_explanations(mixed))
    assert [(line["set"], line["rows"], line["judged"]) for line in report] == [
        ("DR", 60, 60),
        ("CLP", 60, 60),
    ]
    assert all(float(line["weighted_f1"] or 0) >= 95 for line in report)


def test_the_report_worked_by_hand() -> None:
    rows = made_up(4)  # answers yes, no, yes, no
    backs = [
        ExplanationPrediction({"yes": share, "no": 1 - share}) for share in (0.9, 0.8, 0.7, 0.2)
    ]  # read yes, yes, yes, no
    # yes: 2·2/(2+3) = 0.8, no: 2·1/(2+1) = 0.667; each of weight 2 -> 73.33
    assert label_consistency_report(rows, backs, split_name="expert") == [
        {"set": "DR", "split": "expert", "rows": 4, "judged": 4, "not_judged": 0, "weighted_f1": 73.33,
         "not_judged_reason": None}
    ]  # fmt: skip


SETS = ("DR", "dreaddit", "SAD")
"""Those with training files in the data for development."""


def released(file: ReleaseFile) -> Iterator[ResponseRow]:
    """Rows of a release file as check would read them; posts are not cleaned, for no gate here reads them."""
    task = find_task(file.set)
    for row in read_release_file(file, task):
        label = read_answer(task, row.reference, file.form).label
        post = Post(
            id=stable_id(file.set, file.split, row.text),
            set=file.set,
            split=file.split,
            text=row.text,
            labels={} if label is None else {row.question: label},
            provenance=Provenance(file=file.path.name, row=row.row, origin="release"),
        )
        example = example_of(post, row.question, file.form)
        yield parse_response(
            post, example, Response(example_id=example.id, text=row.reference, model="gpt-3.5-turbo"), task
        )


@pytest.mark.data
@pytest.mark.slow
def test_labels_are_predicted_on_the_real_release(data: Path) -> None:
    tasks = {name: find_task(name) for name in SETS}
    files = find_release_files(data / "release", "instruction", tasks)
    rows = [row for file in files for row in released(file)]
    experts = [row for file in find_expert_files(data / "release", tasks) for row in released(file)]
    backs = predict_from_explanations([*rows, *experts])
    lines = label_consistency_report(rows, backs[: len(rows)])
    figures = {(line["set"], line["split"]): float(line["weighted_f1"] or 0) for line in lines}
    by_experts = label_consistency_report(experts, backs[len(rows) :], "expert")
    figures |= {(line["set"], "expert"): float(line["weighted_f1"] or 0) for line in by_experts}
    print(figures)
    assert len(figures) == 12
    assert len(rows) >= 11_000
    assert figures["DR", "test"] >= 92
    assert figures["dreaddit", "test"] >= 95
    assert figures["SAD", "test"] >= 96.5
    verdicts = check_label_consistency(rows, THRESHOLD, backs[: len(rows)])
    dropped = {
        name: [not v.ok for v, row in zip(verdicts, rows, strict=True) if row.task.set == name]
        for name in SETS
    }
    shares = {name: round(float(np.mean(found)), 4) for name, found in dropped.items()}
    print(shares)
    assert max(shares.values()) <= 0.05
