"""A small run with two teachers, one right and one wrong, for preference pairs in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mentallama.config import Check, Recipe, Teach
from mentallama.files.record_files import write_records
from mentallama.records import Response, Verdict, example_of
from mentallama.run_files import POSTS_PATH, TEACH_RESPONSES_PATH, VERDICTS_PATH
from tests.factories.causal_cases import NO, YES, posts

BEST = {"yes": YES, "no": NO}

WORST = {"yes": NO, "no": YES}


def with_verdicts(folder: Path) -> None:
    """Write a run with two teachers: the gate `label_match` accepts the first's responses and rejects the second's."""
    all_posts = [*posts("train", 24), *posts("validation", 8, 24), *posts("test", 4, 40)]
    write_records(folder / POSTS_PATH, all_posts)
    examples = [(example_of(post, "stress", "instruction"), post.labels["stress"]) for post in all_posts]
    responses = [
        Response(example_id=example.id, text=text_by_label[label], model=model)
        for example, label in examples
        for model, text_by_label in (("first", BEST), ("second", WORST))
    ]
    write_records(folder / TEACH_RESPONSES_PATH, responses)
    verdicts = [
        Verdict(
            example_id=response.example_id,
            model=response.model,
            gate="label_match",
            ok=response.model == "first",
        )
        for response in responses
    ]
    write_records(folder / VERDICTS_PATH, verdicts)


def make_run(folder: Path, base: Path, **settings: Any) -> Recipe:
    """The recipe that trains on the pairs of a run."""
    given = {"max_tokens": 200, "epochs": 3, "batch_size": 8, "learning_rate": 2e-3, **settings}
    train = {"analyst": "causal", "objective": "dpo", "base": str(base), **given}
    return Recipe(
        name="tiny",
        data=folder,
        sets=("dreaddit",),
        train=train,
        check=Check(),
        teach=Teach(teacher="embedded"),
    )
