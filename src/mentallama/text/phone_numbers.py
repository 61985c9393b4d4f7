"""Find phone numbers: international ones and the usual national formats by their structure, others by region.

Structure tells a number from a date, an amount or an identifier: a country code after + or 00, an area code in
parentheses, or a leading 0 and groups. Numbers without these, such as the Danish 20 12 34 56, need `regions`, whose
numbering plans the library phonenumbers knows (`pip install mentallama[pii]`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.util import find_spec

from mentallama.errors import UsageError
from mentallama.extras import install_hint
from mentallama.text.tokenize import HANGUL, UNSPACED

MIN_DIGITS, MAX_DIGITS = 9, 12
"""Digits of a national number with its leading 0, in the countries of the languages that tasks are written in."""
_LETTER = rf"[^\W{UNSPACED}{HANGUL}]"
"""A character that may not stand beside a number; words in Chinese or Korean follow one without a space."""
_BEFORE, _AFTER = rf"(?=[+(\d])(?<!{_LETTER})(?<![$€£₹#-])(?<!\d[.,])", rf"(?!{_LETTER}|-|[.,:]\d)"
_BORDER = re.compile(_AFTER)
_STRUCTURED = re.compile(
    rf"{_BEFORE}(?:"
    r"\+\d(?:[ .()/-]{0,2}\d){7,14}"  # +44 20 7946 0123
    r"|00[1-9](?:[ .()/-]{0,2}\d){8,13}"  # 0044 20 7946 0123
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # (555) 555-0123, 1-555-555-0123
    r"|\d{3}-\d{4}"  # 555-0123
    r"|0\d{9,10}|1?\d{10}"  # 05550123456
    r"|(?:[78][ -]?)?\((?!19|20)\d{2,5}\) ?\d{2,5}(?:[ -]\d{2,4}){1,3}"  # (11) 95555-0123, 8 (912) 555-01-23
    r"|8[ -]\d{3}[ -]\d{3}[ -]\d{2}[ -]?\d{2}"  # 8 912 555-01-23
    r"|1[3-9]\d([ -])\d{4}\1\d{4}"  # 138 5555 0123
    r"|\d{2} 9\d{4}-\d{4}"  # 11 95555-0123
    r"|[6-9]\d{4} \d{5}"  # 98765 55501
    r"|[6-9]\d{2}(?: \d{2}){3}"  # 655 55 01 23
    rf"){_AFTER}"
)
_NATIONAL = re.compile(
    rf"{_BEFORE}\(?0[1-9]\d{{0,4}}\)?[ ./-]{{1,2}}\d{{2,8}}(?:([ .-])\d{{2,4}}(?:\1\d{{2,4}}){{0,3}})?{_AFTER}"
)
"""A leading 0 and groups, the separator after the area code free, the others equal: 07911 555012, 06 55 55 01 23."""
_TIME = r"(?:[01]\d|2[0-3])[0-5]\d"
_DATE_OR_TIMES = re.compile(rf"\d\d[ ./-]\d\d[ ./-](?:19|20)\d\d(?!\d)|{_TIME}(?:[ -]{_TIME})+\Z")
_THOUSANDS = re.compile(r"\d{3}(?:([ .])\d{3})(?:\1\d{3})*")
_PAIRS = re.compile(r"\d\d(?:[ .-]\d\d)+")
_OTHER_DIGIT = re.compile(r"[^\D\x00-\x7f]")


def has_enough_digits(text: str) -> bool:
    """A cheap test that rules most posts out: whether a number with seven digits could be in the text."""
    return sum(map(text.count, "0123456789")) >= 7 or (
        not text.isascii() and _OTHER_DIGIT.search(text) is not None
    )


def mask_phone_numbers(text: str, placeholder: str, regions: Iterable[str] = ()) -> tuple[str, int]:
    """Replace phone numbers; returns the text and how many were replaced.

    `regions`: ISO 3166 codes of countries whose numbering plans are tried too; needs phonenumbers.
    """
    plain = _ascii_digits(text)
    spans = [*_national_spans(plain), *(match.span() for match in _STRUCTURED.finditer(plain))]
    for region in regions:
        spans += _spans_of_region(plain, region)
    pieces, position, count = [], 0, 0
    for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start >= position:
            pieces += [text[position:start], placeholder]
            position, count = end, count + 1
    return "".join([*pieces, text[position:]]), count


def require_phone_library(regions: Iterable[str]) -> None:
    """Check `regions` before any work.

    Raises
    ------
    UsageError
        There are regions and phonenumbers is not installed, or it does not know one of them.
    """
    regions = tuple(regions)
    if not regions:
        return
    if find_spec("phonenumbers") is None:
        raise UsageError(f"collect.phone_regions needs phonenumbers: {install_hint('pii')}")
    from phonenumbers import SUPPORTED_REGIONS

    unknown = [region for region in regions if region not in SUPPORTED_REGIONS]
    if unknown:
        raise UsageError(
            f"collect.phone_regions: {unknown[0]!r} is not a country; use ISO codes such as KR, GB or FR"
        )


def _national_spans(text: str) -> Iterator[tuple[int, int]]:
    for match in _NATIONAL.finditer(text):
        if _is_national_number(match[0], text[max(0, match.start() - 2) : match.start()]):
            yield match.span()


def _is_national_number(candidate: str, before: str) -> bool:
    """Whether groups that begin with 0 are a number rather than a date, times, an amount, or a list of numbers.

    `before`: the two characters before the candidate.
    """
    n_digits = sum(map(str.isdigit, candidate))
    is_amount = (
        before[:1].isdigit() and _THOUSANDS.fullmatch(candidate) is not None
    )  # the end of 1 050 000 000
    is_list = _PAIRS.fullmatch(candidate) is not None and n_digits != 10  # the French write five pairs
    is_date = _DATE_OR_TIMES.match(candidate) is not None
    return MIN_DIGITS <= n_digits <= MAX_DIGITS and not (is_amount or is_list or is_date)


def _spans_of_region(text: str, region: str) -> Iterator[tuple[int, int]]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    for match in PhoneNumberMatcher(text, region, leniency=Leniency.VALID):
        if not _DATE_OR_TIMES.match(match.raw_string) and _BORDER.match(text, match.end):
            yield match.start, match.end


def _ascii_digits(text: str) -> str:
    """The text, of the same length, with the digits and separators of other scripts as ASCII."""
    return text if text.isascii() else text.translate(_digit_table())


@cache
def _digit_table() -> dict[int, str]:
    digits = {
        code: str(unicodedata.decimal(chr(code)))
        for code in range(0x80, 0x20000)
        if unicodedata.category(chr(code)) == "Nd"
    }
    separators = {
        "\u00a0": " ",
        "\u2007": " ",
        "\u2009": " ",
        "\u202f": " ",
        "\u3000": " ",
        "\u2010": "-",
        "\u2011": "-",
    }
    full_width = {chr(code): chr(code - 0xFEE0) for code in map(ord, "＋－（）．／")}
    return digits | {ord(mark): plain for mark, plain in (separators | full_width).items()}
