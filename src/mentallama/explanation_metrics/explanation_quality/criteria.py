"""The criteria of a task: what an explanation can name as evidence, and the words by which it does.

`criteria.yaml` holds them by family of tasks. A task without a family (SAD, CAMS, swmh, t-sid, MultiWD, a task of one's
own) falls back on its own words: its labels with their aliases are the areas, and the words of its questions the topic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files

import yaml

from mentallama.records import Record
from mentallama.tasks import Task
from mentallama.text.tokenize import word_tokens

_KEY_LETTERS = 3
"""Letters under which prefixes are filed; no prefix is shorter."""
_SUFFIXES = ("ingly", "edly", "ness", "ings", "ing", "ies", "ed", "es", "ly", "s")
_MAX_STEM = 6
_CACHED_WORDS = 50_000
_NO_GROUPS = frozenset[str]()


class Family(Record):
    """Criteria that several tasks share. `topic` and the words of `areas` are terms, see `TermIndex`."""

    tasks: tuple[str, ...]
    topic: tuple[str, ...]
    areas: dict[str, tuple[str, ...]]


class CriteriaFile(Record):
    """The content of `criteria.yaml`; the lists of words are separated by spaces."""

    families: dict[str, Family]
    common_words: str
    report_words: str
    stop_words: str


class TermIndex:
    """Finds which of several groups of terms a text names.

    A term is a word (`sleep`), the beginning of one (`hopeless*`), or several words in order, the last with any ending
    (`loss of interest`).
    """

    def __init__(self, groups: Mapping[str, Iterable[str]]) -> None:
        self._words: dict[str, set[str]] = defaultdict(set)
        self._prefixes: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._phrases: list[tuple[str, str]] = []
        for group, terms in groups.items():
            for term in terms:
                self._add(group, term)
        self._groups_of = lru_cache(maxsize=_CACHED_WORDS)(self._find_groups)

    def _add(self, group: str, term: str) -> None:
        words = word_tokens(term)
        if len(words) > 1:
            self._phrases.append((f" {' '.join(words)}", group))
        elif words and term.endswith("*") and len(words[0]) >= _KEY_LETTERS:
            self._prefixes[words[0][:_KEY_LETTERS]].append((words[0], group))
        elif words:
            self._words[words[0]].add(group)

    def groups_in(self, tokens: Sequence[str]) -> set[str]:
        """The groups of which a text, given as its word tokens, has a term."""
        found = set[str]().union(*map(self._groups_of, set(tokens)))
        joined = f" {' '.join(tokens)}"
        return found.union(group for phrase, group in self._phrases if phrase in joined)

    def _find_groups(self, token: str) -> frozenset[str]:
        """The groups of which a single word is a term."""
        prefixes = self._prefixes.get(token[:_KEY_LETTERS], ())
        by_prefix = {group for prefix, group in prefixes if token.startswith(prefix)}
        return frozenset(by_prefix.union(self._words.get(token, ()))) or _NO_GROUPS


class Criteria:
    """The areas of evidence and the topic of one question, ready for search."""

    def __init__(self, areas: Mapping[str, Iterable[str]], topic: Iterable[str]) -> None:
        self._areas = TermIndex(areas)
        self._topic = TermIndex({"topic": topic})

    def areas_in(self, tokens: Sequence[str]) -> set[str]:
        """The areas that a text names."""
        return self._areas.groups_in(tokens)

    def names_topic(self, tokens: Sequence[str]) -> bool:
        """Whether a text names what the question is about."""
        return bool(self._topic.groups_in(tokens))


@cache
def criteria_of(task: Task) -> Criteria:
    """The criteria of a task: those of its family, else its own words."""
    family = next((family for family in _criteria_file().families.values() if task.set in family.tasks), None)
    if family is not None:
        return Criteria(family.areas, family.topic)
    labels = {} if task.is_yes_no else {name: (name, *label.aliases) for name, label in task.labels.items()}
    areas = {
        name: [word for term in terms for word in _content_terms(term)] for name, terms in labels.items()
    }
    asked = [
        " ".join((name, question.wording.for_form("instruction")))
        for name, question in task.questions.items()
    ]
    return Criteria(areas, [term for text in asked for term in _content_terms(text)])


def _content_terms(text: str) -> list[str]:
    return [f"{word}*" for word in word_tokens(text) if word not in stop_words() and len(word) > _KEY_LETTERS]


@lru_cache(maxsize=_CACHED_WORDS)
def stem(word: str) -> str:
    """A word without a common ending, and no longer than six letters: enough to compare a report with its post.

    >>> stem("feeling"), stem("feels"), stem("medication"), stem("medicated")
    ('feel', 'feel', 'medica', 'medica')
    """
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _KEY_LETTERS:
            return word[: -len(suffix)][:_MAX_STEM]
    return word[:_MAX_STEM]


@cache
def stop_words() -> frozenset[str]:
    """Words without content."""
    return frozenset(_criteria_file().stop_words.split())


@cache
def report_stems() -> frozenset[str]:
    """Stems of words by which explanations report on any post, such as "poster" and "indicates"."""
    return frozenset(map(stem, _criteria_file().report_words.split()))


@cache
def common_stems() -> frozenset[str]:
    """Stems of words that stand in many posts, so that sharing them says little."""
    return frozenset(map(stem, _criteria_file().common_words.split()))


@cache
def _criteria_file() -> CriteriaFile:
    content = (files("mentallama.explanation_metrics.explanation_quality") / "criteria.yaml").read_text(
        "utf-8"
    )
    return CriteriaFile.model_validate(yaml.safe_load(content))
