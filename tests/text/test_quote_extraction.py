"""Quotations are found as a careful reader finds them, whatever marks are used, and nothing is made up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sample.make import EXAMPLES, expert_answers

from mentallama.answers.parse import read_answer
from mentallama.files.imhi_release import find_expert_files, read_release_file
from mentallama.files.tables import read_table
from mentallama.tasks import load_tasks
from mentallama.text.quote_extraction import extract_quotes

PAIRS = ['""', "“”", "„“", "„”", "«»", "»«", "‹›", "「」", "『』", "””", "‘’", "‚‘", "‚’", "''", "＂＂"]


@pytest.mark.parametrize("marks", PAIRS)
def test_every_usual_kind_of_marks(marks: str) -> None:
    left, right = marks
    text = f"The post says {left}so tired of it{right}, then {left}I can't{right}. And ({left}no one{right})!"
    assert extract_quotes("", text) == ("so tired of it", "I can't", "no one")


@pytest.mark.parametrize(
    ("explanation", "quotes"),
    [
        # where quotations end
        ('He says "so tired," "alone." and "why me?!"', ("so tired", "alone", "why me")),
        ('It ends in "I am done..." and "…never again"', ("I am done", "never again")),
        ('"first line\nsecond line" is one', ("first line\nsecond line",)),
        ('cut off: "I was—" and "what if-"', ("I was", "what if")),
        ('with a face: "fine :(" and "ok"', ("fine :(", "ok")),
        ('bold: **"so low"** and "**so high**"', ("so low", "**so high**")),
        # the same quotation twice, and order
        ('"b" and "a" and “b” and "B"', ("b", "a", "B")),
        # marks that are none
        ("The writer's parents' house isn't theirs; rock 'n' roll, the '90s, 'cause.", ()),
        ('5\'10" tall and 27" wide', ()),
        ("I don’t, the boys’ room, it’s", ()),
        ('"" and “ ” and "!?" and "😭"', ()),
        ("I‚Äôm and don‚Äôt", ()),
        # single marks beside apostrophes
        ("It says 'I can't sleep' and 'don't ask'.", ("I can't sleep", "don't ask")),
        ("It says ‘I can’t sleep’ and ‘don’t ask’.", ("I can’t sleep", "don’t ask")),
        ("It says 'my friends' place' twice.", ("my friends",)),  # the shorter reading stands in the post too
        # one inside the other: the outer one
        ("\"he said 'go away' to me\"", ("he said 'go away' to me",)),
        ('“he said "go" to me”', ('he said "go" to me',)),
        ("“he said ‘go’ to me”, 'x y'", ("he said ‘go’ to me", "x y")),
        # a quotation in single marks does not reach across one in double marks
        ("the 'old \"new\" rest' here", ("new",)),
        # marks without a partner
        ('He is "tired and alone.', ()),
        ('tired." And then "real"', ("real",)),
        ('an "open one, and "a closed one"', ("a closed one",)),
        ('an "open one\n\nthen "a closed one" there', ("a closed one",)),
        ("an “open one\n \nthen “a closed one” there", ("a closed one",)),
        ("„offen und „zu“ da", ("zu",)),
        ('(see ") and "this"', ("this",)),
        # doubled as in CSV, escaped as in JSON, mistyped
        ('""so low"" and \\"so high\\"', ("so low", "so high")),
        ("他说“我很累“，然后", ("我很累",)),
        # no spaces between words
        ('作者说"我很累"，又说『没有人懂』。', ("我很累", "没有人懂")),
        ("글쓴이는 '너무 힘들어'라고, \"혼자\"라고", ("너무 힘들어", "혼자")),
        ("彼は「もう無理」と「疲れた。」", ("もう無理", "疲れた")),
        ("Cô ấy nói 'ước gì' và \"mệt quá\"", ("ước gì", "mệt quá")),
        ('وہ کہتا ہے "میں تھک گیا ہوں"۔', ("میں تھک گیا ہوں",)),
    ],
)
def test_as_a_careful_reader_would(explanation: str, quotes: tuple[str, ...]) -> None:
    assert extract_quotes("", explanation) == quotes


@pytest.mark.parametrize(
    ("fields", "quotes"),
    [
        ({"explanation": "It says “so low”.", "evidence": ["no sleep", "so low."]}, ("so low", "no sleep")),
        ({"explanation": "x", "evidence": ['"no sleep"', "“alone”.", "'I can't'"]}, ("no sleep", "alone", "I can't")),
        ({"explanation": "It says so.", "Evidence": 'he said "go" to me'}, ('he said "go" to me',)),
        ({"explanation": "x", "evidence": ['"a b" and "c d"']}, ('"a b" and "c d"',)),
        ({"explanation": "x", "evidence": ["", " ", "...", None, 3, {"quote": "x"}, ["y"]]}, ()),
        ({"explanation": "x", "evidence": None}, ()),
        ({"evidence": "They write \"so low\"."}, ("so low",)),  # it is the explanation
        ({"explanation": "x"}, ()),
    ],
)  # fmt: skip
def test_the_evidence_of_a_structured_answer(fields: dict[str, object], quotes: tuple[str, ...]) -> None:
    text = f"<think>{{a}}</think>```json\n{json.dumps({'label': 'yes', **fields})}\n```"
    reading = read_answer("DR", text)
    assert reading.status == "parsed"
    assert extract_quotes(text, reading.explanation) == quotes


WORDS = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=8)
PHRASES = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@given(marks=st.sampled_from(PAIRS[:10]), quotes=st.lists(PHRASES, max_size=5), between=PHRASES)
def test_what_was_quoted_is_read_back(marks: str, quotes: list[str], between: str) -> None:
    left, right = marks
    text = f" {between} ".join(f"{left}{quote}{right}" for quote in quotes)
    assert extract_quotes("", text) == tuple(dict.fromkeys(quotes))


MARKED = st.text(st.sampled_from("ab \n.,'’‘\"“”„«»「」\\(-累é"), max_size=60)


@given(MARKED)
def test_any_text_has_quotations_that_stand_in_it(text: str) -> None:
    quotes = extract_quotes("", text)
    assert len(set(quotes)) == len(quotes)
    for quote in quotes:
        assert quote in text
        assert quote == quote.strip()
        assert re.search(r"\n *\n", quote) is None
        assert any(map(str.isalnum, quote))


@given(MARKED, MARKED)
def test_no_quotation_reaches_across_paragraphs(one: str, two: str) -> None:
    apart = dict.fromkeys((*extract_quotes("", one), *extract_quotes("", two)))
    assert extract_quotes("", f"{one}\n\n{two}") == tuple(apart)


@given(st.text(), st.text())
def test_any_text_is_read(text: str, explanation: str) -> None:
    assert all(isinstance(quote, str) for quote in extract_quotes(text, explanation))


@pytest.mark.parametrize(
    "text",
    ["'a" + "b'c" * 60_000, '" "' * 60_000, "‘’“”«»„" * 20_000, "\\" * 200_000, "\\a" * 60_000, "\n \t" * 60_000,
     '{"a":' * 30_000, "{" * 200_000, "‘a b" * 40_000, " '" * 60_000],
)  # fmt: skip
@pytest.mark.timeout(60)  # seconds where each mark is looked at once; hours where the rest is, for each mark
def test_a_long_text_of_nothing_but_marks_is_read(text: str) -> None:
    assert all(any(map(str.isalnum, quote)) for quote in extract_quotes(text, text))


def test_the_samples_explanations_quote_their_posts() -> None:
    explanations = [answer["explanation"] for answer in expert_answers()]
    explanations += [cells["explanation"] for _, cells in read_table(EXAMPLES)]
    assert len(explanations) == 60 + 72
    for explanation in explanations:
        plain = [quote.strip(" .,;:!?…") for quote in re.findall(r'"([^"]+)"', explanation)]
        assert extract_quotes("", explanation) == tuple(dict.fromkeys(plain))


@pytest.mark.data
def test_published_explanations_quote_their_posts(data: Path) -> None:
    """Most of what experts put in quotation marks stands in the post; the rest are terms and changed words."""
    tasks, quotes, standing = load_tasks(), 0, 0
    for file in find_expert_files(data / "release", tasks):
        for row in read_release_file(file, tasks[file.set]):
            found = extract_quotes(row.reference, read_answer(file.set, row.reference).explanation)
            quotes += len(found)
            standing += sum(quote.lower() in row.text.lower() for quote in found)
    assert quotes > 50
    assert standing / quotes > 0.7
