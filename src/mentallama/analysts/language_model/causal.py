"""Ask a decoder language model: the likeliest of the question's written answers, then its reasons (DESIGN 4).

The probability of a label is that of its written answer behind the prompt, among the question's answers. All questions
about a post are read as one tree, and what is written behind an answer goes on from what was read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from mentallama.analysts.base import Asking
from mentallama.analysts.checkpoints.device import choose_device, choose_dtype
from mentallama.analysts.checkpoints.loading import Opened, open_weights
from mentallama.analysts.inference.answer_scoring import Ask, Group, Read, read_trees
from mentallama.analysts.inference.batching import Budget, in_passes
from mentallama.analysts.inference.generation import Bounds, Row, write
from mentallama.analysts.inference.prompt_encoding import Prompter
from mentallama.analysts.inference.token_trie import common
from mentallama.analysts.inference.unshared import score_alone, tree_bound, write_alone
from mentallama.analysts.language_model.predictions import Said, Tally, answering, bare, best, ends_of
from mentallama.answers.parse import REASONING, answer_sentence
from mentallama.records import Example, Form, Prediction
from mentallama.tasks import Task, find_task


@dataclass(frozen=True)
class Question:
    """An example as the model is asked it. `leads` are the answers with the word that reasons follow; by label."""

    example: Example
    task: Task
    prompter: Prompter
    ask: Ask
    leads: tuple[list[int], ...] = ()


@dataclass
class Answer:
    """What the model has said: the answers' log-likelihoods, and what it has written, if it was to write."""

    scores: list[float]
    row: Row | None = None


class CausalAnalyst:
    """Answer with a decoder language model.

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
        self._prompters: dict[Form, Prompter] = {}
        self._answers: dict[tuple[str, Form], tuple[tuple[list[int], ...], tuple[list[int], ...]]] = {}
        self._budget = Budget(asking.tokens_at_once, asking.say)
        self._tree_bound = tree_bound(self._model, opened.context)
        self._writes = asking.mode == "free" or not asking.labels_only

    @classmethod
    def load(cls, where: str, asking: Asking) -> CausalAnalyst:
        """Open a folder, an adapter's folder or an id on the hub.

        Raises
        ------
        WrongUse
            There is no such model, or not the device that is asked for.
        """
        device = choose_device(asking.device)
        return cls(open_weights(where, "causal", choose_dtype(asking.dtype, device), device), asking)

    def analyse(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        """Answer examples together; predictions come in their order.

        Raises
        ------
        WrongUse
            An example is of an unknown task, or its question alone is longer than the model's context.
        MentallamaError
            Memory does not even hold one question.
        """
        questions = [self._question(example) for example in examples]
        with answering(self._model):
            answers = self._answer(questions)
        for question, answer in zip(questions, answers, strict=True):
            said = Said(answer.scores, *self._text(question, answer.row))
            yield self._tally.prediction(question.example, question.task, said)

    def _question(self, example: Example) -> Question:
        task, prompter = find_task(example.task, self._asking.tasks), self._prompter(example.form)
        answers, leads = self._written(task, prompter)
        behind = [len(ids) for ids in (leads if self._writes else answers)]
        prompt = prompter.prompt(example, task, max(behind, default=0) + self._room)
        if prompt.cut:
            self._tally.cut_post(example)
        return Question(example, task, prompter, Ask(prompt.ids, answers), leads)

    @property
    def _room(self) -> int:
        return self._asking.max_new_tokens if self._writes else 0

    def _prompter(self, form: Form) -> Prompter:
        if form not in self._prompters:
            file, template = self._opened.file, self._asking.template
            # A model that was trained here is asked as it was taught.
            chosen = file.template if file is not None and template == "auto" else template
            self._prompters[form] = Prompter(self._opened.tokenizer, form, chosen, self._opened.context)
        return self._prompters[form]

    def _written(self, task: Task, prompter: Prompter) -> tuple[tuple[list[int], ...], tuple[list[int], ...]]:
        """The answers to a task's questions as tokens, and the same with the word that reasons follow; by label."""
        if self._asking.mode == "free":
            return (), ()
        key = (task.set, prompter.form)
        if key not in self._answers:
            sentences = [answer_sentence(task, label, prompter.form) for label in task.labels]
            self._answers[key] = (
                tuple(prompter.answer(sentence, ended=False) for sentence in sentences),
                tuple(prompter.answer(f"{sentence} {REASONING}", ended=False) for sentence in sentences),
            )
        return self._answers[key]

    def _answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Read all questions, in trees where that can be, and write behind them where that is asked."""
        answers = [Answer([]) for _ in questions]
        fits = [self._fits(question) for question in questions]
        tree = [number for number, fit in enumerate(fits) if fit]
        alone = [number for number, fit in enumerate(fits) if not fit]
        rows = self._read_in_trees(questions, tree, answers)
        bounds = self._bounds(questions)
        for row in write(self._model, rows, bounds, self._budget):
            answers[row.number].row = row
        for row in write_alone(
            self._model, self._read_alone(questions, alone, answers), bounds, self._budget
        ):
            answers[row.number].row = row
        return answers

    def _fits(self, question: Question) -> bool:
        behind = max((len(ids) for ids in (question.leads or question.ask.answers)), default=0)
        return len(question.ask.prompt) + behind + self._room <= self._tree_bound

    def _bounds(self, questions: Sequence[Question]) -> Bounds:
        own = chain.from_iterable(question.prompter.ends for question in questions)
        return Bounds(
            frozenset(chain(ends_of(self._model), own)), self._asking.max_new_tokens, self._opened.context
        )

    def _read_in_trees(
        self, questions: Sequence[Question], numbers: Sequence[int], answers: Sequence[Answer]
    ) -> Iterator[Row]:
        """Fill in scores pass by pass; give the rows to be written on."""
        by_post: dict[str, list[int]] = defaultdict(list)
        for number in numbers:
            by_post[questions[number].example.text].append(number)
        groups = [Group(own, [questions[number].ask for number in own]) for own in by_post.values()]
        for part, found in in_passes(groups, self._budget, self._read):
            for group, reads in zip(part, found, strict=True):
                for number, read in zip(group.numbers, reads, strict=True):
                    answers[number].scores = read.scores
                    if self._writes:
                        yield _row(number, questions[number], read)

    def _read(self, groups: Sequence[Group]) -> list[list[Read]]:
        return read_trees(self._model, groups, keep=self._writes)

    def _read_alone(
        self, questions: Sequence[Question], numbers: Sequence[int], answers: Sequence[Answer]
    ) -> list[Row]:
        scores = score_alone(self._model, {number: questions[number].ask for number in numbers}, self._budget)
        for number in numbers:
            answers[number].scores = scores[number]
        return [
            _row(number, questions[number], Read(scores[number], [])) for number in numbers if self._writes
        ]

    def _text(self, question: Question, row: Row | None) -> tuple[str, bool]:
        """What was written, without the token that ended it; and whether it had none."""
        if row is None:
            return "", False
        ids, ends = row.written, self._bounds([question]).ends
        whole = bool(ids) and ids[-1] in ends
        return question.prompter.read(ids[:-1] if whole else ids), not whole


def _row(number: int, question: Question, read: Read) -> Row:
    """Where to write on: behind the likeliest answer and the word that reasons follow, or behind the prompt."""
    likeliest = best(read.scores) if read.scores else 0
    tokens = question.ask.prompt + (question.leads[likeliest] if question.leads else [])
    if read.layers is None:
        return Row(number, tokens)
    # At least one token is read again: behind it stands the first that is written.
    known = min(common(question.ask.sequences[likeliest], tokens), len(tokens) - 1)
    return Row(number, tokens, read.paths[likeliest][:known], read.layers, read.row)
