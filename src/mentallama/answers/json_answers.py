"""Read JSON answers: a label of any type under any usual key, in strict JSON or as models misspell it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import NamedTuple

import yaml

from mentallama.answers.label_codes import coded_labels, truth_value
from mentallama.answers.label_mentions import LabelName, exact_labels, excerpt_labels
from mentallama.answers.language_rules import Rules, all_rules, fold
from mentallama.tasks import Task

Fields = dict[str, object]
"""Fields of an object by lower-case name; the values of a name that occurs twice are a list."""

LABEL_KEYS = (
    "label",
    "final answer",
    "final",
    "answer",
    "prediction",
    "classification",
    "category",
    "class",
    "result",
    "verdict",
    "decision",
    "output",
    "response",
    "labels",
    "categories",
)
_NESTED_KEYS = (*LABEL_KEYS, "name", "value", "text")
EXPLANATION_KEYS = ("explanation", "reasoning", "reason", "rationale", "justification", "evidence")
_FINDING_KEY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "is has have had shows show suffers suffer suffering from the of in with a an any sign signs symptom symptoms "
        "evidence present detected exists exist poster user author writer person post text risk at",
    )
)
"""Words of a key that names a finding, as in `has_depression`; with any other, as in `depression_score`, it may not."""
_CAMEL_BORDER = re.compile(r"(?<=[a-z])(?=[A-Z])")
_OBJECT_START = re.compile(r"\{\s{0,200}[\"'“”‘’]?\w[^{}\n:]{0,60}[\"'“”‘’]?\s{0,9}:")
_BRACES = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|$)|[{}]', re.DOTALL)
_MAX_OBJECTS = 8
_MAX_LENIENT = 20_000
"""Characters of an object that is not strict JSON: decoding it is slow."""


class JsonParts(NamedTuple):
    """The objects in a text, the text outside them, and whether the last one is incomplete."""

    objects: list[Fields]
    outside: str
    truncated: bool


class JsonAnswer(NamedTuple):
    """Labels and an explanation that JSON objects state."""

    labels: frozenset[LabelName]
    explanation: str


def first_json_object(text: str) -> Fields | None:
    """Fields of the first JSON object in a text; None if there is none, or it is incomplete."""
    return next(iter(split_json(text).objects), None)


def split_json(text: str) -> JsonParts:
    """Find the objects of a text, at most eight."""
    objects: list[Fields] = []
    outside: list[str] = []
    position = 0
    for _ in range(_MAX_OBJECTS):
        start = _OBJECT_START.search(text, position)
        if start is None:
            break
        decoded = _decode(text, start.start())
        if decoded is None:
            outside.append(text[position : start.start()])
            return JsonParts(objects, "".join(outside), truncated=True)
        fields, end = decoded
        outside.append(text[position : start.start() if fields is not None else end])
        objects += [] if fields is None else [fields]
        position = end
    return JsonParts(objects, "".join([*outside, text[position:]]), truncated=False)


def read_json_objects(task: Task, objects: Iterable[Fields], rules: Rules) -> JsonAnswer:
    """The labels that all objects together state, and the first explanation."""
    objects, reader = list(objects), _JsonReader(task, rules)
    labels = {label for fields in objects for label in reader.labels(fields)}
    return JsonAnswer(frozenset(labels), json_explanation(objects))


def json_explanation(objects: Iterable[Fields]) -> str:
    """The first explanation that objects hold; "" if they hold none."""
    return next((text for fields in objects for text in _explanations(fields)), "")


def json_texts(objects: Iterable[Fields]) -> Iterator[str]:
    """The texts that objects hold directly."""
    return (value for fields in objects for value in fields.values() if isinstance(value, str))


def _decode(text: str, start: int) -> tuple[Fields | None, int] | None:
    """The object that starts at a brace and its end; None instead of it if it is no object; None if it does not end."""
    try:
        fields, json_end = json.JSONDecoder(strict=False, object_pairs_hook=_merge).raw_decode(text, start)
        return fields, json_end
    except (ValueError, RecursionError):  # not JSON, a number with thousands of digits, or nested too deeply
        end = _closing_brace(text, start)
    return None if end is None else (_decode_leniently(text[start:end]), end)


def _decode_leniently(text: str) -> Fields | None:
    """Decode a Python literal, or an object with trailing commas, bare keys or typographic quotation marks."""
    if len(text) > _MAX_LENIENT:
        return None
    for decode, source in ((ast.literal_eval, text), (_load_yaml, text), (_load_yaml, fold(text))):
        try:
            value = decode(source)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, yaml.YAMLError):
            continue
        if isinstance(value, dict):
            return _merge(value.items())
    return None


def _load_yaml(text: str) -> object:
    return yaml.load(text, Loader=yaml.BaseLoader)


def _merge(pairs: Iterable[tuple[object, object]]) -> Fields:
    fields: Fields = {}
    for key, value in pairs:
        name = _CAMEL_BORDER.sub(" ", str(key)).lower()
        fields[name] = [fields[name], value] if name in fields and fields[name] != value else value
    return fields


def _closing_brace(text: str, start: int) -> int | None:
    depth = 0
    for match in _BRACES.finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return None


def _explanations(fields: Mapping[str, object]) -> Iterator[str]:
    # Structured answers have lists of quotations under such keys; only a string is an explanation.
    keys = (*EXPLANATION_KEYS, *map(str.lower, all_rules().words("explanation_headings")))
    texts = [fields[key] for key in keys if key in fields]
    yield from (text.strip() for text in texts if isinstance(text, str))
    for value in fields.values():
        if isinstance(value, dict):
            yield from _explanations(value)


class _JsonReader:
    def __init__(self, task: Task, rules: Rules) -> None:
        self.task, self.rules = task, rules

    def labels(self, fields: Mapping[str, object], keys: tuple[str, ...] = LABEL_KEYS) -> set[LabelName]:
        """Labels under the most explicit key, else those of fields that are named for a label or the question."""
        by_key = {" ".join(re.findall(r"[^\W_]+", key)): value for key, value in fields.items()}
        ranked = [by_key[key] for key in keys if key in by_key]
        if ranked:
            return self._value_labels(ranked[0])
        named = [value for key, value in by_key.items() if _names_label(self.task, key)]
        if named:
            return {label for value in named for label in self._value_labels(value)}
        chosen = {label for key, value in by_key.items() if truth_value(value) for label in self._named(key)}
        if found := chosen or (self._finding_labels(by_key) if self.task.is_yes_no else set()):
            return found
        return {label for value in by_key.values() for label in self._nested_labels(value)}

    def _nested_labels(self, value: object) -> set[LabelName]:
        """Labels of an object within an object without a label, as in `{"arguments": {"label": …}}`."""
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = first_json_object(value)
        return self.labels(value) if isinstance(value, dict) else set()

    def _finding_labels(self, by_key: Mapping[str, object]) -> set[LabelName]:
        """Labels of "is_depressed: false": fields that are named for the finding and hold yes or no."""
        labels: set[LabelName] = set()
        for key, value in by_key.items():
            if self._is_finding(key) and truth_value(value) is not None:
                labels |= {"yes"} if truth_value(value) else {"no"}
        return labels

    def _is_finding(self, key: str) -> bool:
        words = key.split()
        stems = [word for word in words if len(word) >= 4 and word[:5] in _finding_stems(self.task)]
        return bool(stems) and _FINDING_KEY_WORDS.issuperset(set(words).difference(stems))

    def _named(self, text: str) -> set[LabelName]:
        return set(exact_labels(self.task, text))

    def _value_labels(self, value: object) -> set[LabelName]:
        if isinstance(value, dict):
            return self.labels(value, _NESTED_KEYS)
        if isinstance(value, list):
            return {label for item in value for label in self._value_labels(item)}
        return set() if value is None else self._text_labels(str(value).strip())

    def _text_labels(self, text: str) -> set[LabelName]:
        """Labels of a text, a number or a truth value: by name, by the task's code for it, or stated in a sentence."""
        if named := self._named(text) or self._named(_CAMEL_BORDER.sub(" ", text)):
            return named
        if coded := coded_labels(self.task, text):
            return set(coded)
        return set(excerpt_labels(self.task, fold(text), self.rules))


@cache
def _names_label(task: Task, key: str) -> bool:
    """Whether a key such as "stress cause" or "final label" names the label."""
    words = key.split()
    explains = set(EXPLANATION_KEYS).intersection(words)
    nouns = {*LABEL_KEYS, *all_rules().words("answer_headings"), *([] if task.is_yes_no else task.questions)}
    names = {name.lower() for name in (*task.questions, task.set)}
    return not explains and bool(words) and (words[-1] in nouns or key in names)


@cache
def _finding_stems(task: Task) -> frozenset[str]:
    """First letters of the words by which a yes/no task states its finding."""
    texts = (*task.questions, *(alias for label in task.labels.values() for alias in label.aliases))
    words = (word for text in texts for word in re.findall(r"[^\W_]+", fold(text).lower()))
    return frozenset(word[:5] for word in words if len(word) >= 4)
