"""Answers as people read them: posts in, and for each post and question a label, its probability and the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from mentallama.analysts.answer_html import MAX_SHOWN, answers_html
from mentallama.data_frames import Column, FrameLibrary, is_missing, is_table, make_frame
from mentallama.errors import UsageError, counted
from mentallama.records import Example, Form, Prediction, ReadingStatus, Record, Span, example_id, stable_id
from mentallama.symptoms import score_answer
from mentallama.tasks import QuestionKey, Task
from mentallama.tasks.answer_kinds import AnswerKind
from mentallama.tasks.answer_values import AnswerValue, parse_value, without_quotations
from mentallama.text.clean_post import CleanPost

if TYPE_CHECKING:
    import pandas
    import polars

AnswerStatus = ReadingStatus | Literal["failed", "skipped"]
"""The status of a reading; "failed": the model gave no answer, ask again; "skipped": the post cannot be asked about."""


class Quotation(Record):
    """Characters `start` (inclusive) to `end` (exclusive) of a post, and what they say.

    `weight` is what they contribute to the decision, in log-odds: negative where they speak against the label; None
    where the model gives no weights.
    """

    start: int
    end: int
    text: str
    weight: float | None = None

    @property
    def is_support(self) -> bool:
        """Whether it speaks for the label."""
        return self.weight is None or self.weight >= 0


class Answer(Record):
    """The answer to one question about one post.

    Its representation in a console or a log shows no text of the post; a notebook shows the whole answer.

    Attributes
    ----------
    post
        The text as it was given.
    task, question
        What was asked, such as "dreaddit" and "stress".
    label
        None exactly if `status` is not "parsed".
    probability
        That of the label, 0 to 1; None if the model gives none, or if the answer has several parts.
    probabilities
        Those of all labels of the question, which sum to 1; empty if the model gives none. Of answers of several parts,
        those that each label or type is present, or those of the levels of each item, as `ITEM: LEVEL`.
    status
        "parsed"; "unparsed", "refused" or "truncated" for a text without a label; "failed" if the model gave no answer,
        so that asking again may help; "skipped" if the post cannot be asked about, such as an empty one.
    reason
        Why there is no label; None if there is one.
    explanation
        The reason for the label, in words.
    evidence
        Quotations of the post that speak for the label or against it; their offsets count the characters of `post`.
    model
        The name by which the model was opened.
    kind
        Kind of the answer: "choice", "ordinal", "multi", "spans" or "scale".
    total, band
        Sum of a scale and its band; None for other kinds, and without a sum where an item is not filled.
    """

    post: str
    task: str
    question: str
    label: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = {}
    status: AnswerStatus
    reason: str | None = None
    explanation: str = ""
    evidence: tuple[Quotation, ...] = ()
    model: str
    kind: AnswerKind = "choice"
    total: float | None = None
    band: str | None = None

    @property
    def value(self) -> AnswerValue | None:
        """Value of the label: see `mentallama.answer_value`; None without a label."""
        return None if self.label is None else parse_value(self.kind, self.label)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """The fields that quote nothing of the post."""
        shown = ("label", "probability") if self.status == "parsed" else ("status", "reason")
        fields = {name: getattr(self, name) for name in ("task", "question", *shown)}
        if self.label is not None and "label" in fields:
            fields["label"] = without_quotations(self.label)
        return [
            (name, round(value, 4) if isinstance(value, float) else value)
            for name, value in fields.items()
            if value is not None
        ]

    def _repr_html_(self) -> str:
        return answers_html([self])


ANSWER_COLUMNS = tuple(name for name in Answer.model_fields if name not in {"post", "kind", "total", "band"})
"""The columns that an answer adds to the row of its post."""
SCALE_COLUMNS = ("total", "band")
"""Further columns of answers of the kind scale."""


def as_texts(posts: str | Iterable[object]) -> list[str]:
    """Posts as texts; a single text is one post.

    Raises
    ------
    UsageError
        It is a table, a mapping, or nothing to iterate over, or a post is not a text.
    """
    if is_table(posts):
        raise UsageError(
            f'posts are a list of texts, not a {type(posts).__name__}; pass a column of it, such as posts["text"]'
        )
    if isinstance(posts, (bytes, bytearray)) or not isinstance(posts, Iterable):
        raise UsageError(f"posts are a text or a list of texts, not of type {type(posts).__name__}")
    return [as_text(post, number) for number, post in enumerate([posts] if isinstance(posts, str) else posts)]


def as_text(post: object, number: int) -> str:
    """A post as text; missing values of tables (None, NaN, NA) are empty posts.

    Raises
    ------
    UsageError
        It is something else; `number` is its position, from 0.
    """
    if isinstance(post, str):
        return post
    if is_missing(post):
        return ""
    raise UsageError(f"post {number} is of type {type(post).__name__}; posts are texts (str)")


def example_of_text(text: str, key: QuestionKey, form: Form) -> Example:
    """The example that asks a question about a cleaned text of nobody in particular."""
    task, question = key
    post_id = stable_id(text)
    return Example(
        id=example_id(post_id, question, form, task),
        post_id=post_id,
        task=task,
        question=question,
        form=form,
        text=text,
    )


def answer_of(
    post: CleanPost, key: QuestionKey, prediction: Prediction, model: str, task: Task | None = None
) -> Answer:
    """The answer that a prediction is, with its evidence in the words of the post as it was given.

    Without its task, it is taken for a single decision.
    """
    reading, composite = prediction.reading, task is not None and task.is_composite
    score = score_answer(task, reading.label) if task and reading.label and task.kind == "scale" else None
    return Answer(
        post=post.original,
        task=key[0],
        question=key[1],
        label=reading.label,
        probability=prediction.probabilities.get(reading.label) if reading.label and not composite else None,
        probabilities=prediction.probabilities,
        status=reading.status,
        reason=reading.reason,
        explanation=reading.explanation,
        evidence=tuple(_quotation(post, span) for span in prediction.evidence),
        model=model,
        kind="choice" if task is None else task.kind,
        total=None if score is None else score.value,
        band=None if score is None else score.band,
    )


def _quotation(post: CleanPost, span: Span) -> Quotation:
    start, end = post.locate(span.start, span.end)
    return Quotation(start=start, end=end, text=post.original[start:end], weight=span.weight)


def unanswered(
    post: CleanPost, key: QuestionKey, status: Literal["failed", "skipped"], reason: str, model: str
) -> Answer:
    """The row of a question without an answer."""
    return Answer(post=post.original, task=key[0], question=key[1], status=status, reason=reason, model=model)


class Answers(Sequence[Answer]):
    """Answers in the order of the posts, and of the questions about each.

    Parameters
    ----------
    answers
        The answers.
    positions
        For each answer, the position of its post among the posts, from 0; None: each is about a post of its own.
    post_index
        The index of the pandas Series that the posts came in; None if they came in anything else.

    Examples
    --------
    >>> answers = Answers([Answer(post="So tired.", task="DR", question="depression", label="no", status="parsed",
    ...                           model="m")])
    >>> answers
    <Answers: 1 about 1 post; DR (depression): 1 no>
    >>> answers[0].label, len(answers), answers.to_dicts()[0]["status"]
    ('no', 1, 'parsed')
    """

    def __init__(
        self,
        answers: Iterable[Answer],
        positions: Sequence[int] | None = None,
        post_index: pandas.Index[Any] | None = None,
    ) -> None:
        self._answers = tuple(answers)
        self.positions = range(len(self._answers)) if positions is None else positions
        self._post_index = post_index

    @overload
    def __getitem__(self, index: int) -> Answer: ...
    @overload
    def __getitem__(self, index: slice) -> Answers: ...
    def __getitem__(self, index: int | slice) -> Answer | Answers:
        if isinstance(index, slice):
            return Answers(self._answers[index], self.positions[index], self._post_index)
        return self._answers[index]

    def __len__(self) -> int:
        return len(self._answers)

    def __repr__(self) -> str:
        """How many there are, and the labels by question."""
        counts: dict[str, Counter[str]] = {}
        for answer in self._answers:
            of_question = counts.setdefault(f"{answer.task} ({answer.question})", Counter())
            of_question[without_quotations(answer.label) if answer.label else answer.status] += 1
        listed = (
            f"{question}: {', '.join(f'{count:,} {name}' for name, count in of_question.most_common())}"
            for question, of_question in counts.items()
        )
        posts = counted(len(set(self.positions)), "post")
        return f"<Answers: {'; '.join([f'{len(self):,} about {posts}', *listed])}>"

    def _repr_html_(self) -> str:
        return answers_html(self._answers[:MAX_SHOWN], max(0, len(self) - MAX_SHOWN))

    def to_dicts(self) -> list[dict[str, Any]]:
        """One JSON-compatible dictionary per answer, with the fields of `Answer`."""
        return [answer.model_dump(mode="json") for answer in self._answers]

    @overload
    def to_frame(self, library: Literal["pandas"] = ...) -> pandas.DataFrame: ...
    @overload
    def to_frame(self, library: Literal["polars"]) -> polars.DataFrame: ...
    def to_frame(self, library: FrameLibrary = "pandas") -> pandas.DataFrame | polars.DataFrame:
        """The answers as a data frame: a row per answer, and the columns `post` and `ANSWER_COLUMNS`.

        With answers of the kind scale, there are also the columns `total` and `band`.

        Parameters
        ----------
        library
            The library of the frame, which has to be installed: "pandas" or "polars".

        Returns
        -------
        pandas.DataFrame or polars.DataFrame
            In pandas, the index is that of the Series of posts, or else their positions from 0; if several questions
            were asked, each of its labels occurs once for each. `probabilities` holds a dictionary from label to
            probability (in polars, a struct), `evidence` a list of dictionaries.

        Raises
        ------
        UsageError
            The library is not installed.
        """
        rows = self.to_dicts()
        columns = [
            Column(name, [row[name] for row in rows], _COLUMN_TYPES.get(name, str))
            for name in ("post", *ANSWER_COLUMNS, *self._scale_columns())
        ]
        frame: pandas.DataFrame | polars.DataFrame = make_frame(columns, library, self._row_labels())
        return frame

    def _scale_columns(self) -> tuple[str, ...]:
        return SCALE_COLUMNS if any(answer.kind == "scale" for answer in self._answers) else ()

    def _row_labels(self) -> object:
        return self.positions if self._post_index is None else self._post_index.take(list(self.positions))


_COLUMN_TYPES = {"probability": float, "total": float, "probabilities": object, "evidence": object}
"""Columns that hold no text."""
