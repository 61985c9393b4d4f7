"""Mentions of symptoms as features: their words, their hashes, and their exact contributions."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pytest

from mentallama.analysts.linear.features import Featurizer, NgramConfig, hash_word, split_words
from mentallama.analysts.linear.mention_features import mention_keys
from mentallama.config import LinearSettings
from mentallama.records import Split
from mentallama.tasks import load_tasks
from mentallama.train.linear.dataset import SetPosts, build_vocabulary, count_features, fit_tfidf
from mentallama.train.linear.fit import fit_set
from tests.factories.linear_cases import make_post

TEXT = "My sister can't sleep, I'm not sad"
INSOMNIA = crc32(b"mention insomnia someone_else")
MOOD = crc32(b"mention depressed-mood negated")


def test_each_word_of_a_mention_has_its_feature() -> None:
    words = split_words(TEXT)
    places, keys = mention_keys(TEXT, words.starts, words.ends)
    found = [(words.forms[place], int(key)) for place, key in zip(places, keys, strict=True)]
    assert found == [("can't", INSOMNIA), ("sleep", INSOMNIA), ("sad", MOOD)]
    empty = split_words("the bus was late")
    assert [len(each) for each in mention_keys("the bus was late", empty.starts, empty.ends)] == [0, 0]


def test_contributions_go_to_the_words_of_the_mention_and_add_up() -> None:
    sleep, _ = hash_word("sleep", NgramConfig())
    keys = np.array([INSOMNIA, sleep], np.uint32)
    config = NgramConfig(word_bigrams=False, symptoms=True)
    vector = Featurizer(keys, np.ones(2), config).transform(TEXT)
    # insomnia occurs twice, once for each of its words: tf-idf 1 + ln 2, which the two share; the word "sleep" once: 1
    norm = np.hypot(1 + np.log(2), 1)
    by_column = np.array([3.0, 5.0])
    contributions = vector.attribute_to_words(by_column[vector.columns])
    share = 3 * (1 + np.log(2)) / 2 / norm
    expected = {"can't": share, "sleep": share + 5 / norm}
    assert dict(zip(vector.words.forms, contributions, strict=True)) == pytest.approx(
        {
            "My": 0,
            "sister": 0,
            "can't": expected["can't"],
            "sleep": expected["sleep"],
            "I'm": 0,
            "not": 0,
            "sad": 0,
        }
    )
    assert contributions.sum() == pytest.approx(vector.values @ by_column[vector.columns])


def test_training_and_analyst_see_the_same_numbers() -> None:
    config = NgramConfig(symptoms=True)
    counted = count_features([TEXT, "I can't sleep", "my sister can't sleep"], config)
    keys = build_vocabulary(counted, 1)
    assert INSOMNIA in keys
    data, idf = fit_tfidf(counted, {}, keys)
    vector = Featurizer(keys, idf.astype(np.float64), config).transform(TEXT)
    row = np.bincount(vector.columns, vector.values, len(keys))
    assert row == pytest.approx(data.posts[0].toarray().ravel())


def test_without_the_setting_there_are_none() -> None:
    counted = count_features([TEXT], NgramConfig())
    assert INSOMNIA not in build_vocabulary(counted, 1)


SLEEPLESS = (
    "Wide awake at 4 am.", "Insomnia.", "Barely slept.", "Up all night again.", "No sleep.", "I can't sleep.",
    "Toss and turn.", "Slept badly.", "Trouble sleeping.", "Still awake.", "Staring at the ceiling.", "Sleepless.",
)  # fmt: skip
OTHER = (
    "Wide roads at noon.", "Inflation.", "Barely rained.", "Up the hill again.", "No bread.", "I can't drive.",
    "Turn the page.", "Cooked badly.", "Trouble parking.", "Still raining.", "Painting the wall.", "Seamless.",
)  # fmt: skip


@pytest.mark.parametrize(
    ("tried", "has_mentions"), [((False,), False), ((True,), True), ((False, True), True)]
)
def test_cross_validation_chooses_whether_mentions_are_features(
    tried: tuple[bool, ...], has_mentions: bool
) -> None:
    splits: tuple[Split, ...] = ("train", "train", "validation")
    posts = [
        make_post("dreaddit", splits[number % 3], text, {"stress": label})
        for label, texts in (("yes", SLEEPLESS), ("no", OTHER))
        for number, text in enumerate(texts)
    ]
    settings = LinearSettings(
        symptom_features=tried, C=(10.0,), topics=(0,), max_word_ngram=1, char_ngram_range=(9, 9)
    )
    part = load_tasks()["dreaddit"].parts[0]
    model = fit_set(SetPosts.from_posts("dreaddit", posts), {"stress": part}, settings)
    assert (crc32(b"mention insomnia present") in model.keys.tolist()) == has_mentions
