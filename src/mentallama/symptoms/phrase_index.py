"""Find many phrases at once: a finite automaton over tokens, made deterministic as texts need it.

Each phrase is a small non-deterministic automaton. From every token of a text, one walk follows all of them together:
its states are sets of theirs, and transitions are computed when a text first takes them (subset construction, Rabin and
Scott 1959). Most walks end at their first token, so that the cost of a text hardly depends on the number of phrases.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

from mentallama.symptoms.phrases import NUMBER, Choice, Part, Sequence, Token, Word, parse_phrase

Key = TypeVar("Key")

MAX_TRANSITIONS = 200_000
"""Known transitions above which they are forgotten and computed anew; English posts take some ten thousand."""

_ANY = 0
"""Number of the class of all tokens but punctuation."""
_DEAD = -1


@dataclass(frozen=True)
class PhraseMatch(Generic[Key]):
    """A phrase in a text, and the key that it stands for."""

    start: int
    end: int
    key: Key


class _Edge(NamedTuple):
    """A step on one token of class `symbol`; `in_core` if the token is part of what stands in braces."""

    symbol: int
    target: int
    in_core: bool


class _Accepted(NamedTuple):
    """The phrase that a state completes: its key's number, its first state, and whether it has braces."""

    key: int
    first: int
    has_core: bool


class _Alphabet:
    """Classes of tokens: words and beginnings of words that phrases name."""

    def __init__(self) -> None:
        self._exact: dict[str, int] = {}
        self._prefixes: dict[str, int] = {}

    def symbol(self, word: Word) -> int:
        known = self._prefixes if word.is_prefix else self._exact
        return known.setdefault(word.form, len(self._exact) + len(self._prefixes) + 1)

    def symbols_of(self, form: str) -> frozenset[int]:
        """The classes that a token belongs to."""
        exact = {form, NUMBER} if form[0].isdigit() else {form}
        symbols = {self._exact[each] for each in exact & self._exact.keys()}
        symbols |= {self._prefixes[form[:n]] for n in range(1, len(form) + 1) if form[:n] in self._prefixes}
        return frozenset(symbols | {_ANY} if form[0].isalnum() else symbols)


class PhraseIndex(Generic[Key]):
    """Phrases by key, ready to be found, also by several threads.

    Parameters
    ----------
    words
        The lists that the phrases refer to.

    Raises
    ------
    PhraseError
        As `parse_phrase`.
    """

    def __init__(self, phrases: Mapping[Key, Iterable[str]], words: Mapping[str, Iterable[str]]) -> None:
        self._keys = list(phrases)
        self._alphabet = _Alphabet()
        self._edges: list[list[_Edge]] = []
        self._free: list[list[int]] = []  # steps without a token
        self._accepted: dict[int, _Accepted] = {}
        starts = []
        for number, entries in enumerate(phrases.values()):
            for entry in entries:
                parsed = parse_phrase(entry, words)
                first = self._new_state()
                last = self._add(parsed, first, in_core=False)
                self._accepted[last] = _Accepted(number, first, any(_is_core(part) for part in parsed.parts))
                starts.append(first)
        self._start = self._closure(starts)
        self._lock = threading.Lock()  # texts change what is remembered
        self._forget()

    def _forget(self) -> None:
        """Forget all deterministic states but the first."""
        self._classes: dict[str, int] = {}
        self._class_symbols: list[frozenset[int]] = []
        self._states: list[frozenset[int]] = []
        self._numbers: dict[frozenset[int], int] = {}
        self._transitions: list[dict[int, int]] = []
        self._completed: list[tuple[_Accepted, ...]] = []
        self._symbol_classes: dict[frozenset[int], int] = {}
        self._n_transitions = 0
        self._number_of(self._start)

    def _new_state(self) -> int:
        self._edges.append([])
        self._free.append([])
        return len(self._edges) - 1

    def _add(self, part: Part, state: int, in_core: bool) -> int:
        """Add a part behind a state; returns the state behind the part."""
        if isinstance(part, Word):
            return self._step(self._alphabet.symbol(part), state, in_core)
        if isinstance(part, Sequence):
            for inner in part.parts:
                state = self._add(inner, state, in_core or part.core)
            return state
        last = self._new_state()
        if isinstance(part, Choice):
            for alternative in part.alternatives:
                self._free[self._add(alternative, state, in_core)].append(last)
            return last
        for _ in range(part.longest):
            self._free[state].append(last)
            state = self._step(_ANY, state, in_core)
        self._free[state].append(last)
        return last

    def _step(self, symbol: int, state: int, in_core: bool) -> int:
        target = self._new_state()
        self._edges[state].append(_Edge(symbol, target, in_core))
        return target

    def _closure(self, states: Iterable[int]) -> frozenset[int]:
        """The states, and those that are reached from them without a token."""
        reached, stack = set(states), list(states)
        while stack:
            new = [target for target in self._free[stack.pop()] if target not in reached]
            reached.update(new)
            stack += new
        return frozenset(reached)

    def _number_of(self, states: frozenset[int]) -> int:
        if states not in self._numbers:
            self._numbers[states] = len(self._states)
            self._states.append(states)
            self._transitions.append({})
            self._completed.append(tuple(self._accepted[s] for s in sorted(states) if s in self._accepted))
        return self._numbers[states]

    def _class_of(self, form: str) -> int:
        symbols = self._alphabet.symbols_of(form)
        if symbols not in self._symbol_classes:
            self._symbol_classes[symbols] = len(self._class_symbols)
            self._class_symbols.append(symbols)
        return self._symbol_classes[symbols]

    def _next(self, state: int, token_class: int) -> int:
        symbols = self._class_symbols[token_class]
        targets = [
            edge.target
            for each in self._states[state]
            for edge in self._edges[each]
            if edge.symbol in symbols
        ]
        following = self._number_of(self._closure(targets)) if targets else _DEAD
        self._transitions[state][token_class] = following
        self._n_transitions += 1
        return following

    def find(self, tokens: list[Token]) -> list[PhraseMatch[Key]]:
        """The phrases in a text, of one that begins at a token the longest; those of different phrases may overlap."""
        with self._lock:
            return self._find(tokens)

    def _find(self, tokens: list[Token]) -> list[PhraseMatch[Key]]:
        if self._n_transitions > MAX_TRANSITIONS:
            self._forget()
        classes = [
            known if (known := self._classes.get(token.form)) is not None else self._remember(token.form)
            for token in tokens
        ]
        matches = []
        for first in range(len(tokens)):
            state, found = 0, dict[_Accepted, int]()
            for position in range(first, len(tokens)):
                following = self._transitions[state].get(classes[position])
                state = self._next(state, classes[position]) if following is None else following
                if state == _DEAD:
                    break
                found.update(dict.fromkeys(self._completed[state], position + 1))
            matches += [self._match(accepted, tokens[first:end]) for accepted, end in found.items()]
        return matches

    def _remember(self, form: str) -> int:
        number = self._class_of(form)
        if len(self._classes) < MAX_TRANSITIONS:
            self._classes[form] = number
        return number

    def _match(self, accepted: _Accepted, tokens: list[Token]) -> PhraseMatch[Key]:
        chosen = self._core(accepted, tokens) if accepted.has_core else tokens
        return PhraseMatch(chosen[0].start, chosen[-1].end, self._keys[accepted.key])

    def _core(self, accepted: _Accepted, tokens: list[Token]) -> list[Token]:
        """The tokens of a match that stand in braces in the phrase."""
        symbols = [self._class_symbols[self._class_of(token.form)] for token in tokens]
        stack: list[tuple[int, tuple[bool, ...]]] = [(accepted.first, ())]
        while stack:
            state, path = stack.pop()
            for reached in self._closure([state]):
                if len(path) == len(tokens):
                    if self._accepted.get(reached) == accepted and any(path):
                        return [token for token, in_core in zip(tokens, path, strict=True) if in_core]
                    continue
                stack += [
                    (edge.target, (*path, edge.in_core))
                    for edge in self._edges[reached]
                    if edge.symbol in symbols[len(path)]
                ]
        return tokens


def _is_core(part: Part) -> bool:
    return isinstance(part, Sequence) and part.core
