"""ROUGE worked by hand and against rouge-score; chrF and BLEU worked by hand and against sacrebleu."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mentallama.metrics.registry import OVERLAP_METRICS
from mentallama.text.tokenize import word_tokens


def rouge(hypothesis: str, reference: str) -> dict[str, float]:
    """The three measures of one pair, 0-1."""
    return {
        name: OVERLAP_METRICS[name]([hypothesis], [reference])[0] / 100
        for name in ("rouge1", "rouge2", "rougeL")
    }


def test_rouge_worked_by_hand() -> None:
    # 6 and 5 words; common: the, cat, on, the, mat = 5 -> 2·5/11. Pairs 5 and 4, common: "the cat" -> 2·1/9.
    # Longest common subsequence: the cat on mat = 4 -> 2·4/11.
    found = rouge("the cat sat on the mat", "the cat the on mat")
    assert found == pytest.approx({"rouge1": 10 / 11, "rouge2": 2 / 9, "rougeL": 8 / 11})


def test_rouge_of_chinese_worked_by_hand() -> None:
    # 我很累 / 我不累: common 我, 累 of 3 and 3 -> 2·2/6; pairs 我很 很累 / 我不 不累: none; subsequence 我累 -> 4/6.
    assert rouge("我很累", "我不累") == pytest.approx({"rouge1": 2 / 3, "rouge2": 0.0, "rougeL": 2 / 3})


def test_rouge_of_urdu_worked_by_hand() -> None:
    # "I am very tired" / "I am tired": 4 words (میں بہت تھکا ہوں) and 3 (میں تھکا ہوں), all 3 common -> 6/7;
    # pairs 3 and 2, common "تھکا ہوں" -> 2/5; subsequence 3 -> 6/7.
    found = rouge("میں بہت تھکا ہوں", "میں تھکا ہوں")
    assert found == pytest.approx({"rouge1": 6 / 7, "rouge2": 2 / 5, "rougeL": 6 / 7})


def test_a_repeated_word_counts_as_often_as_it_stands_in_both() -> None:
    assert rouge("so so so", "so tired")["rouge1"] == pytest.approx(2 / 5)


def test_texts_too_short_for_pairs() -> None:
    assert rouge("tired", "tired")["rouge2"] == 1
    assert rouge("tired", "calm")["rouge2"] == 0
    assert rouge("", "") == {"rouge1": 1, "rouge2": 1, "rougeL": 1}
    assert rouge("", "tired") == {"rouge1": 0, "rouge2": 0, "rougeL": 0}


WORDS = st.lists(
    st.sampled_from(["grey", "calm", "week", "sleep", "累", "睡", "تھکا", "지쳤다"]), max_size=12
)


@given(WORDS)
def test_a_text_overlaps_wholly_with_itself(words: list[str]) -> None:
    text = " ".join(words)
    assert set(rouge(text, text).values()) == {1.0}


@given(WORDS, WORDS)
def test_rouge_is_symmetric_and_a_share(first: list[str], second: list[str]) -> None:
    one, other = rouge(" ".join(first), " ".join(second)), rouge(" ".join(second), " ".join(first))
    assert one == pytest.approx(other)
    assert all(0 <= value <= 1 for value in one.values())


@given(WORDS, WORDS)
def test_texts_without_a_common_word_do_not_overlap(first: list[str], second: list[str]) -> None:
    second = [word for word in second if word not in first]
    assume(first and second)
    assert set(rouge(" ".join(first), " ".join(second)).values()) == {0.0}


ENGLISH = st.lists(st.sampled_from(["the", "post", "says", "it's", "grey,", "Calm.", "42", "a"]), max_size=30)


@given(ENGLISH, ENGLISH)
def test_english_is_scored_as_rouge_score_does(first: list[str], second: list[str]) -> None:
    oracle = pytest.importorskip("rouge_score.rouge_scorer").RougeScorer(["rouge1", "rouge2", "rougeL"])
    ours, theirs = " ".join(first), " ".join(second)
    assume(
        min(len(word_tokens(ours)), len(word_tokens(theirs))) >= 2
    )  # it has no pairs of one word, we say whether it is equal
    expected = {name: score.fmeasure for name, score in oracle.score(theirs, ours).items()}
    assert rouge(ours, theirs) == pytest.approx(expected)


def test_measures_are_percentages_in_order() -> None:
    texts, references = ["a calm week", "grey"], ["a calm week", "noon"]
    assert list(OVERLAP_METRICS) == ["chrf", "bleu", "rouge1", "rouge2", "rougeL"]
    for name, function in OVERLAP_METRICS.items():
        scores = function(texts, references)
        assert scores[0] == pytest.approx(100), name
        assert scores[1] < 10, name


def test_chrf_worked_by_hand() -> None:
    # Characters of "ab" and "ac": 1-grams share 1 of 2 and 2, 2-grams none of 1 and 1; longer ones stand in neither and
    # do not count. Mean precision = mean recall = (0.5 + 0) / 2 = 0.25, so F = 0.25.
    assert OVERLAP_METRICS["chrf"](["ab"], ["ac"]) == pytest.approx([25.0])


def test_bleu_worked_by_hand() -> None:
    # "so tired of it" against "so tired of me": 3 of 4 words, 2 of 3 pairs, 1 of 2 triples, 0 of 1 quadruple, which
    # exponential smoothing counts as 1/2; both have four words, so there is no brevity penalty.
    expected = 100 * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25
    assert OVERLAP_METRICS["bleu"](["So tired, of it!"], ["so tired of me"]) == pytest.approx([expected])
    assert OVERLAP_METRICS["bleu"](["", "grey"], ["", ""]) == [100.0, 0.0]


MIXED_TEXTS = st.lists(
    st.sampled_from(
        [
            "the post",
            "says",
            "it's",
            " ",
            "\n",
            "\u3000",
            "累",
            "睡不着",
            "تھکا",
            "ہوں ",
            "요즘",
            "’",
            "😔",
            "aaaa",
            "\ud800",
        ]
    ),
    max_size=20,
).map("".join)
PAIRS = st.lists(st.tuples(MIXED_TEXTS, MIXED_TEXTS), min_size=1, max_size=5)


@given(PAIRS)
def test_chrf_is_that_of_sacrebleu(pairs: list[tuple[str, str]]) -> None:
    from sacrebleu import sentence_chrf

    found = OVERLAP_METRICS["chrf"]([text for text, _ in pairs], [reference for _, reference in pairs])
    assert found == pytest.approx([sentence_chrf(text, [reference]).score for text, reference in pairs])


@given(PAIRS)
def test_bleu_is_that_of_sacrebleu_on_our_tokens(pairs: list[tuple[str, str]]) -> None:
    from sacrebleu.metrics.bleu import BLEU

    tokens = [tuple(" ".join(word_tokens(text)) for text in pair) for pair in pairs]
    oracle = BLEU(effective_order=True, tokenize="none")
    expected = [
        oracle.sentence_score(text, [reference]).score if text or reference else 100.0
        for text, reference in tokens
    ]
    found = OVERLAP_METRICS["bleu"]([text for text, _ in pairs], [reference for _, reference in pairs])
    assert found == pytest.approx(expected)


def test_texts_of_many_different_characters_are_scored_one_by_one_or_without_packing() -> None:
    from sacrebleu import sentence_chrf

    def characters(first: int, count: int) -> str:
        return "".join(chr(first + number) for number in range(count))

    # 800 and 1,200 ideographs take 10 and 11 bits each; six of 11 bits do not fit into a key with anything.
    texts = [characters(0x4E00, 800), characters(0x5200, 1200), "abc", characters(0x4E00, 40_000 // 8) * 8]
    references = [characters(0x4E80, 700), characters(0x5280, 900), "abd", characters(0x4E10, 5000)]
    found = OVERLAP_METRICS["chrf"](texts, references)
    expected = [sentence_chrf(text, [ref]).score for text, ref in zip(texts, references, strict=True)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("name", OVERLAP_METRICS)
def test_a_pair_has_the_same_score_alone_and_among_others(name: str) -> None:
    texts = [" ".join(["calm", "grey", "week", "累"][: n % 5] * (n % 7)) for n in range(600)]
    together = OVERLAP_METRICS[name](texts, texts[::-1])
    alone = [
        OVERLAP_METRICS[name]([text], [other])[0] for text, other in zip(texts, texts[::-1], strict=True)
    ]
    assert together == pytest.approx(alone)


@pytest.mark.parametrize("name", OVERLAP_METRICS)
def test_no_pairs_have_no_scores(name: str) -> None:
    assert OVERLAP_METRICS[name]([], []) == []


@given(ENGLISH, ENGLISH)
def test_bleu_of_english_is_that_of_sacrebleu(first: list[str], second: list[str]) -> None:
    from sacrebleu import sentence_bleu

    ours, theirs = (
        " ".join(word.strip(".,").replace("'s", "").lower() for word in words) for words in (first, second)
    )
    assume(ours and theirs)
    assert OVERLAP_METRICS["bleu"]([ours], [theirs])[0] == pytest.approx(sentence_bleu(ours, [theirs]).score)


@pytest.mark.parametrize(
    ("text", "reference", "expected"),
    [
        ("我今天很累", "我今天很累", 100.0),
        ("میں تھکا ہوں", "میں تھکا ہوں", 100.0),  # three tokens: the effective order is 3
        ("요즘 잠이 안 와요", "요즘 잠이 안 와요", 100.0),
        ("我很累", "他不睡", 0.0),
    ],
)
def test_bleu_has_tokens_of_every_script(text: str, reference: str, expected: float) -> None:
    assert OVERLAP_METRICS["bleu"]([text], [reference]) == pytest.approx([expected])
