"""Scrubbing, case by case: what goes, what stays, and that a second time changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mentallama.errors import UsageError
from mentallama.text.phone_numbers import require_phone_library
from mentallama.text.pii import PII_KINDS, PLACEHOLDER, scrub

# Names, numbers and addresses are made up or reserved (555-01xx, 7946 0xxx, example.*).
GOES = [
    ("mail", "write to robin@example.org please", "write to [mail] please"),
    ("mail", "robin.b+list@mail.example.co.uk!", "[mail]!"),
    ("mail", "(robin_b@example.com)", "([mail])"),
    ("link", "see https://example.org/a?b=c&d=1.", "see [link]."),
    ("link", "see http://example.org/a_(b", "see [link]"),
    ("link", "www.example.org, mostly", "[link], mostly"),
    ("link", "“https://example.org/x”", "“[link]”"),
    ("link", "(https://example.org)", "([link])"),
    ("link", "it is on example.com/diary", "it is on [link]"),
    ("link", "EXAMPLE.COM is down", "[link] is down"),
    ("handle", "ask @maple_7", "ask [handle]"),
    ("handle", "@maple_7: thanks", "[handle]: thanks"),
    ("handle", "thanks u/maple-seven!", "thanks [handle]!"),
    ("handle", "thanks /u/maple-seven", "thanks [handle]"),
    ("handle", "(@maple_7)", "([handle])"),
    ("handle", "@maple_7@birch_8", "[handle][handle]"),
    ("phone", "call 555-0123 now", "call [phone] now"),
    ("phone", "call (555) 555-0123.", "call [phone]."),
    ("phone", "1-555-555-0123", "[phone]"),
    ("phone", "555.555.0123", "[phone]"),
    ("phone", "+44 20 7946 0123", "[phone]"),
    ("phone", "+90 555 555 01 23", "[phone]"),
    ("phone", "05550123456", "[phone]"),
    ("phone", "5555550123", "[phone]"),
    # national formats, with numbers that are reserved for fiction where a country has some
    ("phone", "010-5555-0123", "[phone]"),
    ("phone", "연락처는 010-5555-0123로", "연락처는 [phone]로"),
    ("phone", "电话13855550123。", "电话[phone]。"),
    ("phone", "138 5555 0123", "[phone]"),
    ("phone", "０９０－５５５５－０１２３", "[phone]"),
    ("phone", "٠١٠ ٥٥٥٥ ٠١٢٣", "[phone]"),
    ("phone", "07700 900123", "[phone]"),
    ("phone", "07700\u00a0900123", "[phone]"),
    ("phone", "Tel.020 7946 0123", "Tel.[phone]"),
    ("phone", "01632 960 001", "[phone]"),
    ("phone", "06 55 55 01 23", "[phone]"),
    ("phone", "06.55.55.01.23", "[phone]"),
    ("phone", "030/5550123", "[phone]"),
    ("phone", "(030) 555 0123", "[phone]"),
    ("phone", "0151 55550123", "[phone]"),
    ("phone", "0532 555 01 23", "[phone]"),
    ("phone", "0812-5555-0123", "[phone]"),
    ("phone", "0300-5550123", "[phone]"),
    ("phone", "(11) 95555-0123", "[phone]"),
    ("phone", "8 (912) 555-01-23", "[phone]"),
    ("phone", "655 55 01 23", "[phone]"),
    ("phone", "0044 20 7946 0123", "[phone]"),
    ("phone", "+49 (0)30 5550123", "[phone]"),
    ("name", "my name is Robin", "my name is [name]"),
    ("name", "My name is Anne-Marie. Anne-Marie's cat", "My name is [name]. [name]'s cat"),
    ("name", "my name is robin and I write", "my name is [name] and I write"),
    ("name", "My name’s Robin Birch.", "My name’s [name]."),
    ("name", "My name: Robin", "My name: [name]"),
    ("handle", "ask ＠maple_7", "ask [handle]"),
    ("name", "i go by Robin", "i go by [name]"),
    ("name", "people call me Robin", "people call me [name]"),
    ("name", "I'm called Robin", "I'm called [name]"),
    ("name", "me llamo Roble", "me llamo [name]"),
    ("name", "Mi nombre es Encina", "Mi nombre es [name]"),
    ("name", "je m’appelle Hêtre", "je m’appelle [name]"),
    ("name", "ich heiße Birke", "ich heiße [name]"),
    ("name", "benim adım Çınar", "benim adım [name]"),
    ("name", "mi chiamo Quercia", "mi chiamo [name]"),
    ("name", "我叫小树", "我叫[name]"),
    ("name", "제 이름은 나무", "제 이름은 [name]"),
]

STAYS = [
    "my name is not important",
    "my name is mud",
    "my name is on the list",
    "people call me ugly",
    "they just call me lazy",
    "I go by bus",
    "call me tomorrow",
    "a friend called me stupid",
    "the name of the film",
    "on 12.03.2021 and 2021-03-12",
    "from 2019-2021 it got worse",
    "it was $1,200.50, then 1,000,000",
    "€1234567",
    "₹98765 43210",
    "#1234567890",
    "10/10 would sleep again",
    "at 10:30 and again at 23:59:59",
    "I slept 3.5 hours in 1999",
    "06-12-2021 10:30",
    "01.02.2019-03.04.2020",
    "at 01 02 2021",
    "from 0900-1700 and 0900-1700",
    "numbers 04 08 15 16 23 42",
    "2 000 000 000 won, or 1 050 000 000",
    "ISBN 978-3-16-148410-0",
    "120/80, 130/85 and 140/90",
    "0.001 0.002 0.003",
    "1999 2000 2001 2002",
    "50 100 200 400 mg",
    "00:00:01 00:00:02",
    "1234567",
    "room 404, floor 12, 300 mg",
    "a 5-4 win",
    "meet @ 7",
    "me @ home",
    "rated good@home by nobody",
    "a/b/c and/or you/me",
    "i.e. this, e.g. that",
    "end of it.Then nothing",
    "r/depression",
    "www",
    "…and so on...",
    "",
]


@pytest.mark.parametrize(("kind", "text", "scrubbed"), GOES)
def test_personal_data_goes(kind: str, text: str, scrubbed: str) -> None:
    count = scrubbed.count(f"[{kind}]")
    assert scrub(text) == (scrubbed, {kind: count})
    assert count >= 1


@pytest.mark.parametrize("text", STAYS)
def test_what_is_nobodys_stays(text: str) -> None:
    assert scrub(text) == (text, {})


def test_all_kinds_at_once_are_counted_each() -> None:
    text = (
        "My name is Robin. Robin's page: www.example.org, robin@example.org or @robin_b, @robin_c; 555-0123"
    )
    assert scrub(text) == (
        "My name is [name]. [name]'s page: [link], [mail] or [handle], [handle]; [phone]",
        {"mail": 1, "link": 1, "handle": 2, "phone": 1, "name": 2},
    )


def test_every_kind_has_a_case() -> None:
    assert {kind for kind, _, _ in GOES} == set(PII_KINDS)
    assert [PLACEHOLDER.fullmatch(f"[{kind}]") is not None for kind in PII_KINDS] == [True] * 5


def test_a_first_name_goes_wherever_it_stands_again_but_not_inside_words() -> None:
    assert scrub("My name is Rob. Rob likes robins, Robins too; ROB")[0] == (
        "My name is [name]. [name] likes robins, Robins too; ROB"
    )


def test_a_placeholder_that_already_stood_there_is_not_counted() -> None:
    assert scrub("[name] said: my name is Robin") == ("[name] said: my name is [name]", {"name": 1})


def test_two_introductions_of_one_name() -> None:
    assert scrub("My name is Rob. I said, my name is Rob.") == (
        "My name is [name]. I said, my name is [name].",
        {"name": 2},
    )


PIECES = [
    "my name is ", "i go by ", "people call me ", "me llamo ", "我叫", "小树", "제 이름은 ", "Robin",
    "Ann Lee", "not",
    "the ", "[name]", "[handle]", "@", "@ab", "/u/", "u/abc", "a@b.co", "www.", "http://", "x.com", "/",
    ".", " ", ", ",
    "555-0123", "+44 20 7946 0123", "0", "5555550123", "(555)", "-", "'s", "\n", "é", "_", "]", "[",
]  # fmt: skip


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=10).map("".join))
@example("@ab@ab@ab")
@example("我叫我叫@abthe ")
@example("@ab@aba@b.co")
def test_scrubbing_twice_changes_nothing(text: str) -> None:
    once, counts = scrub(text)
    assert scrub(once) == (once, {})
    assert set(counts) <= set(PII_KINDS)
    assert (counts == {}) == (once == text)


@pytest.mark.parametrize(
    ("number", "region"),
    [("20 12 34 56", "DK"), ("512 345 678", "PL"), ("9123 4567", "SG"), ("1588-1234", "KR")],
)
def test_a_number_that_only_its_country_knows_goes_where_that_is_named(number: str, region: str) -> None:
    pytest.importorskip("phonenumbers")
    text = f"ring me: {number}, or not"
    assert scrub(text) == (text, {})
    assert scrub(text, [region]) == ("ring me: [phone], or not", {"phone": 1})


def test_unknown_countries_and_a_missing_library_are_told_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    require_phone_library(())
    monkeypatch.setattr("mentallama.text.phone_numbers.find_spec", lambda _: None)
    require_phone_library(())
    with pytest.raises(UsageError, match="phone_regions needs phonenumbers: pip install"):
        require_phone_library(["KR"])


def test_a_code_that_is_no_country_is_refused() -> None:
    pytest.importorskip("phonenumbers")
    with pytest.raises(UsageError, match="'UK' is not a country"):
        require_phone_library(["KR", "UK"])


@pytest.mark.parametrize("text", [text for text in STAYS if "1234567" not in text])
def test_what_is_nobodys_stays_in_its_country_too(text: str) -> None:
    pytest.importorskip("phonenumbers")
    assert scrub(text, ["GB", "FR", "KR"]) == (text, {})


@pytest.mark.parametrize(
    "text",
    ["@ab" * 300_000, "u/abc/" * 150_000, "a-" * 500_000 + ".", "a." * 500_000, "a@" * 500_000, "@" + "a-" * 500_000,
     "+1" * 500_000, "0 " * 500_000, "01 " * 300_000, "+" + "1" * 1_000_000, "my name is Robin " * 60_000,
     "".join(f"my name is Ab{n} " for n in range(50_000)), "my name is Rob" + "-Rob" * 250_000, "我叫" * 400_000,
     "www." * 250_000, "http://" * 150_000, "(" * 500_000 + "1" * 500_000, "1-" * 500_000, "-" * 1_000_000 + ".com"],
)  # fmt: skip
@pytest.mark.timeout(
    60
)  # seconds where each character is looked at a few times; hours where the rest is, each time
def test_a_megabyte_of_anything_is_scrubbed(text: str) -> None:
    masked, counts = scrub(text)
    assert (counts == {}) == (masked == text)


@given(st.text(alphabet="abc ,.!?\n’éß我이", max_size=60))
def test_a_text_without_any_sign_of_personal_data_is_left_alone(text: str) -> None:
    assert scrub(text) == (text, {})
