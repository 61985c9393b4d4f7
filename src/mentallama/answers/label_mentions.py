"""Find the labels that a passage of an answer states: whole words, longest name first, negation respected.

Nothing here is specific to a task: label names come from the task file, and only words common to all answers (negation,
"Answer:", "therefore") are spelled out here.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from mentallama.records import FORMS
from mentallama.tasks import Task

LabelName = str
"""A canonical label."""

_ANSWER_MARKER = re.compile(
    r"(?:^|(?<=[\s*_#>|.\-]))(?P<final>final |final_|overall )?(?:answer|label|verdict|prediction|classification|"
    r"conclusion|category|output|response|a|respuesta|etiqueta|réponse|cevap|etiket|答案|标签|정답|답)"
    r"(?:[*_]*\s*[:：=|][*_]*\s*|[*_]*\s+[-–—]\s+|[*_]*\s+is\s*:?\s*)"
    r"(?P<value>[^\n]*?)(?=(?<=[.!?;])\s|\n|$)",
    re.IGNORECASE,
)
_LABEL_ASSIGNMENT = re.compile(
    r"\b(?:most |best |appropriate |correct |right |suitable |accurate |relevant |likely |fitting |assigned |"
    r"applicable |final |main |primary |overall |my |the )+(?:answer|label|category|classification|cause|stress cause|"
    r"choice|response|option)\b[^.!?\n:]{0,60}?\b(?:is|would be|should be|will be|remains)\b:?\s*(?P<value>[^.!?;\n]*)",
    re.IGNORECASE,
)
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|overall|in conclusion|to conclude|in summary|consequently|accordingly|so)\b",
    re.IGNORECASE,
)
_NEGATOR = re.compile(
    r"\b(?:not|no|never|neither|nor|without|lacks?|lacking|absence of|absent|rather than|instead of|free of|"
    r"cannot|can't|isn't|aren't|wasn't|doesn't|don't|didn't|doesnt|isnt|dont|hardly|rule out|rules out|ruled out|"
    r"unlikely|insufficient|except)\b|n't\b",
    re.IGNORECASE,
)
_PSEUDO_NEGATION = re.compile(
    r"\b(?:no doubt|no question|without (?:a )?doubt|without question|not only|not just|not merely|nothing but|"
    r"cannot be denied|can't be denied|no less than)\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[.;:!?\n,()]|\b(?:but|however|although|though|whereas|while|yet)\b", re.IGNORECASE)
_POST_NEGATION = re.compile(
    r"\s*(?:[\w'-]+\s+){0,2}?(?:(?:is|are|was|were|does|do|did|has|can|could|would)(?: ?n[o']t\b|n't\b)|"
    r"is absent|are absent|is ruled out|is unlikely|is lacking|cannot be)",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    r"(?:^|(?<=[.!?:;,\n\"'(*\[\]_`#>|{-])|(?<=\bis)|(?<=\bbe)|(?<=\bsay)|(?<=\banswer)|(?<=\bso)|(?<=\d\)))"
    r"\s*[\"'*_(\[`#]*\s*"
    r"(?P<word>yes|yeah|yep|no|nope)\b(?=\s*(?:[,.!?:;)\]\"'*_`|}<\n-]|$|because|since|as\b|the post|this |there|\())",
    re.IGNORECASE,
)
_QUESTION = re.compile(r"[^.!?\n]*\?[\"']?")
_HEDGE = re.compile(
    r"\b(?:whether|if|may|might|could|possibl[ey]|possibility|potential|potentially|perhaps|maybe|unclear|"
    r"unsure|uncertain|not (?:sure|certain|clear)|"
    r"(?:hard|difficult|impossible) to (?:say|tell|know|judge|determine)|can(?:no|')?t (?:say|tell|know|determine))\b",
    re.IGNORECASE,
)
_OPTION_LIST = re.compile(r"(?:^[ \t]*(?:[A-Ia-i1-9][.)]|[-*•])[ \t]+[^\n.!?]{1,60}$\n?){2,}", re.MULTILINE)
_CONJUNCTION = re.compile(r"\s*(?:,|/|&|\band\b|\bor\b|\bas well as\b)+\s*(?:the |to )?", re.IGNORECASE)
_YES_NO_WORDS = {"yes": "yes", "yeah": "yes", "yep": "yes", "no": "no", "nope": "no"}
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"')\]*_]*\s+|\n+")


def excerpt_labels(task: Task, text: str) -> frozenset[LabelName]:
    """Labels stated by the first sentence of a short passage that states any; a list of options states none.

    In a yes/no task, a label is stated by an explicit "yes" or "no" and by a statement of the finding; if the two
    contradict each other, both labels are returned.
    """
    for sentence in _sentences(_OPTION_LIST.sub("", text)):
        labels = _sentence_labels(task, sentence)
        if labels:
            return labels
    return frozenset()


def marked_labels(task: Task, text: str) -> frozenset[LabelName]:
    """Labels after "Answer:", "Final answer:" (which takes precedence) or "the most fitting label is"."""
    final: set[LabelName] = set()
    plain: set[LabelName] = set()
    for match in _ANSWER_MARKER.finditer(text):
        labels = _sentence_labels(task, _first_sentence(match["value"]))
        (final if match["final"] else plain).update(labels)
    if not final | plain:
        for match in _LABEL_ASSIGNMENT.finditer(text):
            plain.update(_sentence_labels(task, match["value"]))
    return frozenset(final or plain)


def label_sentence_labels(task: Task, text: str) -> frozenset[LabelName]:
    """Labels whose complete answer sentence occurs in the text."""
    normalized = " ".join(_strip_markdown(text).lower().split())
    sentences = {
        name: " ".join(label.answer.instruction.lower().rstrip(".").split())
        for name, label in task.labels.items()
    }
    return frozenset(
        name
        for name, sentence in sentences.items()
        if re.search(rf"(?<!\w){re.escape(sentence)}(?!\w|{_CONJUNCTION.pattern})", normalized)
    )


def conclusion_labels(task: Task, text: str) -> frozenset[LabelName]:
    """Labels of a text without a marked answer: from its concluding sentence, else from its first and last one."""
    sentences = _sentences(text)
    concluding = [s for s in sentences if _CONCLUSION.search(s)]
    for candidates in (concluding[-1:], [*sentences[:1], *sentences[-1:]]):
        labels = frozenset[LabelName]().union(*(_sentence_labels(task, s) for s in candidates))
        if labels:
            return labels
    return frozenset()


def _sentence_labels(task: Task, sentence: str) -> frozenset[LabelName]:
    text = _PSEUDO_NEGATION.sub(lambda m: "~" * len(m[0]), _QUESTION.sub(" ", _strip_markdown(sentence)))
    return _yes_no_labels(task, text) if task.is_yes_no else _named_labels(task, text)


def _yes_no_labels(task: Task, text: str) -> frozenset[LabelName]:
    words = {_YES_NO_WORDS[match["word"].lower()] for match in _YES_NO.finditer(text)}
    return frozenset(words | {label for label, _ in _asserted_labels(task, text)})


def _named_labels(task: Task, text: str) -> frozenset[LabelName]:
    asserted = _asserted_labels(task, text)
    related = re.search(r"\brelated to\s+(?:the\s+)?", text, re.IGNORECASE)
    end = related.end() if related else -1
    anchored: set[LabelName] = set()
    for label, match in asserted:  # the label right after "related to", and those joined to it
        if match.start() == end or (anchored and _CONJUNCTION.fullmatch(text[end : match.start()])):
            anchored.add(label)
            end = match.end()
    return frozenset(anchored or {label for label, _ in asserted})


def _asserted_labels(task: Task, text: str) -> list[tuple[LabelName, re.Match[str]]]:
    """Labels that a text states, in order; those stated by a negated phrase count only if no other is stated."""
    index = _phrase_index(task)
    stated, stated_by_negation = [], []
    for match in index.pattern.finditer(text):
        phrase = index.phrase_by_group[str(match.lastgroup)]
        before = _CLAUSE_END.split(text[: match.start()])[-1]
        if _HEDGE.search(before):
            continue
        if phrase.contains_negation or not _negated(text, before, match):
            stated += [(phrase.label, match)] if phrase.label else []
        elif phrase.negated_label:
            stated_by_negation.append((phrase.negated_label, match))
    return [*stated, *stated_by_negation] if task.is_yes_no else stated or stated_by_negation


def _negated(text: str, before: str, match: re.Match[str]) -> bool:
    """Whether a negating word governs the match: before it in its clause, inside it, or right after it."""
    nearby = " ".join(before.split()[-9:])
    return bool(
        _NEGATOR.search(nearby) or _NEGATOR.search(match[0]) or _POST_NEGATION.match(text[match.end() :])
    )


class _LabelPhrase(NamedTuple):
    """A phrase, the label that it states, and the label that its negation states.

    `contains_negation`: the phrase is itself negative, such as "no depression".
    """

    text: str
    label: LabelName | None
    negated_label: LabelName | None
    contains_negation: bool


class _PhraseIndex(NamedTuple):
    """One pattern for all phrases of a task, with a named group for each."""

    pattern: re.Pattern[str]
    phrase_by_group: dict[str, _LabelPhrase]


@cache
def _phrase_index(task: Task) -> _PhraseIndex:
    """Index of all phrases of all labels, the longest first."""
    phrases = []
    for label, entry in task.labels.items():
        names = () if task.is_yes_no else (label, *(entry.answer.for_form(form) for form in FORMS))
        for text in sorted({*names, *entry.aliases}):
            contains_negation = "*" not in text and _NEGATOR.search(text) is not None
            phrases.append(_LabelPhrase(text, label, "no" if task.is_yes_no else None, contains_negation))
        phrases += [_LabelPhrase(text, None, label, False) for text in entry.negated_aliases]
    phrases.sort(key=lambda phrase: (-len(phrase.text), phrase.text))
    by_group = {f"g{number}": phrase for number, phrase in enumerate(phrases)}
    joined = "|".join(f"(?P<{group}>{_phrase_pattern(phrase.text)})" for group, phrase in by_group.items())
    return _PhraseIndex(re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE), by_group)


def _phrase_pattern(phrase: str) -> str:
    """Pattern of consecutive words, each with or without a plural s; `*` matches up to three words."""
    words = [
        r"(?:[\w'-]+\s+){0,3}?" if word == "*" else _word_pattern(word) + r"[\s-]+"
        for word in phrase.rstrip(".").split()
    ]
    return "".join(words).removesuffix(r"[\s-]+")


def _word_pattern(word: str) -> str:
    stem = word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
    return re.escape(stem) + ("s?" if stem[-1:].isalpha() else "")


def _strip_markdown(text: str) -> str:
    """Remove Markdown emphasis, heading and list markup."""
    return re.sub(r"[*_`#]+|^\s*(?:[-•>]|\d+[.)])\s+", " ", text, flags=re.MULTILINE).strip()


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE_END.split(text) if part.strip()]


def _first_sentence(text: str) -> str:
    return next(iter(_sentences(text)), "")
