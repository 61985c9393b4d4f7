"""Find the labels that a passage of an answer states: whole words, longest name first, negation respected.

Nothing here is specific to a task or a language: label names come from the task file, words from `language_rules`. All
texts are folded (`language_rules.fold`). Each function takes time linear in the length of the text.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from typing import NamedTuple

from mentallama.answers.label_codes import coded_labels
from mentallama.answers.language_rules import (
    Rules,
    fold,
    left_border,
    right_border,
    rules_for,
    words_source,
)
from mentallama.records import FORMS
from mentallama.tasks import Task
from mentallama.text.quotation_marks import quoted_spans

LabelName = str
"""A canonical label."""

_MAX_LABELS = 3
"""Labels that a sentence may state; one with more of them lists the options."""
_BEFORE_LIMIT, _BEFORE_WORDS, _AFTER_LIMIT = 200, 9, 120
"""Characters and words before a mention, and characters after it, in which a negation may govern it."""
_MAX_EXACT = 40
"""Characters of markup and punctuation that a text may have besides twice the length of the longest name."""
_ADJACENT = 50
"""Characters before a mention in which its subject or a prefix stands."""
_OPTION_LIST = re.compile(r"(?:^ ?(?:[A-Ia-i1-9][.)]|[-*•]) [^\n.!?]{1,60}$\n?){2,}", re.MULTILINE)
_UNCHECKED = re.compile(r"(?:\[ ?\]|[☐⬜□]) ?\w{1,30}")
_MARKUP = re.compile(r"[*_#]+|^ ?(?:[-•>]|\d{1,3}[.)]) ", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[Nn]o\.(?= \d))[\"')\]*_]* +|(?<=[。।۔])[\"'」』)]*|\n+")
_QUESTION_END = re.compile(r"[.!?؟\n]")
_OPTION = re.compile(r"\(?(?:option )?(?:[A-Ia-i]|\d{1,2})[.):] ")
_VALUE_END = re.compile(r"(?<=[.!?;])\s|\n|(?<=[。।۔])")


class MarkedLabels(NamedTuple):
    """Labels after marks such as "Answer:"; `named_none` if such a mark is followed by words that are no label."""

    labels: frozenset[LabelName]
    named_none: bool = False


def excerpt_labels(task: Task, text: str, rules: Rules) -> frozenset[LabelName]:
    """Labels stated by the first sentence of a short passage that states any; a list of options states none.

    In a yes/no task, a label is stated by an explicit "yes" or "no" and by a statement of the finding; if the two
    contradict each other, both labels are returned.
    """
    found = (
        labels
        for sentence in sentences(_OPTION_LIST.sub("", text))
        if 0 < len(labels := sentence_labels(task, sentence, rules)) <= _MAX_LABELS
    )
    if rules.correction.search(text):
        return frozenset[LabelName]().union(*found)
    return next(found, frozenset())


def marked_labels(task: Task, text: str, rules: Rules, headings: Rules) -> MarkedLabels:
    """Labels after "Answer:", "Final answer:" (which takes precedence) or "the most fitting label is".

    `headings` are the rules with the words of such marks, `rules` those of the values after them.
    """
    final: set[LabelName] = set()
    plain: set[LabelName] = set()
    weak: set[LabelName] = set()
    named_none = False
    for match, value in _marked_values(answer_mark(task, headings.languages), text):
        labels = exact_labels(task, value) or sentence_labels(task, value, rules)
        if labels and value.endswith(";"):  # "work; school"
            labels |= exact_labels(task, _until(text, match.end() + len(value), ".!?;\n"))
        is_final = match["final"] or match["final_line"]
        (final if is_final else weak if _is_prose(match, task) else plain).update(labels)
        named_none |= not labels and _is_strict_mark(match) and _is_short_value(value)
    if not final | plain | weak and not named_none:
        for match in rules.choice.finditer(text):
            plain.update(sentence_labels(task, _until(text, match.end(), ".!?;\n"), rules))
    return MarkedLabels(frozenset(final or plain or weak), named_none)


def label_sentence_labels(task: Task, text: str, rules: Rules) -> frozenset[LabelName]:
    """Labels whose complete answer sentence occurs in the text."""
    normalized = " ".join(_strip_markup(text).lower().split())
    return frozenset(
        name
        for name, sentence in _label_sentences(task).items()
        if re.search(rf"(?<!\w){re.escape(sentence)}(?!\w|{rules.conjunction.pattern})", normalized)
    )


def exact_labels(task: Task, text: str) -> frozenset[LabelName]:
    """The label whose name, alias or answer sentence is the whole text, apart from markup and punctuation."""
    if len(text) > _MAX_EXACT + 2 * max(map(len, _exact_names(task))):
        return frozenset()
    label = _exact_names(task).get(bare_text(text))
    return _coded_labels(task, text) if label is None else frozenset([label])


def conclusion_labels(task: Task, text: str, rules: Rules) -> frozenset[LabelName]:
    """Labels of a text without a marked answer: from its concluding sentence, else from its first and last one."""
    found = sentences(_OPTION_LIST.sub("", text))
    concluding = [sentence for sentence in found if rules.conclusion.search(sentence)]
    for candidates in (concluding[-1:], [*found[:1], *found[-1:]]):
        labels = frozenset[LabelName]().union(*(sentence_labels(task, s, rules) for s in candidates))
        if labels:
            return labels
    return frozenset()


def sentence_labels(task: Task, sentence: str, rules: Rules) -> frozenset[LabelName]:
    """Labels that one sentence states; none if it only asks."""
    text = _without_questions(_strip_markup(_UNCHECKED.sub(" ", sentence)))
    return _yes_no_labels(task, text, rules) if task.is_yes_no else _named_labels(task, text, rules)


def sentences(text: str) -> list[str]:
    """The sentences and lines of a text."""
    return [part for part in _SENTENCE_END.split(text) if part and not part.isspace()]


def asks_for_the_post(task: Task, text: str, rules: Rules) -> bool:
    """Whether an answer only offers help or asks for the post: its "yes" is then no label."""
    return rules.request.search(text) is not None and not _phrase_index(task, rules.languages).pattern.search(
        text
    )


@cache
def answer_mark(task: Task, languages: tuple[str, ...]) -> re.Pattern[str]:
    """Pattern of a mark such as "**Final answer:**", or with the name of a question."""
    rules = rules_for(languages)
    headings = [word for word in rules.words("answer_headings") if not word.startswith("^")]
    if not task.is_yes_no:
        headings += task.questions
    line_headings = [
        word.removeprefix("^") for word in rules.words("answer_headings") if word.startswith("^")
    ]
    final, plain, first = (words_source(w) for w in (rules.words("final"), headings, line_headings))
    return re.compile(
        rf"(?:(?P<final>{final})[ _]?)?{plain}\]?(?:[*_]{{0,3}} ?(?P<strict>[:=|】])[*_]{{0,3}}\s?"
        rf"|[*_]{{0,3}} [-–—] |[*_]{{0,3}} ?{words_source(rules.words('copulas'))} ?:?\s?)"
        rf"|(?:^|(?<=\n))[*_#> ]{{0,4}}{first}[*_]{{0,3}} ?: ?"
        rf"|(?:^|(?<=\n))[*_#]{{1,4}} ?(?P<final_line>{final} )?{plain}[*_]{{0,3}} ?\n",
        re.IGNORECASE,
    )


def _coded_labels(task: Task, value: str) -> frozenset[LabelName]:
    """The label of "1", "True" or "Y", or of a level's score; other tasks may have numbered the options differently."""
    return coded_labels(task, bare_text(value)) if task.is_yes_no or task.has_levels else frozenset()


def _is_strict_mark(match: re.Match[str]) -> bool:
    return match["strict"] in {":", "="}


def _is_prose(match: re.Match[str], task: Task) -> bool:
    """Whether the mark is part of a sentence, such as "the cause is"."""
    return match["strict"] is None and match[0].split()[0].lower() in task.questions


def _is_short_value(value: str) -> bool:
    return 0 < len(value.split()) <= 6 and any(map(str.isalnum, value))


def _marked_values(mark: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Marks, each with what follows it in its sentence."""
    position = 0
    while match := mark.search(text, position):
        option = _OPTION.match(text, match.end())
        end = _VALUE_END.search(text, option.end() if option else match.end())
        position = end.start() if end else len(text)
        yield match, text[match.end() : position]


def _until(text: str, start: int, ends: str) -> str:
    """The text from `start` to the first of these characters, at most 300 characters."""
    passage = text[start : start + 300]
    return passage[: min((at for at in map(passage.find, ends) if at >= 0), default=len(passage))]


def _without_questions(text: str) -> str:
    """Blank out the sentences that end in a question mark."""
    if "?" not in text and "؟" not in text:
        return text
    pieces, position = [], 0
    for end in _QUESTION_END.finditer(text):
        piece = text[position : end.end()]
        pieces.append(" " * len(piece) if end[0] in "?؟" else piece)
        position = end.end()
    return "".join([*pieces, text[position:]])


def _yes_no_labels(task: Task, text: str, rules: Rules) -> frozenset[LabelName]:
    words = {
        "yes" if match["yes"] else "no"
        for match in rules.yes_no.finditer(text)
        if _stands_alone(text, match, rules)
    }
    return frozenset(words | {label for label, _, _ in _asserted_labels(task, text, rules)})


_OPENERS = " \"'*_([`#"
_AFTER_ANSWER = re.compile(r" ?(?:-(?!\w)|[\n_]|\.(?! ?\d)|[^\w\s/&+%$@=~.-]|$)")


def _stands_alone(text: str, match: re.Match[str], rules: Rules) -> bool:
    """Whether a "yes" or "no" is an answer of its own: punctuation or certain words on both sides."""
    before = text[max(0, match.start() - 40) : match.start()]
    bare = before.rstrip(_OPENERS)
    begins = not bare or _ends_statement(before[len(bare) - 1 :]) or rules.lead_in.search(bare)
    after = text[match.end() : match.end() + 40]
    return bool(begins) and bool(_AFTER_ANSWER.match(after) or rules.follower.match(after.lstrip()))


def _ends_statement(text: str) -> bool:
    """Whether a text contains a line break, punctuation or an emoji."""
    return any(not (c.isalnum() or c in " /&+%$@=~") for c in text)


Mention = tuple[LabelName, int, int]
"""A label, and where a text states it."""


def _named_labels(task: Task, text: str, rules: Rules) -> frozenset[LabelName]:
    asserted = _asserted_labels(task, text, rules)
    anchor = rules.anchor.search(text)
    end = anchor.end() + 1 if anchor else -1
    anchored: set[LabelName] = set()
    for label, start, stop in asserted:  # the label right after "related to", and those joined to it
        if start == end or (anchored and rules.conjunction.fullmatch(text, end, start)):
            anchored.add(label)
            end = stop
    return frozenset(anchored or {label for label, _, _ in asserted})


def _asserted_labels(task: Task, text: str, rules: Rules) -> list[Mention]:
    """Labels that a text states, in order; those stated by a negated phrase count only if no other is stated."""
    index = _phrase_index(task, rules.languages)
    matches = list(index.pattern.finditer(text))
    if not matches:
        return []
    clauses = _Clauses(text, matches, rules)
    negated_after, hedged_after = False, None
    stated: list[Mention] = []
    stated_by_negation: list[Mention] = []
    for number in range(len(matches) - 1, -1, -1):
        match, following = matches[number], matches[number + 1] if number + 1 < len(matches) else None
        phrase = index.phrase_by_group[str(match.lastgroup)]
        is_joined = following and rules.conjunction.fullmatch(text, match.end(), following.start())
        if not is_joined:
            scope = clauses.after(match.end(), following.start() if following else len(text))
            negated_after, hedged_after = _negated_after(scope, rules), rules.hedge_after.search(scope)
        before = clauses.before(match.start())
        governs = _governing_negation(before, match[0], rules)
        if hedged_after or _is_hedged(before, rules) or governs is None:
            continue
        mention = (match.start(), match.end())
        negated_after_it = negated_after or rules.negating_suffix.match(text, match.end())
        if phrase.contains_negation or not (negated_after_it or governs):
            stated += [(phrase.label, *mention)] if phrase.label else []
        elif phrase.negated_label:
            stated_by_negation.append((phrase.negated_label, *mention))
    stated.reverse()
    stated_by_negation.reverse()
    return [*stated, *stated_by_negation] if task.is_yes_no else stated or stated_by_negation


def _governing_negation(before: str, match: str, rules: Rules) -> bool | None:
    """Whether a negation governs the match from before it in its clause, or stands inside it; None if it may.

    It may beyond an "and": "does not sleep and suffers from stress".
    """
    nearby = " ".join(before.split()[-_BEFORE_WORDS:])
    if rules.negation.search(match) or rules.negating_prefix.search(before[-_ADJACENT:]):
        return True
    negation = next(reversed(list(rules.negation.finditer(nearby))), None)
    if negation is None:
        return False
    return None if rules.addition.search(nearby, negation.end()) else True


def _is_hedged(before: str, rules: Rules) -> bool:
    """Whether a hedge precedes that is not a part of a negation, or the subject is somebody else."""
    if rules.other_person.search(before[-_ADJACENT:]):
        return True
    if rules.hedge.search(before) is None:
        return False
    inside = [span for match in rules.negation.finditer(before) if (span := match.span())]
    return any(
        not any(start <= h.start() and h.end() <= end and h.span() != (start, end) for start, end in inside)
        for h in rules.hedge.finditer(before)
    )


def _negated_after(scope: str, rules: Rules) -> bool:
    return any(
        (match := pattern.search(scope)) is not None and len(scope[: match.start()].split()) <= reach
        for pattern, reach in rules.negations_after
    )


def _masked(match: re.Match[str]) -> str:
    return "~" * len(match[0])


class _Clauses:
    """The clauses of a sentence; quotations without a label and phrases that only look like negations are masked."""

    def __init__(self, text: str, mentions: Sequence[re.Match[str]], rules: Rules) -> None:
        text = rules.affirmation.sub(_masked, text)
        starts = [mention.start() for mention in mentions]
        for span in quoted_spans(text) if '"' in text else ():
            if bisect_left(starts, span.start) == bisect_left(starts, span.end):
                text = f"{text[: span.start]}{'~' * (span.end - span.start)}{text[span.end :]}"
        self.text = text
        self.rules = rules
        bordered = rules.negation.sub(_masked, self.text)  # "anything but", "nichts, was"
        borders = [(match.start(), match.end()) for match in rules.clause_end.finditer(bordered)]
        self._starts = [start for start, _ in borders]
        self._ends = [end for _, end in borders]

    def before(self, position: int) -> str:
        """The part of the clause before a position."""
        number = bisect_right(self._ends, position)
        start = self._ends[number - 1] if number else 0
        return self.text[max(start, position - _BEFORE_LIMIT) : position]

    def after(self, position: int, following: int) -> str:
        """The part of the clause after a position and before the next mention that says something about it."""
        number = bisect_left(self._starts, position)
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        scope = self.text[position : min(end, following, position + _AFTER_LIMIT)]
        scope_end = self.rules.scope_end.search(scope)
        return scope[: scope_end.start()] if scope_end else scope


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
def _phrase_index(task: Task, languages: tuple[str, ...]) -> _PhraseIndex:
    """Index of all phrases of all labels, the longest first."""
    negation = rules_for(languages).negation
    phrases = []
    for label, entry in task.labels.items():
        names = () if task.is_yes_no else (label, *(entry.answer.for_form(form) for form in FORMS))
        for text in sorted({*names, *entry.aliases}):
            contains_negation = "*" not in text and negation.search(fold(text)) is not None
            phrases.append(_LabelPhrase(text, label, "no" if task.is_yes_no else None, contains_negation))
        phrases += [_LabelPhrase(text, None, label, False) for text in entry.negated_aliases]
    phrases.sort(key=lambda phrase: (-len(phrase.text), phrase.text))
    by_group = {f"g{number}": phrase for number, phrase in enumerate(phrases)}
    by_borders: dict[tuple[str, str], list[str]] = {}
    for group, phrase in by_group.items():
        words = fold(phrase.text).rstrip(".。।۔")
        by_borders.setdefault(_borders(words), []).append(f"(?P<{group}>{_phrase_pattern(words)})")
    joined = "|".join(
        f"{before}(?:{'|'.join(sources)}){after}" for (before, after), sources in by_borders.items()
    )
    return _PhraseIndex(re.compile(joined, re.IGNORECASE), by_group)


_KANA = re.compile("[\u3040-\u30ff]{1,3}")


def _borders(phrase: str) -> tuple[str, str]:
    """Sources of the borders of a phrase; names that are too short to be told inside a word need them in any script."""
    if len(phrase) == 1 or _KANA.fullmatch(phrase):
        return r"(?<!\w)", r"(?!\w)"
    return left_border(phrase), right_border(phrase)


def _phrase_pattern(phrase: str) -> str:
    """Pattern of consecutive words, each with or without a plural s; `*` matches up to three words."""
    words = [
        r"(?:[\w'-]{1,40}\s){0,3}?" if word == "*" else _word_pattern(word) + r"[\s-]"
        for word in phrase.split()
    ]
    return "".join(words).removesuffix(r"[\s-]")


def _word_pattern(word: str) -> str:
    has_plural = len(word) > 3 and word.endswith("s") and not word.endswith("ss") and word.isascii()
    stem = word[:-1] if has_plural else word
    return re.escape(stem) + ("s?" if stem[-1:].isascii() and stem[-1:].isalpha() else "")


@cache
def _label_sentences(task: Task) -> dict[LabelName, str]:
    return {
        name: " ".join(fold(label.answer.instruction).lower().rstrip(".").split())
        for name, label in task.labels.items()
    }


@cache
def _exact_names(task: Task) -> dict[str, LabelName | None]:
    """Label by bare name, alias or answer sentence; None for a text that two labels share."""
    names: dict[str, LabelName | None] = {}
    for label, entry in task.labels.items():
        aliases = () if task.is_yes_no else entry.aliases
        for text in (label, *(entry.answer.for_form(form) for form in FORMS), *aliases):
            names[bare_text(text)] = label if names.get(bare_text(text), label) == label else None
    return names


def bare_text(text: str) -> str:
    """A text in lower case, without markup and the punctuation around it, as names are compared."""
    return " ".join(_strip_markup(fold(text)).lower().split()).strip(" .,;:!?\"'()[]{}<>|-。、।۔")


def _strip_markup(text: str) -> str:
    """Remove Markdown emphasis, heading and list markup."""
    return _MARKUP.sub(" ", text).strip()
