"""The predict stage: which questions are put, what is written, and what is kept when it is cut short."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mentallama.errors import MentallamaError, UsageError
from mentallama.files.record_files import read_records
from mentallama.predict.analyst_pool import AnalystPool, local_pool
from mentallama.predict.journal import Journal
from mentallama.predict.questions import (
    PostQuestions,
    batches_by_post,
    count_questions,
    every_question,
    labelled_questions,
    question_keys,
    sample_rows,
)
from mentallama.predict.run import PredictSummary, run
from mentallama.records import Example, Form, Post, Prediction, Reading, example_of
from mentallama.run_files import PREDICTIONS_FILE
from mentallama.tasks import load_tasks
from tests.factories.linear_cases import make_post

POSTS = [
    make_post("DR", "train", "one", {"depression": "yes"}),
    make_post("DR", "test", "two", {"depression": "no"}),
    make_post("MultiWD", "test", "three", {"social": "yes", "emotional": "no"}),
    make_post("SAD", "test", "four", {}),
    make_post("SAD", "validation", "five", {"cause": "work"}),
]


class Echo:
    """Say yes to everything; remember how much was asked at a time."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        self.batches.append(len(examples))
        for example in examples:
            yield answer(example)


def answer(example: Example) -> Prediction:
    return Prediction(example_id=example.id, reading=Reading(status="parsed", label="yes"), model="echo")


class Narrow(Echo):
    supported_questions = (("MultiWD", "social"),)


def asked(*questions: tuple[int, str]) -> list[str]:
    return [example_of(POSTS[place], question, "instruction").id for place, question in questions]


def written(folder: Path) -> list[str]:
    return [prediction.example_id for prediction in read_records(folder / PREDICTIONS_FILE, Prediction)]


def answered(
    analyst: Echo, folder: Path, posts: Iterable[Post] = POSTS, form: Form = "instruction"
) -> PredictSummary:
    """Have an analyst answer all labelled questions, with the journal in the folder above."""
    kept = list(posts)
    return run(
        local_pool(analyst),
        lambda: labelled_questions(kept, form),
        folder,
        folder.parent / "part.jsonl",
        "these posts",
    )


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@given(some.lists(some.integers(0, 7), max_size=30), some.integers(1, 10))
def test_batches_hold_all_in_order_and_never_part_a_post(sizes: list[int], size: int) -> None:
    groups = [
        [example_of(POSTS[0], f"{place} {n}", "instruction") for n in range(n)]
        for place, n in enumerate(sizes)
    ]
    batches = list(batches_by_post(groups, size))
    assert [example for batch in batches for example in batch] == [
        example for group in groups for example in group
    ]
    for group in groups:
        assert sum(any(example in batch for example in group) for batch in batches) == bool(group)
    for batch in batches[:-1]:
        assert size <= len(batch) < size + max(sizes)


def test_every_labelled_question_is_answered_in_order(out: Path) -> None:
    summary = answered(Echo(), out, POSTS[1:4])
    assert written(out) == asked((1, "depression"), (2, "social"), (2, "emotional"))
    assert (summary.posts, summary.answers, summary.unsupported) == (3, {"parsed": 3}, {})
    assert PredictSummary.model_validate_json((out / "summary.json").read_text()) == summary


def test_the_other_form(out: Path) -> None:
    answered(Echo(), out, [POSTS[0], POSTS[4]], "completion")
    expected = [example_of(POSTS[0], "depression", "completion"), example_of(POSTS[4], "cause", "completion")]
    assert written(out) == [example.id for example in expected]


def test_what_a_model_was_not_made_for_is_left_open_and_counted(out: Path) -> None:
    summary = answered(Narrow(), out, POSTS[1:4])
    assert written(out) == asked((2, "social"))
    assert summary.unsupported == {"DR": 1, "MultiWD": 1}


@pytest.mark.parametrize(
    ("posts", "sentence"),
    [
        (
            POSTS[:1],
            r"these posts: none of 1 posts has a question that this model supports \(they are of DR\)",
        ),
        (POSTS[3:4], "these posts: none of 1 posts has a label; choose other splits, or ask all questions"),
        ([], "these posts: there are no such posts"),
    ],
)
def test_nothing_to_answer_is_said_and_writes_nothing(posts: list[Post], sentence: str, out: Path) -> None:
    with pytest.raises(UsageError, match=sentence):
        answered(Narrow(), out, posts)
    assert list(out.iterdir()) == []


def test_all_questions_of_all_tasks_are_told_apart_and_only_the_posts_own_have_labels() -> None:
    """DR and CLP call their questions the same."""
    pairs = question_keys(load_tasks())
    (prediction,) = every_question(POSTS[1:2], "instruction", pairs)
    assert len(pairs) == len({example.id for example in prediction.examples}) == len(prediction.examples)
    assert {(each.task, each.question) for each in prediction.examples} == set(pairs)
    assert [each.task for each in prediction.examples if each.label] == ["DR"]
    assert asked((1, "depression"))[0] in {example.id for example in prediction.examples}


def test_real_posts_are_counted_by_their_own_set() -> None:
    real = POSTS[2].model_copy(
        update={"provenance": POSTS[2].provenance.model_copy(update={"synthetic": False})}
    )
    stock = count_questions(
        every_question([real, POSTS[1]], "instruction", [("DR", "depression"), ("SAD", "cause")])
    )
    assert (stock.posts, stock.questions, stock.real_posts) == (2, 4, {"MultiWD": 1})


class Mortal(Echo):
    """Dies in the middle, and counts what it cuts."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives, self.counts, self.seen = lives, Counter[str](), list[str]()

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example in examples:
            if len(self.seen) == self.lives:
                raise KeyboardInterrupt
            self.seen.append(example.id)
            self.counts["truncated_posts"] += 1
            yield answer(example)


MANY = [make_post("DR", "test", f"post {number}", {"depression": "yes"}) for number in range(700)]


def test_what_was_answered_before_a_stop_is_not_asked_again(out: Path) -> None:
    """700 questions in batches of 256: stopped in the third, whose own counts are lost."""
    first = Mortal(600)
    with pytest.raises(KeyboardInterrupt):
        answered(first, out, MANY)
    second = Mortal(700)
    summary = answered(second, out, MANY)
    assert first.seen + second.seen == [example_of(post, "depression", "instruction").id for post in MANY]
    assert written(out) == first.seen + second.seen
    assert summary.answers == {"parsed": 700}
    assert summary.counts == {"truncated_posts": 512 + 100}


class Missing(Echo):
    """Streams, gives the answers from the last to the first, and has none to one."""

    def __init__(self) -> None:
        super().__init__()
        self.unanswered: Counter[str] = Counter()

    def answer(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        *others, last = examples
        self.batches.append(len(others) + 1)
        if len(others):
            self.unanswered["time-out"] += 1
            yield from map(answer, reversed(others))
        else:
            yield answer(last)


def test_missing_answers_are_said_and_asked_for_by_the_next_run(out: Path) -> None:
    analyst = Missing()
    with pytest.raises(
        MentallamaError, match=r"no answer to 1 question \(1 time-out\); answers so far are saved"
    ):
        answered(analyst, out, MANY)
    assert list(out.iterdir()) == []
    summary = answered(analyst, out, MANY)
    assert analyst.batches == [700, 1]
    assert written(out) == [example_of(post, "depression", "instruction").id for post in MANY]
    assert summary.answers == {"parsed": 700}


def test_an_analyst_that_answers_another_question_is_a_fault(out: Path) -> None:
    class Wrong(Echo):
        def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
            return super().predict(examples[::-1])

    with pytest.raises(AssertionError):
        answered(Wrong(), out, MANY[:2])


# --- the journal --------------------------------------------------------------------------------------


def reading(name: str) -> Prediction:
    return Prediction(example_id=name, reading=Reading(status="unparsed", reason="“so” — no"), model="m")


@given(some.integers(0, 400), some.integers(1, 6))
def test_a_journal_cut_anywhere_keeps_all_whole_lines(
    tmp_path_factory: pytest.TempPathFactory, cut: int, count: int
) -> None:
    path = tmp_path_factory.mktemp("journal") / "part.jsonl"
    with Journal(path) as journal:
        for number in range(count):
            journal.add(reading(str(number)))
    content = path.read_bytes()[:cut]
    path.write_bytes(content)
    whole = content.count(b"\n")
    with Journal(path) as journal:
        assert len(journal) == whole
        journal.add(reading("new"))
        assert [json.loads(journal.line(str(n)))["example_id"] for n in range(whole)] == [
            str(n) for n in range(whole)
        ]
    with Journal(path) as journal:
        assert "new" in journal
        assert journal.status("new") == "unparsed"
        assert Prediction.model_validate_json(journal.line("new")) == reading("new")


@pytest.mark.parametrize("damage", [b"\0" * 40, b"{}\n", b'{"counts": 3}\n', b"\xff\xfe\n"])
def test_what_follows_a_damaged_line_is_dropped(damage: bytes, tmp_path: Path) -> None:
    path = tmp_path / "part.jsonl"
    with Journal(path) as journal:
        journal.add(reading("a"))
        journal.add_counts(Counter(truncated_posts=2))
    whole = path.read_bytes()
    path.write_bytes(whole + damage + reading("b").model_dump_json().encode() + b"\n")
    with Journal(path) as journal:
        assert ("a" in journal, "b" in journal, journal.counts) == (True, False, {"truncated_posts": 2})
    assert path.read_bytes() == whole


def test_lines_are_with_the_system_at_once_and_on_the_disk_within_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, synced = [0.0], list[int]()
    monkeypatch.setattr("os.fsync", synced.append)
    with Journal(tmp_path / "part.jsonl", clock=lambda: now[0]) as journal:
        for number in range(6):
            now[0] = number * 0.7
            journal.add(reading(str(number)))
            assert (tmp_path / "part.jsonl").read_bytes().count(b"\n") == number + 1
    assert len(synced) == 1  # at 2.1 s; 3.5 s is less than two after it


def test_progress_begins_at_what_was_done(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[tuple[float | None, float]] = []

    class Bar:
        def __init__(self, _: str, total: float | None, done: float, _unit: str) -> None:
            messages.append((total, done))

        def __enter__(self) -> Callable[..., None]:
            return lambda *_: None

        def __exit__(self, *_: object) -> None: ...

    monkeypatch.setattr("mentallama.predict.run.progress_bar", Bar)
    with pytest.raises(KeyboardInterrupt):
        answered(Mortal(5), out, MANY)
    answered(Echo(), out, MANY)
    assert messages == [(700, 0), (700, 5)]


def test_a_crew_may_answer_in_any_order(out: Path) -> None:
    def backwards(batches: Iterator[list[Example]]) -> Iterator[Prediction]:
        return (answer(example) for batch in reversed(list(batches)) for example in reversed(batch))

    questions = [PostQuestions(post, (example_of(post, "depression", "instruction"),)) for post in MANY[:9]]
    run(AnalystPool(None, backwards), lambda: iter(questions), out, out.parent / "part.jsonl", "these")
    assert written(out) == [each.examples[0].id for each in questions]


# --- samples ------------------------------------------------------------------------------------------


def many_posts() -> list[Post]:
    labels = dict.fromkeys(load_tasks()["MultiWD"].questions, "no")
    wellness = [make_post("MultiWD", "test", f"post {number}", labels) for number in range(20)]
    return [
        *wellness,
        *(make_post("DR", "test", f"DR {number}", {"depression": "no"}) for number in range(3)),
    ]


def sampled_ids(max_rows: int | None, seed: int = 7) -> list[str]:
    posts = many_posts()
    questions, _ = sample_rows(lambda: labelled_questions(posts, "instruction"), max_rows, seed)
    return [example.id for post in questions() for example in post.examples]


def test_a_sample_has_as_many_rows_of_each_set_as_wanted_in_their_order() -> None:
    everything = sampled_ids(None)
    sampled = sampled_ids(10)
    assert (len(everything), len(sampled)) == (123, 13)
    assert sampled == [example_id for example_id in everything if example_id in set(sampled)]
    assert set(everything[-3:]) <= set(sampled)
    assert set(sampled) < set(sampled_ids(20))  # a larger sample holds the smaller one
    assert set(sampled) != set(sampled_ids(10, seed=8))
    _, sizes = sample_rows(lambda: labelled_questions(many_posts(), "instruction"), 10, 7)
    assert {
        split: {name: (size.rows, size.of) for name, size in sets.items()} for split, sets in sizes.items()
    } == {"test": {"MultiWD": (10, 120)}}
