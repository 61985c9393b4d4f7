"""The words of a task: questions, labels, and the sentences of an explanation."""

from __future__ import annotations

from collections.abc import Collection
from string import Formatter
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

from mentallama.records import Form


class TaskFileModel(BaseModel):
    """Base of the models of a task file: frozen, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Wording(TaskFileModel):
    """One text in both published forms."""

    instruction: str
    completion: str

    def for_form(self, form: Form) -> str:
        return self.instruction if form == "instruction" else self.completion


class Question(TaskFileModel):
    """One question of a task: its wording, other wordings of it, and an instruction to teachers."""

    wording: Wording
    paraphrases: tuple[str, ...] = ()
    """The same question in other words, in the instruction form, by which `robustness` asks it too."""
    teacher_instruction: str | None = None
    """Added to the task's instruction to teachers, for tasks with several questions."""


def _check_names_something(alias: str) -> str:
    """Refuse an alias without a letter or digit, such as "", " ", "*" or "...": it would match any text."""
    if not any(map(str.isalnum, alias)):
        raise ValueError(f"the alias {alias!r} would match any text; an alias needs a letter or a digit")
    return alias


Alias = Annotated[str, AfterValidator(_check_names_something)]


class Label(TaskFileModel):
    """One label: the sentence that states it in each form, and other phrases by which models state it.

    An alias matches whole words, in any case, with or without a plural `s`; `*` matches up to three words. In a yes/no
    task the aliases of "yes" state the finding ("signs of depression"); negated, the same words are read as "no".
    """

    answer: Wording
    aliases: tuple[Alias, ...] = ()
    negated_aliases: tuple[Alias, ...] = ()
    """Phrases whose negation states this label, such as "any mental disorder" for "no mental disorders"."""
    because: str
    """Why a quotation supports the label, such as "wording that goes with signs of depression"; replaces `{because}`
    in templates."""
    score: int | None = None
    """Number of a level, in tasks of the kinds ordinal and scale; default: its position among the labels, from 0."""


class ExplanationTemplate(TaskFileModel):
    """Sentences of an explanation that is generated from evidence.

    `{quotes}` is replaced by quotations from the post, `{because}` by the label's `because`. `evidence` is for
    quotations that support the label, `counter_evidence` for those against it, `inconclusive` for posts with little of
    either, `unsupported` for posts that do not speak for the label at all.
    """

    evidence: str
    counter_evidence: str
    no_counter_evidence: str
    inconclusive: str
    unsupported: str | None = None
    """If None, `inconclusive` is used."""
    given_label_supported: str | None = None
    """Used instead of `evidence` if the label was given to the teacher; may also contain `{question}`."""
    given_label_unsupported: str | None = None
    """The same for a label that the post hardly supports. If None, `counter_evidence` and `inconclusive` are used."""
    quote_marks: tuple[str, str] = ("“", "”")
    quote_separator: str = ", "

    @model_validator(mode="after")
    def _placeholders_exist(self) -> ExplanationTemplate:
        for name in type(self).model_fields:
            text, known = getattr(self, name), _PLACEHOLDERS.get(name)
            if isinstance(text, str) and known is not None and (unknown := _unknown_placeholder(text, known)):
                allowed = " and ".join(f"{{{each}}}" for each in known) or "no braces"
                raise ValueError(f"{name}: {unknown}; it may contain {allowed}")
        return self


_PLACEHOLDERS = {
    "evidence": ("quotes", "because"),
    "counter_evidence": ("quotes", "because"),
    "inconclusive": (),
    "given_label_supported": ("quotes", "because", "question"),
    "given_label_unsupported": ("quotes", "because", "question"),
}
"""Names allowed in braces, by sentence; sentences that are not listed are used as they are."""


def _unknown_placeholder(text: str, known: Collection[str]) -> str | None:
    try:
        names = [name for _, name, _, _ in Formatter().parse(text) if name is not None]
    except ValueError:
        return "a brace is not closed; write {{ or }} for the character itself"
    unknown = [name for name in names if name not in known]
    return f"{{{unknown[0]}}} stands for nothing" if unknown else None
