"""Words, n-grams and vectors, worked by hand."""

from __future__ import annotations

from math import log, sqrt
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.analysts.linear.features import Featurizer, NgramConfig, hash_bigrams, hash_word, split_words


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        ("", []),
        (" \n\t ", []),
        ("I can’t sleep.", ["I", "can’t", "sleep"]),
        ("'quoted' words", ["quoted", "words"]),
        ("see [link] or [handle]!", ["see", "[link]", "or", "[handle]"]),
        ("我很累", ["我", "很", "累"]),
        ("میں ٹھیک نہیں ہوں۔", ["میں", "ٹھیک", "نہیں", "ہوں"]),
        ("मैं दुखी हूँ", ["मैं", "दुखी", "हूँ"]),
        ("می‌روم", ["می‌روم"]),
        ("so tired 😢😢 👍🏽 👩‍👩‍👧", ["so", "tired", "😢", "😢", "👍🏽", "👩‍👩‍👧"]),
        ("snake_case, a-b, 3.5", ["snake", "case", "a", "b", "3", "5"]),
    ],
)
def test_words_of_many_scripts(text: str, forms: list[str]) -> None:
    assert split_words(text).forms == forms


def test_decomposed_letters_stay_in_their_word() -> None:
    assert split_words("e\u0301te\u0301").forms == ["e\u0301te\u0301"]


@given(st.text())
def test_offsets_are_code_points_in_order(text: str) -> None:
    words = split_words(text)
    assert [text[a:b] for a, b in zip(words.starts, words.ends, strict=True)] == words.forms
    bounds = np.stack([words.starts, words.ends], axis=1).ravel()
    assert (np.diff(bounds) >= 0).all()
    assert all(words.forms)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("one two, three", [0, 0, 1]),
        ("3,000 at 5:30", [0] * 5),
        ("one - two", [0, 1]),
        ("one. two three", [0, 1, 1]),
        ("one\ntwo", [0, 1]),
        ("one ... two", [0, 1]),
        ("one [link] two", [0, 1, 2]),
        ("one-two/three", [0, 0, 0]),
        ("(one) two", [0, 1]),
        ("我，很。累", [0, 1, 2]),
    ],
)
def test_clauses_end_at_punctuation(text: str, clauses: list[int]) -> None:
    result = split_words(text).clauses
    assert np.unique(result, return_inverse=True)[1].tolist() == clauses


def test_placeholders_are_marked() -> None:
    assert split_words("see [link] now").is_placeholder.tolist() == [False, True, False]


def test_features_of_a_word() -> None:
    # " ab " has the runs " a", "ab", "b " of two, " ab", "ab " of three, " ab " of four.
    analyst, keys = hash_word("AB", NgramConfig())
    runs = [b" a", b"ab", b"b ", b" ab", b"ab ", b" ab "]
    assert analyst == crc32(b"word ab")
    assert keys.tolist() == [analyst, *map(crc32, runs)]


def test_one_spelling_for_all_shapes_of_a_word() -> None:
    assert hash_word("Don’t", NgramConfig())[0] == hash_word("don't", NgramConfig())[0]
    assert hash_word("ＳＡＤ", NgramConfig())[0] == hash_word("sad", NgramConfig())[0]


def test_an_endless_word_has_few_features() -> None:
    assert len(hash_word("a" * 100_000, NgramConfig())[1]) < 200


def test_pairs_know_their_order() -> None:
    there, back = np.array([3, 5], np.uint32), np.array([5, 3], np.uint32)
    assert hash_bigrams(there) != hash_bigrams(back)
    assert len(hash_bigrams(np.array([3], np.uint32))) == 0


def known(*forms: str, pairs: list[tuple[str, str]] = ()) -> Featurizer:  # type: ignore[assignment]
    """A featurizer that knows whole words and pairs only, with idf 1, 2, 3, …"""
    grams = NgramConfig(min_chars=1, max_chars=1)
    analyst = {form: hash_word(form, grams)[0] for form in {*forms, *(w for pair in pairs for w in pair)}}
    keys = [analyst[form] for form in forms]
    keys += [int(hash_bigrams(np.array([analyst[a], analyst[b]], np.uint32))[0]) for a, b in pairs]
    return Featurizer(np.array(keys, np.uint32), np.arange(1.0, len(keys) + 1), grams)


def test_a_vector_by_hand() -> None:
    # sad x 2 with idf 1: (1 + ln 2) in two halves; alone x 1 with idf 2.
    vector = known("sad", "alone").transform("Sad, sad, alone, unknown.")
    sad, alone = 1 + log(2), 2.0
    norm = sqrt(sad**2 + alone**2)
    assert vector.columns.tolist() == [0, 0, 1]
    assert vector.word_index.tolist() == [0, 1, 2]
    np.testing.assert_allclose(vector.values, [sad / 2 / norm, sad / 2 / norm, alone / norm])


def test_a_pair_is_split_between_its_words() -> None:
    vector = known("sad", pairs=[("so", "sad")]).transform("I am so sad")
    norm = sqrt(1 + 4)
    assert vector.bigram_index.tolist() == [2]
    shares = vector.attribute_to_words(np.array([10.0, 100.0]))
    np.testing.assert_allclose(shares, [0, 0, 100 * 2 / norm / 2, 10 / norm + 100 * 2 / norm / 2])


def test_a_text_without_known_features_is_empty() -> None:
    for text in ("", "nothing known here", "…"):
        vector = known("sad").transform(text)
        assert vector.values.tolist() == []
        assert vector.attribute_to_words(np.empty(0)).tolist() == [0.0] * len(vector.words.forms)


@given(st.text(alphabet="sado alne\n,.", max_size=60), st.integers(0, 2**32 - 1))
def test_shares_add_up_to_the_product(text: str, seed: int) -> None:
    vector = known("sad", "alone", "so", pairs=[("so", "sad"), ("sad", "sad")]).transform(text)
    weights = np.random.default_rng(seed).normal(size=len(vector.columns))
    assert vector.attribute_to_words(weights).sum() == pytest.approx(float(vector.values @ weights), abs=1e-9)
