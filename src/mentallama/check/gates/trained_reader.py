"""Read labels from explanations with a trained label reader, where it has not seen their posts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from mentallama.analysts.base import LabelReader
from mentallama.analysts.checkpoints.metadata import seen_hash
from mentallama.answers.strip_label import strip_label
from mentallama.check.gates.label_consistency import ExplanationPrediction
from mentallama.check.response_row import ResponseRow


def predict_with_label_reader(
    rows: Sequence[ResponseRow], reader: LabelReader
) -> dict[int, ExplanationPrediction]:
    """What the reader says, by the row's place: of the questions that it knows, about posts that it has not seen.

    A label is told from an explanation alone; one that holds nothing but its answer is empty.
    """
    asked: dict[tuple[str, str], list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        if reader.supports(row.task, row.example.question) and seen_hash(row.post.text) not in reader.seen:
            asked[row.task.set, row.example.question].append(at)
    found: dict[int, ExplanationPrediction] = {}
    for (_, question), places in asked.items():
        task = rows[places[0]].task
        texts = {at: strip_label(task, rows[at].reading.explanation) for at in places}
        said = [at for at in places if texts[at]]
        shares = reader.label_probabilities(task, question, [texts[at] for at in said])
        found |= {at: ExplanationPrediction(empty=True) for at in places}
        found |= {at: ExplanationPrediction(dict(own)) for at, own in zip(said, shares, strict=True)}
    return found
