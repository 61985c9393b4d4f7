"""The matcher against sentences that were annotated before its rules were written, and against its contract."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mentallama.errors import UsageError
from mentallama.safety import SYMPTOM_NOTICE
from mentallama.symptoms import load_packs
from mentallama.symptoms.languages import load_language, shipped_languages
from mentallama.symptoms.matcher import SymptomMatcher, default_matcher, find_symptoms, load_lexicon
from mentallama.symptoms.status import STATUSES
from tests.symptoms.scoring import MatcherScore, read_sentences, score_matcher


def score_half(half: str) -> MatcherScore:
    matcher = default_matcher()
    return score_matcher(
        read_sentences(half),
        matcher.find,
        lambda symptom: [(pack, item) for pack, items in matcher.items_of(symptom).items() for item in items],
    )


def test_scores_on_the_sentences_that_were_held_out() -> None:
    score = score_half("held_out")
    assert (score.sentences, score.mentions) == (249, 207)
    assert score.symptom_f1 >= 0.85
    assert score.item_f1 >= 0.85
    assert score.status_accuracy >= 0.92
    assert score.statuses >= 190


def test_scores_on_the_sentences_for_development() -> None:
    score = score_half("development")
    assert score.sentences == 298
    assert min(score.symptom_f1, score.item_f1, score.status_accuracy) >= 0.95


def test_the_sentences_cover_statuses_languages_and_the_lexicon() -> None:
    rows = read_sentences("development") + read_sentences("held_out")
    assert len({row["text"] for row in rows}) == len(rows) >= 400
    assert sum(not row["mentions"] for row in rows) >= 100
    statuses = Counter(mention["status"] for row in rows for mention in row["mentions"])
    assert set(statuses) == set(STATUSES)
    assert min(statuses.values()) >= 25
    assert {row["language"] for row in rows} == set(shipped_languages())
    assert {mention["symptom"] for row in rows for mention in row["mentions"]} == set(load_lexicon())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm not sad, I just can't sleep", [("depressed-mood", "negated"), ("insomnia", "present")]),
        ("I CAN’T SLEEP", [("insomnia", "present")]),
        ("cant sleep", [("insomnia", "present")]),
        ("my sister has insomnia but I'm exhausted", [("insomnia", "someone_else"), ("fatigue", "present")]),
        ("I used to have nightmares, now I'm so anxious", [("nightmares", "past"), ("anxiety", "present")]),
        ("we moved last year and I'm so sad", [("depressed-mood", "present")]),
        ("last year I was sad and exhausted", [("depressed-mood", "past"), ("fatigue", "past")]),
        ("no longer depressed", [("depressed-mood", "past")]),
        ("maybe I'm depressed", [("depressed-mood", "uncertain")]),
        ("I don't think I'm depressed", [("depressed-mood", "negated")]),
        ("not only depressed but exhausted", [("depressed-mood", "present"), ("fatigue", "present")]),
        ("not anxious or depressed", [("anxiety", "negated"), ("depressed-mood", "negated")]),
        ("I was assaulted two years ago", [("trauma-exposure", "present")]),
        ("I died laughing", []),
        ("what depressing weather", []),
        ("", []),
    ],
)
def test_worked_sentences(text: str, expected: list[tuple[str, str]]) -> None:
    mentions = find_symptoms(text).mentions
    assert [(mention.symptom, mention.status) for mention in mentions] == expected
    assert all(text[mention.start : mention.end] == mention.quotation for mention in mentions)


def test_a_mention_names_the_items_it_speaks_for() -> None:
    (mention,) = find_symptoms("I can't sleep").mentions
    assert mention.criteria == {
        "BDI-II": ("item 16",), "DSM-5-MDD": ("A4",), "DSM-5-PTSD": ("E6",), "PHQ-9": ("sleep",),
    }  # fmt: skip
    table = find_symptoms("I can't sleep and I'm so tired, so tired")
    assert {item: len(mentions) for item, mentions in table.of_pack("PHQ-9").items()} == {
        "sleep": 1,
        "energy": 2,
    }
    assert table.of_pack("PHQ-2") == {}
    assert table.notice == SYMPTOM_NOTICE


@pytest.mark.parametrize(
    ("text", "language", "used"),
    [
        ("ich kann nicht schlafen", None, "de"),
        ("no puedo dormir", None, "es"),
        ("잠을 못 자요", None, "ko"),
        ("我睡不着", None, "zh"),
        ("zzz", None, "en"),
        ("Depression", "de", "de"),
        ("je ne dors pas", "fr", "en"),
    ],
)
def test_language_of_a_text(text: str, language: str | None, used: str) -> None:
    assert find_symptoms(text, language).language == used


@given(
    st.text(
        alphabet=st.sampled_from("I'm not sad, can't sleep. 나 죽고 싶 我睡不着 ich bin müde\n…“”"),
        max_size=60,
    )
)
def test_mentions_quote_the_text_and_are_in_order(text: str) -> None:
    mentions = find_symptoms(text).mentions
    assert [text[mention.start : mention.end] for mention in mentions] == [m.quotation for m in mentions]
    assert [mention.start for mention in mentions] == sorted(mention.start for mention in mentions)
    assert all(mention.start < mention.end for mention in mentions)


def test_every_language_has_phrases_for_every_symptom_of_the_lexicon() -> None:
    for code in shipped_languages():
        assert set(load_language(code).symptoms) == set(load_lexicon()), code


def test_every_symptom_of_the_packs_is_in_the_lexicon_and_every_symptom_in_a_pack() -> None:
    named = {name for pack in load_packs().values() for item in pack.items.values() for name in item.symptoms}
    assert named == set(load_lexicon())


OWN = """\
name: PANIC
title: Panic
kind: criteria
about: lately
source: ours
terms: free
wording: own
items: {attack: {text: panic attacks, symptoms: [panic-attacks, anxiety]}}
symptoms:
  panic-attacks:
    meaning: sudden attacks of fear
    phrases: {en: ["panic attack*", "<cannot> breathe"]}
    excluded: {en: [panic attack movie]}
"""


def test_a_pack_adds_symptoms_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "panic.yaml").write_text(OWN)
    matcher = SymptomMatcher(load_packs(tmp_path))
    found = matcher.find("I can't breathe, and my sister has panic attacks. A panic attack movie.").mentions
    own = [(m.quotation, m.status, m.criteria) for m in found if m.symptom == "panic-attacks"]
    assert own == [
        ("can't breathe", "present", {"PANIC": ("attack",)}),
        ("panic attacks", "someone_else", {"PANIC": ("attack",)}),
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "[panic-attacks, anxiety]",
            "[panic-attack]",
            r"PANIC, attack: there is no symptom 'panic-attack'; did you",
        ),
        ("<cannot>", "<cant>", r"a phrase of a criterion pack cannot be read: there is no list <cant>"),
    ],
)
def test_faults_of_a_pack_with_symptoms(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    (tmp_path / "panic.yaml").write_text(OWN.replace(old, new))
    with pytest.raises(UsageError, match=sentence):
        SymptomMatcher(load_packs(tmp_path)).find("I can't breathe")
