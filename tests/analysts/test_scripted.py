"""Fixed answers, read by the one rule for answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mentallama.attribution.opening import open_analyst
from mentallama.errors import DataError, UsageError
from mentallama.records import Example, example_of
from tests.factories.linear_cases import make_post

YES = "Yes, the poster suffers from depression. Reasoning: The mood is low."
NO = "No, the poster does not suffer from depression. Reasoning: The post is about a garden."


def ask(text: str) -> Example:
    return example_of(make_post("DR", "test", text, {}), "depression", "instruction")


def script(path: Path, *lines: dict[str, str]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return f"scripted:{path}"


def test_an_answer_to_the_example_comes_before_one_to_its_question(tmp_path: Path) -> None:
    first, second = ask("one"), ask("two")
    spec = script(
        tmp_path / "answers.jsonl",
        {"task": "DR", "question": "depression", "text": NO},
        {"example_id": second.id, "text": YES},
    )
    predictions = list(open_analyst(spec).predict([first, second]))
    assert [(p.example_id, p.reading.label) for p in predictions] == [(first.id, "no"), (second.id, "yes")]
    assert predictions[1].reading.explanation == "The mood is low."
    assert predictions[1].probabilities == {}


def test_an_answer_that_says_nothing_is_unparsed(tmp_path: Path) -> None:
    spec = script(tmp_path / "answers.jsonl", {"task": "DR", "question": "depression", "text": "Hm."})
    (prediction,) = open_analyst(spec).predict([ask("one")])
    assert (prediction.reading.status, prediction.reading.label) == ("unparsed", None)


def test_an_example_without_answer_is_wrong_use(tmp_path: Path) -> None:
    spec = script(tmp_path / "answers.jsonl", {"example_id": "other", "text": YES})
    with pytest.raises(UsageError, match=r"no answer is scripted for .* DR \(depression\)"):
        list(open_analyst(spec).predict([ask("one")]))


def test_a_line_must_say_what_it_answers(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"answers\.jsonl, row 1"):
        open_analyst(script(tmp_path / "answers.jsonl", {"task": "DR", "text": YES}))
    with pytest.raises(UsageError, match="no such file"):
        open_analyst(f"scripted:{tmp_path / 'none.jsonl'}")
