"""Phrases of a language file as regular expressions, and a fast search for many of them at once.

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

In Chinese, words follow one another without spaces, and … stands for up to six characters.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from mentallama.answers.language_rules import fold_letters
from mentallama.text.tokenize import UNBORDERED_LETTER

Key = TypeVar("Key")

_ITEM = re.compile(
    r"\s*(?:(?P<gap>…)|(?P<core>[{}])|<(?P<list>[a-z_]+)>(?P<list_optional>\??)|(?P<open>\()|(?P<word>[^\s()<>{}|?…]+)(?P<optional>\??))"
)
_SEPARATOR = r"(?:[\s*_~\"-]+|(?='))"
"""Between two words: spaces, a hyphen or marks of emphasis; nothing before a clitic such as 's."""
_GAP_WORD, _GAP_WORDS = r"(?:[\s*_~\"-]+[^\s.,;:!?()。，！？]+)", 3
_GAP_CHARACTER, _GAP_CHARACTERS = r"[^\s.,;:!?()。，！？、；]", 6
_WORD_END = r"(?!\w|'t)"
"""Not within a word: "can" is no part of "can't", while "mom" is one of "mom's"."""


class PhraseError(ValueError):
    """A phrase cannot be read."""


class _Compiled(NamedTuple):
    """Source of a pattern, and literals of which a text that it matches contains one; () if there is no such set."""

    source: str
    literals: tuple[str, ...]


def compile_phrase(phrase: str, words: Mapping[str, Iterable[str]]) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Pattern of a phrase for folded text, and literals in lower case of which every match contains one.

    Parameters
    ----------
    words
        The lists that `<name>` stands for.

    Raises
    ------
    PhraseError
        A bracket is not closed, there is no such list, or the phrase would match any text.

    Examples
    --------
    >>> pattern, literals = compile_phrase("can't … (fall|stay) asleep", {})
    >>> pattern.search("I cant seem to fall asleep").group(), literals
    ('cant seem to fall asleep', ('asleep',))
    """
    compiled, rest = _sequence(fold_letters(phrase), words, depth=0)
    if rest:
        raise PhraseError(f"{phrase!r}: a bracket is closed that was not opened")
    if not compiled.literals:
        raise PhraseError(f"{phrase!r} would match any text; one word must not be optional")
    source = f"(?:{_left(compiled)}){compiled.source}"
    return re.compile(source, re.IGNORECASE), compiled.literals


def _left(compiled: _Compiled) -> str:
    if all(map(_is_unbordered, compiled.literals)):
        return ""
    return r"(?<!\w)(?<!\w')(?=[\w'])|(?=[^\w'])"


def _is_unbordered(literal: str) -> bool:
    return UNBORDERED_LETTER.match(literal) is not None


def _sequence(text: str, words: Mapping[str, Iterable[str]], depth: int) -> tuple[_Compiled, str]:
    """Compile items up to a `|`, a `)` or the end; returns what follows them."""
    literals: tuple[str, ...] = ()
    source, braces, opening, gaps, first = "", "", "", 0, True
    while text.strip() and text.lstrip()[0] not in "|)":
        match = _ITEM.match(text)
        if match is None:
            raise PhraseError(f"{text!r} cannot be read")
        text = text[match.end() :]
        if match["gap"]:
            gaps += 1
        elif match["core"]:
            braces += match["core"]
            if match["core"] == "{":
                opening = "("
            else:
                source += ")"
        else:
            item, optional, text = _item(match, text, words, depth)
            between = "" if first else _between(item, gaps)
            if first and optional:
                source += f"{opening}(?:{item.source}{_SEPARATOR})?"
            elif optional:
                source += f"{opening}(?:{between}{item.source})?"
            else:
                source += f"{between}{opening}{item.source}"
                literals = max(literals, item.literals, key=_worth)
            first, gaps, opening = first and optional, 0, ""
    if opening or braces not in {"", "{}"} or (braces and depth):
        raise PhraseError("braces enclose one part of a phrase, and not within brackets")
    return _Compiled(source, literals), text.lstrip()


def _item(
    match: re.Match[str], text: str, words: Mapping[str, Iterable[str]], depth: int
) -> tuple[_Compiled, bool, str]:
    """One item, whether it is optional, and what follows it."""
    if match["open"]:
        item, text = _group(text, words, depth + 1)
        return item, text.startswith("?"), text.removeprefix("?")
    if match["list"]:
        return _named_list(match["list"], words), bool(match["list_optional"]), text
    return _word(match["word"]), bool(match["optional"]), text


def _between(item: _Compiled, gaps: int) -> str:
    if all(map(_is_unbordered, item.literals)):
        return rf"{_GAP_CHARACTER}{{0,{gaps * _GAP_CHARACTERS}}}?\s*" if gaps else r"\s*"
    return (f"{_GAP_WORD}{{0,{gaps * _GAP_WORDS}}}?" if gaps else "") + _SEPARATOR


def _group(text: str, words: Mapping[str, Iterable[str]], depth: int) -> tuple[_Compiled, str]:
    alternatives = []
    while True:
        item, text = _sequence(text, words, depth)
        alternatives.append(item)
        if not text:
            raise PhraseError("a bracket is not closed")
        closed, text = text[0] == ")", text[1:]
        if closed:
            return _any_of(alternatives), text


def _named_list(name: str, words: Mapping[str, Iterable[str]]) -> _Compiled:
    if name == "number":
        return _Compiled(rf"\d[\d.,:]*[a-z]{{0,3}}{_WORD_END}", ())
    if name not in words:
        raise PhraseError(f"there is no list <{name}>")
    return _any_of([_sequence(fold_letters(phrase), words, 1)[0] for phrase in words[name]])


def _any_of(alternatives: list[_Compiled]) -> _Compiled:
    known = all(item.literals for item in alternatives)
    literals = tuple(dict.fromkeys(literal for item in alternatives for literal in item.literals))
    # The longest first, so that none hides one that begins with it.
    sources = sorted({item.source for item in alternatives}, key=lambda source: (-len(source), source))
    return _Compiled(f"(?:{'|'.join(sources)})", literals if known else ())


def _word(word: str) -> _Compiled:
    core = word.rstrip("*")
    source = re.escape(core).replace("'", "'?")
    longest = max(core.lower().split("'"), key=len)
    if _is_unbordered(core[-1:]):
        return _Compiled(source, (longest,))
    rest = r"[\w']*" if word.endswith("*") else ""
    return _Compiled(rf"{source}{rest}{_WORD_END}", (longest,))


def _worth(literals: tuple[str, ...]) -> float:
    """How well literals tell texts apart: long ones are rare, and few are quickly looked for."""
    return min(map(len, literals)) - len(literals) / 4 if literals else float("-inf")


@dataclass(frozen=True)
class PhraseMatch(Generic[Key]):
    """A phrase in a text, and the key that it stands for."""

    start: int
    end: int
    key: Key


class PhraseIndex(Generic[Key]):
    """Many phrases, found together: a pattern is tried only on texts that contain one of its literals."""

    def __init__(self, phrases: Mapping[Key, Iterable[str]], words: Mapping[str, Iterable[str]]) -> None:
        patterns: dict[tuple[str, ...], dict[Key, list[str]]] = defaultdict(lambda: defaultdict(list))
        for key, entries in phrases.items():
            for entry in entries:
                pattern, literals = compile_phrase(entry, words)
                patterns[literals][key].append(pattern.pattern)
        by_literal: dict[str, list[tuple[Key, re.Pattern[str]]]] = defaultdict(list)
        for literals, keys in patterns.items():
            for key, sources in keys.items():
                pattern = re.compile("|".join(sorted(sources, key=len, reverse=True)), re.IGNORECASE)
                for literal in literals:
                    by_literal[literal].append((key, pattern))
        self._by_literal = tuple((literal, tuple(found)) for literal, found in by_literal.items())

    def find(self, folded: str) -> Iterator[PhraseMatch[Key]]:
        """Matches in a folded text; those of different patterns may overlap or be equal."""
        lower = folded.lower()
        for literal, patterns in self._by_literal:
            if literal in lower:
                for key, pattern in patterns:
                    for match in pattern.finditer(folded):
                        # the one group that took part is the part in braces; without any, 0 is the whole
                        yield PhraseMatch(*match.span(match.lastindex or 0), key)
