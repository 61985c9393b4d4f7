"""The same explanation under several posts."""

from __future__ import annotations

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from mentallama.check.gates.repeated_explanation import count_other_posts, judge_repeated_explanations
from mentallama.check.response_rows import ResponseRow
from mentallama.records import Verdict
from mentallama.text.fingerprint import key_hash, text_key
from mentallama.text.near_duplicates import NearDuplicateIndex, minhash_bands
from tests.factories.gate_rows import corpus, row

EMPTY = "The tone of the text is low and its wording speaks of a hard time, which fits the answer that was chosen."
POSTS = [
    "The rain does not stop and I have not left the flat since Tuesday.",
    "My brother sold the piano; nobody asked me, I only saw the empty corner.",
    "Exams again. I copied the same page four times and know none of it.",
    "The bus was late, my shift was cut, and the fridge hums like a threat.",
]
WORDS = (
    "rain",
    "piano",
    "fridge",
    "tea",
    "night",
    "bus",
    "walk",
    "letter",
    "corner",
    "lamp",
    "window",
    "soup",
)


def judge(rows: list[ResponseRow], threshold: float = 90.0) -> list[Verdict]:
    with TemporaryDirectory() as folder:
        return list(judge_repeated_explanations(corpus(rows, Path(folder)), threshold).verdicts)


def failed(rows: list[ResponseRow], threshold: float = 90.0) -> list[int]:
    verdicts = judge(rows, threshold)
    assert [verdict.gate for verdict in verdicts] == ["repeated_explanation"] * len(rows)
    return [number for number, verdict in enumerate(verdicts) if not verdict.ok]


def test_the_first_of_several_posts_keeps_a_text() -> None:
    rows = [row(EMPTY, post) for post in POSTS]
    assert failed(rows) == [1, 2, 3]
    verdict = judge(rows)[1]
    assert (verdict.reason, verdict.score) == ("repeated under 3 other posts", 3)


def test_small_changes_do_not_make_a_different_text() -> None:
    changed = EMPTY.replace("hard", "difficult").upper()
    assert failed([row(EMPTY, POSTS[0]), row(changed, POSTS[1])]) == [1]
    assert failed([row(EMPTY, POSTS[0]), row(changed, POSTS[1])], threshold=99.0) == []


def test_different_texts_pass() -> None:
    rows = [row(f"The poster writes about this: {post}", post) for post in POSTS]
    assert failed(rows) == []


def test_a_template_with_different_quotations_passes() -> None:
    template = "The post says “{}”, wording that goes with signs of depression in such posts."
    rows = [row(template.format(post[4:22]), post) for post in POSTS]
    assert all(row.quotes for row in rows)
    assert failed(rows) == []


def test_a_template_with_ungrounded_or_equal_quotations_fails() -> None:
    template = "The post says “{}”, wording that goes with signs of depression in such posts."
    invented = [
        row(template.format(word), post) for word, post in zip(("gloom", "despair"), POSTS, strict=False)
    ]
    assert failed(invented) == [1]
    equal = [row(template.format("the"), post) for post in (POSTS[0], POSTS[2])]
    assert failed(equal) == [1]


def test_answers_about_one_post_are_not_repeats() -> None:
    same = [row(EMPTY, POSTS[0]), row(EMPTY, POSTS[0], "Irf"), row(EMPTY, POSTS[0].upper(), "CLP")]
    assert failed(same) == []
    assert failed([*same, row(EMPTY, POSTS[1])]) == [3]


def test_a_text_under_two_labels_of_one_question_is_not_kept_at_all() -> None:
    rows = [row(EMPTY, POSTS[0]), row(EMPTY, POSTS[1], label="no"), row(EMPTY, POSTS[2])]
    assert failed(rows) == [0, 1, 2]
    rows = [row(EMPTY, POSTS[0]), row(EMPTY, POSTS[1], "dreaddit", label="no")]
    assert failed(rows) == [1]  # another question: its first post is kept all the same


def test_short_texts_must_be_equal() -> None:
    assert failed([row("She is so tired.", POSTS[0]), row("She is so tidy.", POSTS[1])]) == []
    assert failed([row("She is so tired.", POSTS[0]), row("She is so tired!", POSTS[1])]) == [1]


@pytest.mark.parametrize("none", [[], [row("“”", POSTS[0]), row("…", POSTS[1])]])
def test_without_texts_nothing_is_repeated(none: list[ResponseRow]) -> None:
    assert failed(none) == []


def test_a_long_text_that_begins_like_another_is_not_the_same() -> None:
    draw = random.Random(3)
    text = " ".join(draw.choice(WORDS) for _ in range(60))
    longer = f"{text} {' '.join(draw.choice(WORDS) for _ in range(60))}"
    assert failed([row(text, POSTS[0]), row(longer, POSTS[1])]) == []


def test_rows_are_streamed(tmp_path: Path) -> None:
    draw = random.Random(5)
    texts = ["".join(draw.choice("abcdefgh ") for _ in range(120)) for _ in range(60)]
    rows = (row(EMPTY if n % 3 else texts[n], f"{POSTS[n % 4]} {n}") for n in range(60))
    counts = count_other_posts(rows, 90.0, tmp_path)
    assert counts.tolist() == [39 if n % 3 and n > 1 else 0 for n in range(60)]


def test_an_index_of_posts_still_joins_beginnings(tmp_path: Path) -> None:
    draw = random.Random(3)
    text = " ".join(draw.choice(WORDS) for _ in range(60))
    texts = [text, f"{text} {' '.join(draw.choice(WORDS) for _ in range(60))}"]
    joined = []
    for beginnings in (True, False):
        index = NearDuplicateIndex(tmp_path, match_prefixes=beginnings)
        keys = [text_key(text) for text in texts]
        index.add(keys, np.array(list(map(key_hash, keys)), dtype=np.uint64), minhash_bands(texts, keys))
        joined.append(index.clusters()[1].tolist())
        index.close()
    assert joined == [[0, 0], [0, 1]]
