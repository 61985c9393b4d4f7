"""A small run with two teachers, one better than the other, for preference pairs in tests."""

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
    """A run of two teachers: what the first says is accepted, what the second says is refused by correctness."""
    everything = [*posts("train", 24), *posts("validation", 8, 24), *posts("test", 4, 40)]
    write_records(folder / POSTS_PATH, everything)
    examples = [(example_of(each, "stress", "instruction"), each.labels["stress"]) for each in everything]
    told = [
        Response(example_id=example.id, text=says[label], model=model)
        for example, label in examples
        for model, says in (("first", BEST), ("second", WORST))
    ]
    write_records(folder / TEACH_RESPONSES_PATH, told)
    verdicts = [
        Verdict(example_id=each.example_id, model=each.model, gate="label_match", ok=each.model == "first")
        for each in told
    ]
    write_records(folder / VERDICTS_PATH, verdicts)


def made(folder: Path, base: Path, **settings: Any) -> Recipe:
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
