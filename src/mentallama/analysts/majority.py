"""The majority analyst: always the label that is most frequent among the training rows of the question; of an answer of
several parts, the most frequent level of each.

It does not read the post. Its score is the floor: a model that is not above it has learnt nothing from the text.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import Field, PositiveInt

from mentallama.analysts.answer_parts import ComposedAnswer, compose_answer, head_name
from mentallama.analysts.base import Analyst
from mentallama.analysts.checkpoints.digests import verify_hashes, write_hashes
from mentallama.analysts.checkpoints.metadata import MAJORITY_MODEL_FILE
from mentallama.errors import UsageError
from mentallama.files.atomic import write_json
from mentallama.files.manifest import digest_file
from mentallama.files.record_files import read_record
from mentallama.records import Example, Prediction, Reading, Record
from mentallama.tasks import Task, find_task, load_tasks
from mentallama.tasks.answer_kinds import Part


class LabelCounts(Record):
    """Number of training rows by set, head (`answer_parts`) and label; the content of a majority model's file.

    The head of an answer that is a single decision has the name of its question.
    """

    counts: dict[str, dict[str, Annotated[dict[str, PositiveInt], Field(min_length=1)]]] = {}

    @classmethod
    def of_rows(cls, rows: Iterable[tuple[str, str, str]]) -> LabelCounts:
        """Count rows, each given as (set, head, label)."""
        counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for name, question, label in rows:
            counts[name][question][label] += 1
        return cls(
            counts={
                name: {key: dict(found) for key, found in of_set.items()} for name, of_set in counts.items()
            }
        )

    def answer(self, task: Task, question: str) -> ComposedAnswer | None:
        """The most frequent answer, with the shares of labels as probabilities; None if the question has no training
        rows. Of equally frequent labels it is the first of the task.

        Raises
        ------
        UsageError
            A label was counted that the task does not have.
        """
        shares = {
            part.name: _shares(counts, part, task.set, question)
            for part in task.parts
            if (counts := self.counts.get(task.set, {}).get(head_name(question, part.name)))
        }
        return compose_answer(task, shares) if shares else None


def _shares(counts: Mapping[str, int], part: Part, set_name: str, question: str) -> dict[str, float]:
    """Share of each level of a part, 0-1, in the task's order."""
    if unknown := sorted(set(counts) - set(part.levels)):
        names = ", ".join(map(repr, unknown))
        raise UsageError(f"{set_name}, {question}: the task has no label {names}; train again")
    total = sum(counts.values())
    return {level: counts.get(level, 0) / total for level in part.levels}


class MajorityAnalyst(Analyst):
    """Answers with the most frequent label and the shares of all labels as probabilities, without an explanation."""

    kind = "majority"

    def __init__(self, counts: LabelCounts, name: str, tasks: Mapping[str, Task] | None = None) -> None:
        self.name = name
        self._counts, self._catalogue = counts, tasks

    @classmethod
    def load(cls, folder: Path, tasks: Mapping[str, Task] | None = None) -> MajorityAnalyst:
        """Open a trained model.

        Raises
        ------
        UsageError
            There is no model in the folder.
        DataError
            A file of it is missing or damaged.
        """
        path = folder / MAJORITY_MODEL_FILE
        if not path.is_file():
            raise UsageError(
                f"{folder}: there is no majority model here (no {MAJORITY_MODEL_FILE}); train one first"
            )
        verify_hashes(folder, made_here=True)
        counts, digest = read_record(path, LabelCounts), digest_file(path, path.name).sha256
        return cls(counts, f"majority:{digest[:12]}", tasks)

    @property
    def supported_questions(self) -> tuple[tuple[str, str], ...]:
        """The questions that have training rows, as (set, question)."""
        return tuple(
            (name, question)
            for name, counts in self._counts.counts.items()
            for question in _questions(counts, (self._catalogue or load_tasks()).get(name))
        )

    def predict(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Answer examples without reading their posts.

        Raises
        ------
        UsageError
            A question has no training rows, or its task file is missing or has other labels.
        """
        for example in examples:
            answer = self._counts.answer(find_task(example.task, self._catalogue), example.question)
            if answer is None:
                known = ", ".join(f"{name} ({question})" for name, question in self.supported_questions)
                question = f"{example.task} ({example.question})"
                raise UsageError(f"{self.name} was not trained on {question}; it answers {known}")
            yield Prediction(
                example_id=example.id,
                reading=Reading(status="parsed", label=answer.value),
                probabilities=answer.probabilities,
                model=self.name,
            )


def _questions(heads: Iterable[str], task: Task | None) -> Iterable[str]:
    """The questions that heads are about; without the task, heads count as questions."""
    if task is None or not task.is_composite:
        return heads
    known = set(heads)
    return [
        question for question in task.questions if known & {head_name(question, p.name) for p in task.parts}
    ]


def save_majority_model(folder: Path, counts: LabelCounts) -> None:
    """Write a model, then its digests; a folder that has digests is complete."""
    write_json(folder / MAJORITY_MODEL_FILE, counts.model_dump())
    write_hashes(folder)
