"""Mask personal data in a text: handles, e-mail addresses, links, phone numbers, and names introduced in the text.

The rules are fast, auditable and offline, unlike a model. They miss names that are not introduced ("my name is"), so a
person should check texts before they are published.
"""

from __future__ import annotations

import re
from collections.abc import Callable

PII_KINDS = ("mail", "link", "handle", "phone", "name")
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(PII_KINDS)})\]")
"""Matches every placeholder that `scrub` writes."""

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LINK_CHARS, _LINK_END = r"[^\s<>\"”’)\]]*", r"[^\s<>\"”’)\].,;:!?]"
_LINK = re.compile(
    rf"\b(?:https?://|www\.){_LINK_CHARS}{_LINK_END}"
    rf"|\b[\w-]+\.(?:com|org|net|edu|gov|io|co|ly|be|tv|gg|info)\b(?:/(?:{_LINK_CHARS}{_LINK_END})?)?(?![\w@])",
    re.IGNORECASE,
)
_HANDLE = re.compile(r"(?<![\w@/])@\w{2,30}|(?<![\w/])/?u/[\w-]{3,20}\b")
_PHONE = re.compile(
    r"(?<![\w.,$€£-])(?:"
    r"\+\d{1,3}[ .-]?(?:\(?\d{1,4}\)?[ .-]?){2,5}\d{2,4}"  # +44 20 7946 0123
    r"|(?:1[ .-])?(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}"  # (555) 555-0123, 1-555-555-0123
    r"|\d{3}-\d{4}"  # 555-0123
    r"|0\d{9,10}|1?\d{10}"  # 05550123456
    r")(?![\w-]|[.,]\d)"
)
# Phrases that precede the writer's own name, by language.
_NAME_INTRODUCTIONS = (
    r"my (?:real |full |first )?name(?: is|'s|’s|(?=:))|me llamo|mi nombre es|je m['’]appelle|"
    r"mon (?:nom|prénom) est|ich hei(?:ß|ss)e|mein name ist|benim ad[ıi]m|meu nome é|mi chiamo|mera naam"
)
# These precede a name only if the next word is capitalised; compare "people call me ugly".
_LOOSE_NAME_INTRODUCTIONS = (
    r"i(?:'m| am|’m|m) called|i go by(?: the name)?|(?:people|friends|you can|just) call me"
)
_CAPITALISED_WORD = r"(?-i:[A-ZÀ-ÞĀ-Ž])[\w'’-]+"
_INTRODUCED_NAME = re.compile(
    rf"\b(?:(?:{_NAME_INTRODUCTIONS})[ :]+(?P<name>[^\W\d_][\w'’-]*(?:[ ]{_CAPITALISED_WORD})?)"
    rf"|(?:{_LOOSE_NAME_INTRODUCTIONS})[ :]+(?P<capital>{_CAPITALISED_WORD}))"
    r"|(?:我(?:的名字)?(?:叫|是叫)|我的名字是|제 이름은|내 이름은|میرا نام) ?(?P<spaceless>\w{1,4})",
    re.IGNORECASE,
)
# Words after an introduction that are not names: "my name is mud", "my name is not important".
_NOT_NAMES = frozenset(
    [
        "a",
        "an",
        "the",
        "not",
        "no",
        "never",
        "on",
        "in",
        "at",
        "of",
        "to",
        "for",
        "by",
        "it",
        "that",
        "this",
        "what",
        "so",
        "still",
        "just",
        "only",
        "also",
        "always",
        "being",
        "called",
        "mud",
        "irrelevant",
        "important",
        "unimportant",
        "ruined",
        "dirt",
        "nothing",
        "something",
        "and",
        "or",
        "but",
        "because",
        "since",
        "worthless",
        "attached",
    ]
)
_INTRODUCTION_HINTS = (
    "name",
    "call",
    "go by",
    "llamo",
    "nombre",
    "appelle",
    "nom est",
    "hei",
    "adım",
    "adim",
    "chiamo",
    "nome",
    "叫",
    "名字",
    "이름",
    "نام",
    "naam",
)


def scrub(text: str) -> tuple[str, dict[str, int]]:
    """Replace personal data with typed placeholders such as `[handle]`.

    Returns
    -------
    tuple
        The masked text, and the number of replacements by kind (only kinds that occur).

    Examples
    --------
    >>> scrub("ask @maple_7 or mail me: robin@example.org")
    ('ask [handle] or mail me: [mail]', {'mail': 1, 'handle': 1})
    >>> scrub("my name is Robin. Robin is tired.")
    ('my name is [name]. [name] is tired.', {'name': 2})
    """
    counts: dict[str, int] = {}
    before = None
    while text != before:  # some data is recognised only after the handle or name beside it has been masked
        before = text
        for kind, may_match, mask in _RULES:
            if may_match(text):
                text, replaced = mask(text)
                if replaced:
                    counts[kind] = counts.get(kind, 0) + replaced
    return text, counts


def _replace(pattern: re.Pattern[str], kind: str) -> Callable[[str], tuple[str, int]]:
    return lambda text: pattern.subn(f"[{kind}]", text)


def _mask_names(text: str) -> tuple[str, int]:
    """Mask names that the writer introduces, there and wherever else the same capitalised word occurs."""
    names = {name for match in _INTRODUCED_NAME.finditer(text) if (name := _introduced_name(match))}
    if not names:
        return text, 0
    already_masked = text.count("[name]")
    text = _INTRODUCED_NAME.sub(_mask_introduction, text)
    count = text.count("[name]") - already_masked
    words = [
        re.escape(word) for name in names for word in name.split() if len(word) > 2 and word[0].isupper()
    ]
    if words:
        text, repeats = re.subn(rf"\b(?:{'|'.join(sorted(words))})\b", "[name]", text)
        count += repeats
    return text, count


def _mask_introduction(match: re.Match[str]) -> str:
    name = _introduced_name(match)
    return match[0] if name is None else match[0].removesuffix(name) + "[name]"


def _introduced_name(match: re.Match[str]) -> str | None:
    name = match["name"] or match["capital"] or match["spaceless"]
    return None if name.split()[0].lower() in _NOT_NAMES else name


def _has_digits(text: str) -> bool:
    return sum(map(text.count, "0123456789")) >= 7


def _has_introduction(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in _INTRODUCTION_HINTS)


# (kind, cheap test that rules most posts out, masking function). The order matters: a mail address contains a link's
# domain and an @ that would otherwise be read as a handle's, and links may contain an @ too.
_RULES: tuple[tuple[str, Callable[[str], bool], Callable[[str], tuple[str, int]]], ...] = (
    ("mail", lambda text: "@" in text, _replace(_MAIL, "mail")),
    ("link", lambda text: "." in text, _replace(_LINK, "link")),
    ("handle", lambda text: "@" in text or "u/" in text, _replace(_HANDLE, "handle")),
    ("phone", _has_digits, _replace(_PHONE, "phone")),
    ("name", _has_introduction, _mask_names),
)
