"""The floor that tables show beside every score: the weighted F1 of the most frequent training label.

The label of each question is chosen among its training rows only. Without any, there is no floor: one chosen among test
labels would be a score on the data that it was chosen by. An answer of several parts has the most frequent level of
each; for one made of quotations there is no floor, because no quotation stands in every post.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mentallama.analysts.answer_parts import labels_by_head
from mentallama.analysts.majority import LabelCounts
from mentallama.answers.parse import read_answer
from mentallama.evaluate.scores import ScoredRow, counts_by_post, weighted_f1_of
from mentallama.files.imhi_release import find_release_files, read_release_file
from mentallama.metrics.classification import round_score
from mentallama.records import Form
from mentallama.tasks import Task


def majority_scores(
    rows: Mapping[str, Sequence[ScoredRow]], training: LabelCounts, tasks: Mapping[str, Task]
) -> dict[str, float]:
    """Weighted F1, in percent, of the most frequent training label on the scored rows of each set.

    A set is left out if one of its questions has no training rows.
    """
    scores = {}
    for name, of_set in rows.items():
        task = tasks[name]
        answers = {row.question: training.answer(task, row.question) for row in of_set}
        labels = {question: answer.value for question, answer in answers.items() if answer is not None}
        if of_set and labels.keys() == answers.keys() and task.kind != "spans":
            constant = [row.model_copy(update={"predicted": labels[row.question]}) for row in of_set]
            counts = counts_by_post(constant, task).sum(axis=0)
            scores[name] = round_score(float(weighted_f1_of(task)(counts)))
    return scores


def release_training_labels(
    root: Path, form: Form, tasks: Mapping[str, Task], sets: Sequence[str]
) -> LabelCounts:
    """Count the labels of a release's training files of some sets; references without a label do not count.

    Raises
    ------
    DataError
        A file is damaged, or a row is not a query of its task.
    """

    def labels() -> Iterator[tuple[str, str, str]]:
        for file in find_release_files(root, form, tasks):
            if file.split == "train" and file.set in sets:
                for row in read_release_file(file, tasks[file.set]):
                    reading = read_answer(tasks[file.set], row.reference, form)
                    if reading.label is not None:
                        levels = labels_by_head(tasks[file.set], {row.question: reading.label})
                        yield from ((file.set, head, level) for head, level in levels.items())

    return LabelCounts.of_rows(labels())
