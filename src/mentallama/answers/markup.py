"""Separate an answer from what models and servers put around it: thoughts, tags, boxes and control tokens.

Tags are recognised by their structure, whoever invented them: a pair of brackets around a name whose words speak of
thinking (`<think>`, `[THINK]`, `◁think▷`, `<seed:think>`, `<|begin_of_thought|>`), of an answer (`<answer>`,
`<|begin_of_box|>`) or of an explanation (`<rationale>`). All functions take time linear in the length of the text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Literal, NamedTuple

from mentallama.answers.language_rules import all_rules, fold_letters, rules_for, words_source

TagKind = Literal["thought", "answer", "explanation", "control"]

_TAG = re.compile(
    r"(?P<left>[<＜][|｜]?|\[|[◁⟨【《])(?P<slash>[/／]?)"
    r"(?P<inner>[^\W\d_][^<>＜＞\[\]|｜◁▷⟨⟩【】《》\n]{0,60}+)(?:[|｜]?[>＞]|\]|[▷⟩】》])"
)
_BRACKETS = frozenset("<＜[◁⟨【《")
_PAIRED_BRACKETS = frozenset("[【《")
"""Brackets that prose uses too."""
_ESCAPED_TAG = re.compile(r"&lt;(/?[^\W\d_][\w -]{0,40}/?)&gt;")
_THOUGHT_FENCE = re.compile(
    r"```(?:thinking|thoughts?|think|reasoning|analysis|scratchpad)\n[^`]*+```", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"\b(?:label|value)\s?=\s?[\"']([^\"']{1,60})[\"']")
"""A label in a tag itself: `<answer label="work"/>`."""
_TAG_KINDS: tuple[tuple[TagKind, re.Pattern[str]], ...] = (
    (
        "thought",
        re.compile(
            r"(?:re)?think(?:ing)?|thoughts?|analy[sz]\w*|reflect\w*|scratch\w*|plan\w*|drafts?|drafting|"
            r"deliberat\w*|monologue|cot|ponder\w*|brainstorm\w*|contemplat\w*|introspect\w*|consider\w*"
        ),
    ),
    ("explanation", re.compile(r"reason\w*|rationales?|explanations?|explain|justif\w*|details")),
    (
        "answer",
        re.compile(
            r"answers?|final|labels?|responses?|outputs?|results?|verdict|predict\w*|classif\w*|category|"
            r"conclusions?|solutions?|decision|box|boxed"
        ),
    ),
)
"""The kinds of names, by the words in them; the first that matches a word decides ("final_thoughts" is a thought)."""
_FILLER = re.compile(
    r"begin|start|end|of|the|my|your|inner|internal|hidden|private|chain|steps?|by|seed|model|ai|assistant|self|deep|"
    r"initial|first|last|process|block|content|text|pad|budget|tokens?|ant"
)
"""Words that such a name may contain besides; any other makes it prose, as in "<I think so>"."""
_UNUSED_TOKEN = re.compile(r"unused\d+")
_NAME_WORD = re.compile(r"[A-Z]?[^\W\d_A-Z]+|[A-Z]+")
_CHANNEL_OF_THOUGHT = re.compile(
    r"\s{0,4}(?:thought|thinking|think|analysis|reasoning|commentary)\b[^<\n]{0,60}(?:<\|message\|>)?"
)
"""Text after a control token that opens a thought, as in `<|channel|>analysis<|message|>` and `<unused94>thought`."""
_STRIPPED_CHANNELS = re.compile(r"\s{0,9}analysis(?=[A-Z\W]).*assistantfinal", re.DOTALL)
"""The same channels where the server has removed the control tokens."""
_SPECIAL_TOKENS = re.compile(
    r"<[|｜][^|｜<>]{1,40}[|｜]?>(?:\s{0,4}(?:assistant|model|final)\b(?=\s{0,4}[<\n]))?|<[^|<>\s]{1,20}\|>|"
    r"</?s>|\[/?INST\]|<(?:pad|unk|eos|bos)>|<unused\d+>|<end_of_turn>|<start_of_turn>\w*"
)
_BOX = re.compile(r"\\(?:boxed|fbox|framebox)\s{0,4}\{")
_LATEX = re.compile(r"\\[a-zA-Z]+|[{}$\\]")
_MAX_BOX = 200
"""Characters that a box may hold: a label or an answer sentence."""
_LAST_LINE_MARK = re.compile(r"[ \t]*#{4,}[ \t]*([^\s#][^\n]{0,80})")

_MAX_PROSE = 1 << 13
"""Characters of prose in which a label is looked for, at the beginning and at the end of a longer answer."""


class Tag(NamedTuple):
    """A tag in a text; `closes` is True for a closing tag, `value` is the label that an attribute holds."""

    kind: TagKind
    closes: bool
    square: bool
    start: int
    end: int
    value: str | None = None


class AnswerParts(NamedTuple):
    """A text without its thoughts.

    `body` is what remains; `marked` are the contents of its final-answer marks, from which alone the label is then
    read; `beside` is the explanation that was given beside them. `unfinished`: the text ends inside a thought.
    """

    body: str
    marked: tuple[str, ...] = ()
    beside: str = ""
    unfinished: bool = False


def split_answer(text: str) -> AnswerParts:
    """Separate an answer from thoughts, tags and control tokens."""
    text, unfinished = _without_thoughts(_THOUGHT_FENCE.sub(" ", _ESCAPED_TAG.sub(r"<\1>", text)))
    if unfinished:
        return AnswerParts(answer_body(text), unfinished=True)
    answers, explanations, outside, unfinished = _tagged_regions(text)
    if unfinished and not answers:
        return AnswerParts(answer_body(outside), unfinished=True)
    body = _plain(outside)
    given = "\n".join(map(_plain, explanations))
    if not answers:
        answers, body = _other_marks(body)
    if answers:
        return AnswerParts(body, tuple(map(_plain, answers)), given or body)
    return AnswerParts(body, (), given)


def answer_body(text: str) -> str:
    """Remove the model's thinking and special tokens of chat templates from an answer."""
    return _plain(_without_thoughts(text)[0])


def after_thought(text: str) -> str | None:
    """The text after a closing tag whose thought the chat template opened; None if there is no such tag."""
    opened = False
    for tag in _tags(text):
        if tag.kind == "thought":
            if tag.closes and not opened:
                return text[tag.end :]
            opened = not tag.closes
    return None


def searched(text: str) -> str:
    """The beginning and the end of a long text."""
    return text if len(text) <= 2 * _MAX_PROSE else f"{text[:_MAX_PROSE]}\n{text[-_MAX_PROSE:]}"


@cache
def _explanation_heading(languages: tuple[str, ...]) -> re.Pattern[str]:
    words = words_source(rules_for(languages).words("explanation_headings"))
    return re.compile(rf"{words}\]?[*_]{{0,3}}\s{{0,9}}[:：][*_]{{0,3}}\s*", re.IGNORECASE)


def split_explanation(body: str, languages: tuple[str, ...]) -> tuple[str, str]:
    """Split into the text before the explanation and the explanation; without a heading, each is the whole text."""
    match = _explanation_heading(languages).search(fold_letters(body))
    if match is None:
        return body, body
    return body[: match.start()].rstrip("*_#>[ \t").strip(), body[match.end() :].strip()


def _plain(text: str) -> str:
    return _SPECIAL_TOKENS.sub(" ", text).strip()


def _without_thoughts(text: str) -> tuple[str, bool]:
    """The text outside thoughts, and whether it ends inside one.

    A closing tag without an opening one ends a thought that the chat template opened. A thought within a thought ends
    with the first closing tag; what then stands before a second one is removed with it.
    """
    if stripped := _STRIPPED_CHANNELS.match(text):
        text = text[stripped.end() :]
    pieces: list[str] = []
    position, opened, in_channel = 0, False, False
    for tag in _tags(text):
        if tag.start < position:
            continue
        if tag.kind == "control":
            channel = _CHANNEL_OF_THOUGHT.match(text, tag.end)
            if in_channel:
                opened, in_channel, position = False, False, tag.start
            if channel and not opened:
                pieces.append(text[position : tag.start])
                opened, in_channel, position = True, True, channel.end()
        elif tag.kind == "thought" and tag.closes:
            if not opened:
                pieces.clear()
            opened, in_channel, position = False, False, tag.end
        elif tag.kind == "thought" and not opened:
            pieces.append(text[position : tag.start])
            opened, position = True, tag.end
    if not opened:
        pieces.append(text[position:])
    return " ".join(pieces), opened


def _tagged_regions(text: str) -> tuple[list[str], list[str], str, bool]:
    """Contents of answer tags and of explanation tags, the text outside both, and whether an explanation is open.

    An answer tag within another replaces it; a tag that is not closed ends where the next one opens; a closing tag
    without an opening one ends a region that began after the tag before it.
    """
    regions: dict[str, list[str]] = {"answer": [], "explanation": []}
    outside: list[str] = []
    answers_in_tags: list[str] = []
    position, opened = 0, None
    for tag in _tags(text):
        if tag.kind not in regions:
            continue
        content = text[position : tag.start]
        if opened is None and not tag.closes:
            outside.append(content)
        elif not (opened == tag.kind == "answer" and not tag.closes):
            regions[opened or tag.kind].append(content)
        if tag.value is not None:
            answers_in_tags.append(tag.value)
        opened = None if tag.closes else "explanation" if tag.value is not None else tag.kind
        position = tag.end
    (regions[opened] if opened else outside).append(text[position:])
    answers = answers_in_tags or [content for content in regions["answer"] if content.strip()]
    explanations = [content for content in regions["explanation"] if content.strip()]
    return answers, explanations, "".join(outside), opened == "explanation"


def _other_marks(text: str) -> tuple[list[str], str]:
    r"""Contents of `\boxed{…}`, or of a last line `#### …`; and the text without them."""
    boxes: list[str] = []
    outside: list[str] = []
    position = 0
    for start in _BOX.finditer(text):
        end = _closing_brace(text, start.end())
        if start.start() >= position and end is not None:
            outside.append(text[position : start.start()])
            boxes.append(_LATEX.sub(" ", text[start.end() : end]).strip())
            position = end + 1
    boxes = [content for content in boxes if content]
    if boxes:
        return boxes, "".join([*outside, text[position:]]).replace("$", "").strip()
    before, _, last = text.rpartition("\n")
    mark = _LAST_LINE_MARK.fullmatch(last)
    return ([mark[1]], before.strip()) if mark else ([], text)


def _closing_brace(text: str, start: int) -> int | None:
    depth = 1
    for offset, character in enumerate(text[start : start + _MAX_BOX]):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth == 0:
            return start + offset
    return None


def _tags(text: str) -> Iterator[Tag]:
    """Tags of a known kind, in order. One in square brackets counts only as a part of a pair, or in capitals."""
    if _BRACKETS.isdisjoint(text):
        return
    found = []
    square_ends: set[TagKind] = set()
    for match in _TAG.finditer(text):
        inner = match["inner"]
        kind, ends = _classify(inner.rstrip("/ "), "|" in match[0] or "｜" in match[0])
        value = _ATTRIBUTE.search(inner) if kind == "answer" else None
        if kind is None or (inner.endswith("/") and value is None):
            continue
        square = match["left"] in _PAIRED_BRACKETS
        tag = Tag(
            kind,
            ends or bool(match["slash"]),
            square,
            match.start(),
            match.end(),
            value[1] if value else None,
        )
        if square and tag.closes:
            square_ends.add(kind)
        found.append((tag, inner))
    for tag, inner in found:
        if not tag.square or tag.kind in square_ends or (tag.kind == "thought" and inner.isupper()):
            yield tag


@lru_cache(maxsize=4096)
def _classify(inner: str, has_bars: bool) -> tuple[TagKind | None, bool]:
    """The kind of a tag, and whether its name says that it closes ("end_of_thought")."""
    name = inner.split(" ", 1)[0] if "=" in inner else inner
    words = [word.lower() for word in _NAME_WORD.findall(name)]
    for kind, pattern in _TAG_KINDS:
        known = [pattern.fullmatch(word) or word in _names(kind) for word in words]
        others = [word for word, is_known in zip(words, known, strict=True) if not is_known]
        if any(known) and all(_FILLER.fullmatch(word) or _is_kind_word(word) for word in others):
            return kind, words[0] == "end"
    return ("control" if has_bars or _UNUSED_TOKEN.fullmatch(inner) else None), False


@cache
def _names(kind: TagKind) -> frozenset[str]:
    """Names of such tags in languages other than English."""
    fields = {"thought": "thinking_names", "answer": "answer_headings", "explanation": "explanation_headings"}
    return (
        frozenset(name.lower() for name in all_rules().words(fields[kind])) if kind in fields else frozenset()
    )


def _is_kind_word(word: str) -> bool:
    return any(pattern.fullmatch(word) for _, pattern in _TAG_KINDS)
