"""Mask personal data in a text: handles, e-mail addresses, links, phone numbers, and names introduced in the text.

The rules are fast, auditable and offline, unlike a model. They miss names that are not introduced ("my name is"), so a
person should check texts before they are published.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from mentallama.text.phone_numbers import has_enough_digits, mask_phone_numbers

PII_KINDS = ("mail", "link", "handle", "phone", "name")
PLACEHOLDER = re.compile(rf"\[(?:{'|'.join(PII_KINDS)})\]")
"""Matches every placeholder that `scrub` writes."""

_MaskFn = Callable[[str, Sequence[str]], tuple[str, int]]
"""(text, regions of phone numbers) -> the masked text and the number of replacements."""

_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_LINK_CHARS, _LINK_END = r"[^\s<>\"”’)\]]*", r"[^\s<>\"”’)\].,;:!?]"
_LINK_DOMAINS = ("com", "org", "net", "edu", "gov", "io", "co", "ly", "be", "tv", "gg", "info")
_LINK_HINTS = ("://", "www.", *(f".{domain}" for domain in _LINK_DOMAINS))
_LINK = re.compile(
    rf"\b(?:https?://|www\.){_LINK_CHARS}{_LINK_END}"
    rf"|(?<![\w-])(-*+)(?!-)[\w-]++\.(?:{'|'.join(_LINK_DOMAINS)})\b"
    rf"(?:/(?:{_LINK_CHARS}{_LINK_END})?)?(?![\w@])",
    re.IGNORECASE,
)
_AT_HANDLE, _REDDIT_HANDLE = r"[@＠]\w{2,30}", r"/?u/[\w-]{3,20}\b"
_HANDLES = re.compile(
    rf"(?:(?<![\w@＠/]){_AT_HANDLE}|(?<![\w/]){_REDDIT_HANDLE})(?:{_AT_HANDLE}|{_REDDIT_HANDLE})*+"
)
"""A handle, and those that follow it directly: the text before these counts as masked."""
_HANDLE = re.compile(rf"{_AT_HANDLE}|{_REDDIT_HANDLE}")
# Phrases that precede the writer's own name, by language.
_NAME_INTRODUCTIONS = (
    r"my (?:real |full |first )?name(?: is|'s|’s|(?=:))|me llamo|mi nombre es|je m['’]appelle|"
    r"mon (?:nom|prénom) est|ich hei(?:ß|ss)e|mein name ist|benim ad[ıi]m|meu nome é|mi chiamo|mera naam"
)
# These precede a name only if the next word is capitalised; compare "people call me ugly".
_LOOSE_NAME_INTRODUCTIONS = (
    r"i(?:'m| am|’m|m) called|i go by(?: the name)?|(?:people|friends|you can|just) call me"
)
_CAPITALIZED_WORD = r"(?-i:[A-ZÀ-ÞĀ-Ž])[\w'’-]+"
_INTRODUCED_NAME = re.compile(
    rf"\b(?:(?:{_NAME_INTRODUCTIONS})[ :]+(?P<name>[^\W\d_][\w'’-]*(?:[ ]{_CAPITALIZED_WORD})?)"
    rf"|(?:{_LOOSE_NAME_INTRODUCTIONS})[ :]+(?P<capital>{_CAPITALIZED_WORD}))"
    r"|(?:我(?:的名字)?(?:叫|是叫)|我的名字是|제 이름은|내 이름은|میرا نام) ?(?P<spaceless>\w{1,4})",
    re.IGNORECASE,
)
MAX_NAME = 40
"""Characters of the longest name that is looked for elsewhere in the text."""
_NAME_LIKE = re.compile(r"(?<!\w)[^\W\d_][\w'’-]*")
_NAME_PART = re.compile(r"(['’-]+)")
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


def scrub(text: str, phone_regions: Sequence[str] = ()) -> tuple[str, dict[str, int]]:
    """Replace personal data with typed placeholders such as `[handle]`.

    Parameters
    ----------
    phone_regions
        Countries whose phone numbers are found in every national format (`mask_phone_numbers`).

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
                text, replaced = mask(text, phone_regions)
                if replaced:
                    counts[kind] = counts.get(kind, 0) + replaced
    return text, counts


def _replace(pattern: re.Pattern[str], replacement: str) -> _MaskFn:
    return lambda text, _: pattern.subn(replacement, text)


def _mask_handles(text: str, _: Sequence[str]) -> tuple[str, int]:
    count = 0

    def mask(handles: re.Match[str]) -> str:
        nonlocal count
        masked, number = _HANDLE.subn("[handle]", handles[0])
        count += number
        return masked

    return _HANDLES.sub(mask, text), count


def _mask_names(text: str, _: Sequence[str]) -> tuple[str, int]:
    """Mask names that the writer introduces, there and wherever else the same capitalised word occurs."""
    names: set[str] = set()
    already_masked = text.count("[name]")

    def mask(introduction: re.Match[str]) -> str:
        name = _introduced_name(introduction)
        if name is None:
            return introduction[0]
        names.add(name)
        return introduction[0].removesuffix(name) + "[name]"

    text = _INTRODUCED_NAME.sub(mask, text)
    if not names:
        return text, 0
    words = {
        word for name in names for word in name.split() if 2 < len(word) <= MAX_NAME and word[0].isupper()
    }
    text = _NAME_LIKE.sub(lambda token: _mask_known(token[0], words), text)
    return text, text.count("[name]") - already_masked


def _mask_known(token: str, names: set[str]) -> str:
    """Mask the longest known name at each word of a token such as Robin's or Anne-Marie."""
    if token in names:
        return "[name]"
    parts = _NAME_PART.split(token)  # words and, between them, marks
    masked, index = [], 0
    while index < len(parts):
        candidates = range(min(len(parts), index + MAX_NAME), index, -1) if index % 2 == 0 else ()
        end = next((end for end in candidates if "".join(parts[index:end]) in names), None)
        masked.append(parts[index] if end is None else "[name]")
        index = index + 1 if end is None else end
    return "".join(masked)


def _introduced_name(match: re.Match[str]) -> str | None:
    name = match["name"] or match["capital"] or match["spaceless"]
    return None if name.split()[0].lower() in _NOT_NAMES else name


def _mask_phone_numbers(text: str, regions: Sequence[str]) -> tuple[str, int]:
    return mask_phone_numbers(text, "[phone]", regions)


def _has_link_hint(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in _LINK_HINTS)


def _has_introduction(text: str) -> bool:
    lowered = text.lower()
    return any(hint in lowered for hint in _INTRODUCTION_HINTS)


# (kind, cheap test that rules most posts out, masking function). The order matters: a mail address contains a link's
# domain and an @ that would otherwise be read as a handle's, and links may contain an @ too.
_RULES: tuple[tuple[str, Callable[[str], bool], _MaskFn], ...] = (
    ("mail", lambda text: "@" in text, _replace(_MAIL, "[mail]")),
    ("link", _has_link_hint, _replace(_LINK, r"\1[link]")),
    ("handle", lambda text: "@" in text or "u/" in text or "＠" in text, _mask_handles),
    ("phone", has_enough_digits, _mask_phone_numbers),
    ("name", _has_introduction, _mask_names),
)
