"""The notation of phrases in language files and packs, and their parts.

A phrase consists of words, matched whole and in any case; an apostrophe may be missing in the text.

| written | matches |
| --- | --- |
| `sleep*` | a word that begins so |
| `so?` | the word, or nothing |
| `(fall\\|stay) asleep` | one of the alternatives, each a phrase; `(a\\|b)?` may be missing |
| `<cannot>` | one of a list of phrases that the file names under `words` |
| `<number>` | a number in digits, such as 3, 3:30 or 3am |
| `can't … sleep` | up to three words in between, not across punctuation; `… …` up to six |
| `i'm not? {sad}` | the whole, of which only what stands in braces is the passage that counts |

In Chinese and Korean, single characters take the place of words, a phrase matches anywhere, and … stands for up to six
characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mentallama.answers.language_rules import fold_letters
from mentallama.text.tokenize import UNBORDERED

NUMBER = "<number>"
"""Form that stands for every number."""
GAP_WORDS, GAP_CHARACTERS = 3, 6

_CLITIC = "s|d|ll|ve|re"
_TOKEN = re.compile(
    rf"[{UNBORDERED}]"
    rf"|\d+(?:[.,:]\d+)*(?:(?![{UNBORDERED}])\w)*"
    rf"|'(?:{_CLITIC})\b"
    rf"|(?:(?![{UNBORDERED}])[^\W\d_])+(?:'(?!(?:{_CLITIC})\b)[^\W\d_]+)*"
    r"|[^\w\s*~\"'-]"
)
_WORD = re.compile(rf"(?P<stem>[^']+)'(?P<clitic>{_CLITIC})")
_ITEM = re.compile(
    r"\s*(?:(?P<gap>…)|(?P<core>[{}])|<(?P<list>[a-z_]+)>|(?P<open>\()|(?P<word>[^\s()<>{}|?…]+))(?P<optional>\??)"
)


class PhraseError(ValueError):
    """A phrase cannot be read."""


class Token(NamedTuple):
    """A word, a number, a punctuation mark or one character of an unspaced script, at its place in a text."""

    start: int
    end: int
    form: str
    """In lower case, without apostrophes."""


def phrase_tokens(folded: str) -> list[Token]:
    """The tokens of a folded text. A clitic such as 's is one of its own; spaces, quotation marks and hyphens are none.

    >>> [token.form for token in phrase_tokens("Mom's self-doubt, can't at 3am")]
    ['mom', 's', 'self', 'doubt', ',', 'cant', 'at', '3am']
    """
    return [Token(*match.span(), match.group().lower().replace("'", "")) for match in _TOKEN.finditer(folded)]


@dataclass(frozen=True)
class Word:
    """One token: a form, or the beginning of forms."""

    form: str
    is_prefix: bool = False


@dataclass(frozen=True)
class Gap:
    """Up to `longest` tokens that are no punctuation."""

    longest: int


@dataclass(frozen=True)
class Sequence:
    """Parts one after another. `core`: the passage that counts, where it is not the whole phrase."""

    parts: tuple[Part, ...]
    core: bool = False


@dataclass(frozen=True)
class Choice:
    """One of several alternatives; an empty `Sequence` among them makes it optional."""

    alternatives: tuple[Part, ...]


Part = Word | Gap | Sequence | Choice

_NOTHING = Sequence(())


def parse_phrase(phrase: str, words: Mapping[str, Iterable[str]]) -> Sequence:
    """Parse a phrase.

    Parameters
    ----------
    words
        The lists that `<name>` stands for.

    Raises
    ------
    PhraseError
        A bracket or brace is not closed, there is no such list, or the phrase would match nothing at all.

    Examples
    --------
    >>> parse_phrase("so? tired", {}).parts[1]
    Word(form='tired', is_prefix=False)
    """
    parsed, rest = _parse(fold_letters(phrase), words)
    if rest:
        raise PhraseError(f"{phrase!r}: a bracket or brace is closed that was not opened")
    if _may_be_empty(parsed):
        raise PhraseError(f"{phrase!r} would match any text; one word must not be optional")
    return parsed


def _may_be_empty(part: Part) -> bool:
    if isinstance(part, Sequence):
        return all(map(_may_be_empty, part.parts))
    return any(map(_may_be_empty, part.alternatives)) if isinstance(part, Choice) else isinstance(part, Gap)


def _parse(text: str, words: Mapping[str, Iterable[str]]) -> tuple[Sequence, str]:
    """Parse up to a `|`, a closing bracket or brace, or the end; returns what follows."""
    parts: list[Part] = []
    while text.strip() and text.lstrip()[0] not in "|)}":
        match = _ITEM.match(text)
        if match is None:
            raise PhraseError(f"{text!r} cannot be read")
        part, text = _item(match, text[match.end() :], words)
        if match["optional"] or (match["open"] and text.startswith("?")):
            text = text.removeprefix("?") if match["open"] else text
            part = Choice((part, _NOTHING))
        parts.append(part)
    return Sequence(_sized_gaps(parts)), text.lstrip()


def _item(match: re.Match[str], text: str, words: Mapping[str, Iterable[str]]) -> tuple[Part, str]:
    """The part that an item stands for, and what follows it."""
    if match["gap"]:
        return Gap(GAP_WORDS), text
    if match["core"]:
        inner, text = _parse(text, words)
        if not text.startswith("}"):
            raise PhraseError("a brace is not closed")
        return Sequence(inner.parts, core=True), text[1:]
    if match["open"]:
        return _parse_choice(text, words)
    if match["list"]:
        return _named_list(match["list"], words), text
    return _word(match["word"]), text


def _parse_choice(text: str, words: Mapping[str, Iterable[str]]) -> tuple[Choice, str]:
    alternatives = []
    while True:
        parsed, text = _parse(text, words)
        alternatives.append(parsed)
        if not text or text[0] == "}":
            raise PhraseError("a bracket is not closed")
        closed, text = text[0] == ")", text[1:]
        if closed:
            return Choice(tuple(alternatives)), text


def _named_list(name: str, words: Mapping[str, Iterable[str]]) -> Part:
    if f"<{name}>" == NUMBER:
        return Word(NUMBER)
    if name not in words:
        raise PhraseError(f"there is no list <{name}>")
    return Choice(tuple(parse_phrase(phrase, words) for phrase in words[name]))


def _word(word: str) -> Part:
    """The tokens of a word; one with a clitic may be written without its apostrophe, which makes it one token."""
    is_prefix = word.endswith("*")
    forms = [token.form for token in phrase_tokens(word.rstrip("*"))]
    if not forms:
        raise PhraseError(f"{word!r} has no letter")
    last = Word(forms[-1], is_prefix)
    tokens = Sequence((*map(Word, forms[:-1]), last)) if len(forms) > 1 else last
    return Choice((tokens, Word("".join(forms)))) if _WORD.fullmatch(word) else tokens


def _sized_gaps(parts: Iterable[Part]) -> tuple[Part, ...]:
    """The parts with adjacent gaps joined, each as long as the script beside it asks for."""
    joined: list[Part] = []
    for part in parts:
        if isinstance(part, Gap) and joined and isinstance(joined[-1], Gap):
            joined[-1] = Gap(joined[-1].longest + part.longest)
        else:
            joined.append(part)
    unspaced = any(_is_unspaced(part) for part in joined)
    factor = GAP_CHARACTERS // GAP_WORDS if unspaced else 1
    return tuple(Gap(part.longest * factor) if isinstance(part, Gap) else part for part in joined)


def _is_unspaced(part: Part) -> bool:
    if isinstance(part, Word):
        return re.match(f"[{UNBORDERED}]", part.form) is not None
    inner = (
        part.parts if isinstance(part, Sequence) else part.alternatives if isinstance(part, Choice) else ()
    )
    return any(map(_is_unspaced, inner))
