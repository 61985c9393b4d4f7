"""A run to be killed by the tests.

`python -m tests.factories.slow_predict POSTS OUT JOURNAL LOG`; it notes every example that it answers."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mentallama.files.record_files import read_records
from mentallama.predict.analyst_pool import local_pool
from mentallama.predict.questions import labelled_questions
from mentallama.predict.run import run
from mentallama.records import Example, Post, Prediction, Reading


class Slow:
    """A hundredth of a second an answer."""

    def __init__(self, log: Path) -> None:
        self._log = log.open("a", buffering=1, encoding="utf-8")

    def predict(self, examples: Sequence[Example]) -> Iterator[Prediction]:
        for example in examples:
            time.sleep(0.01)
            self._log.write(example.id + "\n")
            yield Prediction(
                example_id=example.id, reading=Reading(status="parsed", label="yes"), model="slow"
            )


def main(posts: str, out: str, journal: str, log: str) -> None:
    Path(out).mkdir(exist_ok=True)
    crew = local_pool(Slow(Path(log)))
    run(
        crew,
        lambda: labelled_questions(read_records(Path(posts), Post), "instruction"),
        Path(out),
        Path(journal),
        "posts",
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
