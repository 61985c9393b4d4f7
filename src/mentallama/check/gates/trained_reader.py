"""Read labels from explanations with a trained label reader, where it has not seen their posts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.analysts.registry import LabelReader
from mentallama.answers.strip_label import without_answer
from mentallama.check.gates.label_consistency import ReadBack
from mentallama.check.response_row import Row


def read_trained(rows: Sequence[Row], reader: LabelReader) -> dict[int, ReadBack]:
    """What the reader says, by the row's place: of the questions that it knows, about posts that it has not seen.

    A label is told from an explanation alone; one that holds nothing but its answer is empty.
    """
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        if reader.answers(row.task, row.example.question) and seen_hash(row.post.text) not in reader.seen:
            asked[row.task.set, row.example.question].append(at)
    found: dict[int, ReadBack] = {}
    for (_, question), places in asked.items():
        task = rows[places[0]].task
        texts = {at: without_answer(task, rows[at].reading.explanation) for at in places}
        said = [at for at in places if texts[at]]
        shares = reader.read(task, question, [texts[at] for at in said])
        found |= {at: ReadBack(empty=True) for at in places}
        found |= {at: ReadBack(dict(own)) for at, own in zip(said, shares, strict=True)}
    return found
