"""The scripted analyst: fixed answers from a file, for tests and for outputs made elsewhere.

The file has one JSON object per line: `text` and either `example_id`, or `task` and `question` for an answer to
that question about any post.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import model_validator

from mentallama.analysts.base import Analyst
from mentallama.answers.parse import read_answer
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records
from mentallama.records import Example, Prediction, Record
from mentallama.tasks import Task, find_task


class ScriptedAnswer(Record):
    """A fixed answer, and the example or the question that it belongs to."""

    text: str
    example_id: str | None = None
    task: str | None = None
    question: str | None = None

    @model_validator(mode="after")
    def _require_target(self) -> ScriptedAnswer:
        if self.example_id is None and (self.task is None or self.question is None):
            raise ValueError("an answer needs an example_id, or a task and a question")
        return self


class ScriptedAnalyst(Analyst):
    """Returns answers from a file; an answer to the example takes precedence over one to its question."""

    kind = "scripted"

    def __init__(self, lines: Iterable[ScriptedAnswer], tasks: Mapping[str, Task] | None = None) -> None:
        self._tasks = tasks
        self._texts = {line.example_id or (line.task, line.question): line.text for line in lines}

    @classmethod
    def load(cls, file: Path, tasks: Mapping[str, Task] | None = None) -> ScriptedAnalyst:
        """Read a file of answers.

        Raises
        ------
        UsageError
            There is no such file.
        DataError
            A line is not an answer.
        """
        return cls(read_records(file, ScriptedAnswer), tasks)

    @property
    def gives_probabilities(self) -> bool:
        """False: a fixed answer has none."""
        return False

    def predict(self, examples: Iterable[Example]) -> Iterator[Prediction]:
        """Parse the answer to each example, as the output of any other model is parsed.

        Raises
        ------
        UsageError
            There is no answer for an example.
        """
        for example in examples:
            text = self._texts.get(example.id, self._texts.get((example.task, example.question)))
            if text is None:
                target = f"example {example.id} or for {example.task} ({example.question})"
                raise UsageError(f"no answer is scripted for {target}")
            reading = read_answer(find_task(example.task, self._tasks), text, example.form)
            yield Prediction(example_id=example.id, reading=reading, model="scripted")
