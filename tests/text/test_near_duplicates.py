"""Near-duplicates: on hand-made texts, and against a comparison of every pair with every other."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from rapidfuzz import fuzz

from mentallama.text.fingerprint import MIN_NEAR_KEY_LETTERS, key_hash, text_key
from mentallama.text.near_duplicates import (
    MAX_ALL_PAIRS_BUCKET,
    N_BUCKET_COLUMNS,
    PREFIX_LETTERS,
    NearDuplicateIndex,
    minhash_bands,
)

LONG = "the rain went on all week and nobody in the house said a word about the letter on the table"


def clusters(folder: Path, texts: list[str], size: int = 1000) -> tuple[list[int], list[int]]:
    """Index texts in batches of `size`; (same, near)."""
    keys, index = [text_key(text) for text in texts], NearDuplicateIndex(folder)
    for start in range(0, len(texts), size):
        part = slice(start, start + size)
        hashes = np.array([key_hash(key) for key in keys[part]], dtype=np.uint64)
        index.add(keys[part], hashes, minhash_bands(texts[part], keys[part]))
    same, near = index.clusters()
    index.close()
    return same.tolist(), near.tolist()


def test_equal_near_and_other_texts(tmp_path: Path) -> None:
    texts = [
        LONG,
        "a dog ran over the hill and back again, twice, because the gate had been left open by someone",
        LONG.upper() + "!!!",  # the same key
        LONG.replace("letter", "lettre"),  # two letters of 73 changed places
        LONG.replace("week", "weekend"),
    ]
    assert clusters(tmp_path, texts) == ([0, 1, 0, 3, 4], [0, 1, 0, 0, 0])


def test_near_is_85_of_100_letters(tmp_path: Path) -> None:
    # rapidfuzz's ratio of equally long keys with k of n letters replaced is 100 (n - k) / n
    letters, other = "abcdefghij" * 10, "0123456789" * 10
    for changed, joined in ((14, True), (15, True), (16, False)):
        near = letters[: 100 - changed] + other[:changed]
        same_column = minhash_bands([letters, near], [letters, near])
        same_column[1] = same_column[0]  # let them meet whatever their shingles
        index = NearDuplicateIndex(tmp_path)
        index.add([letters, near], np.array([1, 2], dtype=np.uint64), same_column)
        assert (index.clusters()[1].tolist() == [0, 0]) == joined, changed
        index.close()


def test_a_text_cut_off_late_is_a_copy_and_one_that_only_begins_alike_is_not(tmp_path: Path) -> None:
    draw = random.Random(3)
    words = [f"{a}{b}{c}" for a in "bdgk" for b in "aeiou" for c in "lmnrst"]
    long = " ".join(draw.choices(words, k=400))
    cut = long[:700]
    short_cut = long[:150]  # 113 letters: too short to stand for the whole
    assert len(text_key(cut)) > PREFIX_LETTERS > len(text_key(short_cut)) > MIN_NEAR_KEY_LETTERS
    assert clusters(tmp_path, [long, cut, short_cut])[1] == [0, 0, 2]


@pytest.mark.timeout(60)  # milliseconds for the letters that are compared; minutes for all of them
def test_of_two_long_posts_the_beginnings_are_compared(tmp_path: Path) -> None:
    draw = random.Random(8)
    post = "".join(draw.choices("abcdefghij ", k=1_000_000))
    other = "".join(draw.choices("abcdefghij ", k=1_000_000))
    texts = [post, post[:500] + "klmno" + post[500:], other]
    assert clusters(tmp_path, texts) == ([0, 1, 2], [0, 0, 2])


def test_short_posts_are_the_same_only_when_equal(tmp_path: Path) -> None:
    texts = ["i cannot sleep at all", "i cannot sleep at ala", "I cannot sleep, at all.", "yes", "no", "Yes!"]
    assert all(len(text_key(text)) < MIN_NEAR_KEY_LETTERS for text in texts)
    assert clusters(tmp_path, texts) == ([0, 1, 0, 3, 4, 3], [0, 1, 0, 3, 4, 3])


@pytest.mark.parametrize(("length", "joined"), [(29, False), (30, True)])
def test_short_is_under_thirty_letters(length: int, joined: bool, tmp_path: Path) -> None:
    left = "it rained and so we all went home again early"[: length + 9].rstrip()
    while len(text_key(left)) != length:
        left = left[:-1]
    near = clusters(tmp_path, [left, left[:-1] + "z"])[1]
    assert near == ([0, 0] if joined else [0, 1])


@pytest.mark.parametrize(
    ("post", "copy"),
    [
        ("We met at the café at noon, as we always do.", "We met at the caf at noon, as we always do."),
        ("我今天真的很累不想和任何人说话只想睡觉了", "我今天真的很累不想和任何人讲话只想睡觉了"),
        ("今日は本当に疲れて誰とも話したくない気分です", "今日は本当に疲れて誰とも話したくない気持です"),
        ("오늘은정말너무피곤해서아무도만나고싶지않아요", "오늘은정말너무피곤해서아무도만나고싶지않네요"),
        (
            "오늘은 정말 너무 피곤해서 아무도 만나고 싶지 않아",
            "오늘은 정말 너무 피곤해서 아무도 보고 싶지 않아",
        ),
        ("วันนี้ฉันเหนื่อยมากและไม่อยากคุยกับใครเลย", "วันนี้ฉันเหนื่อยมากและไม่อยากพบกับใครเลย"),
        ("ថ្ងៃនេះខ្ញុំហត់ណាស់ហើយមិនចង់និយាយជាមួយអ្នកណាទេ", "ថ្ងៃនេះខ្ញុំហត់ណាស់ហើយមិនចង់និយាយជាមួយអ្នកណាឡើយ"),
        ("أنا متعب جدا اليوم ولا أريد أن أتكلم مع أحد", "أنا متعب جدا الآن ولا أريد أن أتكلم مع أحد"),
    ],
)
def test_near_copies_in_other_scripts_are_found(post: str, copy: str, tmp_path: Path) -> None:
    assert clusters(tmp_path, [post, copy]) == ([0, 1], [0, 0])


@pytest.mark.parametrize(
    ("post", "other"),
    [
        ("I feel so sad today", "I feel so bad today"),
        ("我今天觉得很难过", "我今天觉得很开心"),
        ("오늘 너무 슬퍼요", "오늘 너무 기뻐요"),
        ("今日はとても悲しい", "今日はとても嬉しい"),
        ("วันนี้ฉันเศร้ามาก", "วันนี้ฉันสุขมาก"),
        # the same long hashtags, and a few words that say the opposite
        (
            "#depression #mentalhealth #anxiety 죽고 싶다 정말",
            "#depression #mentalhealth #anxiety 오늘은 행복해",
        ),
        ("#depression #mentalhealth #anxiety 我不想活了", "#depression #mentalhealth #anxiety 今天真开心"),
    ],
)
def test_short_posts_that_say_something_else_are_none(post: str, other: str, tmp_path: Path) -> None:
    assert clusters(tmp_path, [post, other]) == ([0, 1], [0, 1])


def test_letters_count_not_bytes(tmp_path: Path) -> None:
    # twelve Chinese letters are 36 bytes; still one changed letter is another post
    assert clusters(tmp_path, ["我今天很累想回家睡觉了啊", "你今天很累想回家睡觉了啊"])[1] == [0, 1]
    draw = random.Random(5)
    letters = [chr(code) for code in range(0x4E00, 0x5A00)]
    text = "".join(draw.choices(letters, k=100))
    near = text[:50] + "我" + text[51:]
    half = text[:50] + "".join(draw.choices(letters, k=50))
    assert clusters(tmp_path, [text, near, half])[1] == [0, 0, 2]


def test_posts_without_letters_are_only_like_themselves(tmp_path: Path) -> None:
    assert clusters(tmp_path, ["!!!", "", "[name]", "..."]) == ([0, 1, 2, 3], [0, 1, 2, 3])


def test_no_posts_at_all(tmp_path: Path) -> None:
    same, near = clusters(tmp_path, [])
    assert (same, near) == ([], [])
    assert minhash_bands([], []).shape == (0, N_BUCKET_COLUMNS)


def test_copies_of_copies_are_one_cluster(tmp_path: Path) -> None:
    words = LONG.split()
    texts = [" ".join([*words[:place], "x", *words[place + 1 :]]) for place in range(len(words))]
    assert len(texts) > MAX_ALL_PAIRS_BUCKET
    assert set(clusters(tmp_path, texts)[1]) == {0}


def test_more_copies_than_are_compared_one_with_each_other(tmp_path: Path) -> None:
    texts = [f"{LONG} number {number}" for number in range(5 * MAX_ALL_PAIRS_BUCKET)]
    assert set(clusters(tmp_path, texts)[1]) == {0}


# --- against brute force --------------------------------------------------------------------------------


def planted(seed: int = 11) -> list[str]:
    """300 texts: 120 originals, some of them once, twice or three times more with edits of every size."""
    draw = random.Random(seed)
    words = [f"{a}{b}{c}{d}" for a in "bdgkmprt" for b in "aeiou" for c in "lmnrst" for d in ("", "a", "ed")]
    originals = [draw.choices(words, k=draw.randint(15, 90)) for _ in range(120)]
    texts = [" ".join(original) for original in originals]
    while len(texts) < 300:
        copy = list(draw.choice(originals))
        for _ in range(draw.randint(1, max(2, len(copy) // 8))):
            place, edit = draw.randrange(len(copy)), draw.choice(["replace", "drop", "insert", "typo"])
            if edit == "drop":
                copy.pop(place)
            elif edit == "insert":
                copy.insert(place, draw.choice(words))
            else:
                copy[place] = draw.choice(words) if edit == "replace" else copy[place][::-1]
        texts.append(" ".join(copy))
    draw.shuffle(texts)
    return texts


def test_almost_every_near_pair_is_found_and_no_cluster_lacks_a_near_pair(tmp_path: Path) -> None:
    texts = planted()
    keys = [text_key(text) for text in texts]
    ratios = {(a, b): fuzz.ratio(keys[a], keys[b]) for a, b in combinations(range(len(keys)), 2)}
    near = clusters(tmp_path, texts)[1]

    wanted = [pair for pair, ratio in ratios.items() if ratio >= 90]
    found = [(a, b) for a, b in wanted if near[a] == near[b]]
    assert len(wanted) > 150
    assert len(found) >= 0.99 * len(wanted)

    # Every post hangs on its cluster by a pair that is truly near: walk the near pairs from the first post.
    linked: dict[int, set[int]] = defaultdict(set)
    for (a, b), ratio in ratios.items():
        beginnings = min(len(keys[a]), len(keys[b])) >= PREFIX_LETTERS
        cut = min(len(keys[a]), len(keys[b])) if beginnings else None
        if ratio >= 85 or (beginnings and fuzz.ratio(keys[a][:cut], keys[b][:cut]) >= 85):
            linked[a].add(b)
            linked[b].add(a)
    for first in set(near):
        reached, todo = {first}, [first]
        while todo:
            new = linked[todo.pop()] - reached
            reached |= new
            todo += new
        assert {post for post, cluster in enumerate(near) if cluster == first} <= reached
    assert len(set(near)) > 100


@pytest.mark.parametrize("size", [1, 7, 299])
def test_clusters_do_not_depend_on_the_size_of_batches(size: int, tmp_path: Path) -> None:
    texts = planted(seed=12)
    assert clusters(tmp_path, texts, size) == clusters(tmp_path, texts)


def test_a_cluster_is_named_by_its_first_post(tmp_path: Path) -> None:
    same, near = clusters(tmp_path, planted(seed=13))
    assert all(first <= post and near[first] == first for post, first in enumerate(near))
    assert all(near[post] == near[equal] for post, equal in enumerate(same))
