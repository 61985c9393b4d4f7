"""Ask an encoder-decoder (BART, T5): the likeliest of the question's written answers, then its reasons (DESIGN 4).

The probability of a label is that of its written answer as the decoder's first words, among the question's answers.
The question stands in the encoder's text, so that what is read once is a post with one question; all its answers, and
the reasons behind the likeliest, come from that one reading.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mentallama.analysts.base import Asking
from mentallama.analysts.checkpoints.device import choose_device, choose_dtype
from mentallama.analysts.checkpoints.loading import Opened, open_weights
from mentallama.analysts.inference.batching import Budget, in_passes
from mentallama.analysts.inference.generation import Bounds
from mentallama.analysts.inference.seq2seq_encoding import Sides
from mentallama.analysts.inference.seq2seq_generation import encode, score, write
from mentallama.analysts.language_model.predictions import Said, Tally, answering, bare, best, ends_of
from mentallama.answers.parse import REASONING, answer_sentence
from mentallama.errors import WrongUse
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task


@dataclass(frozen=True)
class Question:
    """An example as the model is asked it. `leads` are the answers with the word that reasons follow; by label."""

    number: int
    example: Example
    task: Task
    sides: Sides
    prompt: list[int]
    answers: tuple[list[int], ...] = ()
    leads: tuple[list[int], ...] = ()

    @property
    def size(self) -> int:
        """Tokens to read, on both sides."""
        return len(self.prompt) + max((len(ids) for ids in self.leads), default=0) + len(self.sides.begun)

    def halves(self) -> list[Question]:
        """It has no parts."""
        return [self]


class Seq2seqAnalyst:
    """Answer with an encoder-decoder.

    Parameters
    ----------
    opened
        The model, in memory; it is left in the mode (training or not) in which it comes.
    asking
        How it is asked.

    Attributes
    ----------
    counts
        What was cut; see `Tally`.
    """

    def __init__(self, opened: Opened, asking: Asking) -> None:
        self._opened, self._asking = opened, asking
        self._tally = Tally(opened.name, opened.context, asking.say)
        self.name, self.counts = opened.name, self._tally.counts
        self._model = bare(opened)
        self._sides: dict[Form, Sides] = {}
        self._answers: dict[tuple[str, Form], tuple[tuple[list[int], ...], tuple[list[int], ...]]] = {}
        self._budget = Budget(asking.tokens_at_once, asking.say)
        self._writes = asking.mode == "free" or not asking.labels_only

    @classmethod
    def load(cls, where: str, asking: Asking) -> Seq2seqAnalyst:
        """Open a folder, an adapter's folder or an id on the hub.

        Raises
        ------
        WrongUse
            There is no such model, it is of another kind, or there is not the device that is asked for.
        """
        device = choose_device(asking.device)
        return cls(open_weights(where, "seq2seq", choose_dtype(asking.dtype, device), device), asking)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            An example is of an unknown task, or the model does not hold its question or its answers.
        MentallamaError
            Memory does not even hold one question.
        """
        questions = [self._question(number, example) for number, example in enumerate(examples)]
        said: dict[int, Said] = {}
        with answering(self._model):
            for part, found in in_passes(questions, self._budget, self._answer):
                said.update(zip((question.number for question in part), found, strict=True))
        for question in questions:
            yield self._tally.prediction(question.example, question.task, said[question.number])

    def _question(self, number: int, example: Example) -> Question:
        task, sides = find_task(example.task, self._asking.tasks), self._sides_of(example.form)
        prompt = sides.prompt(example, task)
        if prompt.cut:
            self._tally.cut_post(example)
        return Question(number, example, task, sides, prompt.ids, *self._written(task, sides))

    def _sides_of(self, form: Form) -> Sides:
        if form not in self._sides:
            opened = self._opened
            self._sides[form] = Sides(
                self._model, opened.tokenizer, form, self._asking.template, opened.context
            )
        return self._sides[form]

    def _written(self, task: Task, sides: Sides) -> tuple[tuple[list[int], ...], tuple[list[int], ...]]:
        """The answers to a task's questions as tokens, and the same with the word that reasons follow; by label."""
        if self._asking.mode == "free":
            return (), ()
        key = (task.set, sides.form)
        if key not in self._answers:
            sentences = [answer_sentence(task, label, sides.form) for label in task.labels]
            answers = tuple(sides.answer(sentence) for sentence in sentences)
            leads = tuple(sides.answer(f"{sentence} {REASONING}") for sentence in sentences)
            longest = len(sides.begun) + max(map(len, leads))
            if longest > sides.longest:
                raise WrongUse(
                    f"the model writes {sides.longest} tokens, and an answer of {task.set} takes {longest}; "
                    "take another model"
                )
            self._answers[key] = answers, leads
        return self._answers[key]

    def _answer(self, part: Sequence[Question]) -> list[Said]:
        """Read some questions together, weigh their answers, and write where that is asked."""
        encoded = encode(self._model, [question.prompt for question in part])
        begun, scores = part[0].sides.begun, [list[float]() for _ in part]
        if part[0].answers:
            scores = score(encoded, begun, [question.answers for question in part])
        if not self._writes:
            return [Said(own) for own in scores]
        behind = [
            [*begun, *(question.leads[best(own)] if own else [])]
            for question, own in zip(part, scores, strict=True)
        ]
        bounds = self._bounds(part[0].sides)
        written = write(encoded, behind, bounds)
        return [
            _said(question, own, ids, bounds)
            for question, own, ids in zip(part, scores, written, strict=True)
        ]

    def _bounds(self, sides: Sides) -> Bounds:
        ends = frozenset((*ends_of(self._model), *sides.ends))
        return Bounds(ends, self._asking.max_new_tokens, sides.longest)


def _said(question: Question, scores: list[float], ids: list[int], bounds: Bounds) -> Said:
    """What was written as text, without the token that ended it."""
    whole = bool(ids) and ids[-1] in bounds.ends
    return Said(scores, question.sides.read(ids[:-1] if whole else ids), cut=not whole)
