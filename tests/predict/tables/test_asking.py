"""Asking about texts: once each, in this process or in others, with the same answers."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from mentallama.analysts.base import InferenceOptions
from mentallama.attribution.opening import open_analyst
from mentallama.config import Predict
from mentallama.predict.analyst_pool import AnalystPool, PoolEvent, local_pool
from mentallama.predict.stage import PredictJob
from mentallama.predict.tables import asking
from mentallama.predict.tables.answer_store import text_hash
from mentallama.predict.tables.asking import TEXTS_PER_PROCESS, AnalystProcess, ask_about, ask_function
from mentallama.progress import log_to_stderr
from mentallama.records import Example, Prediction, Reading
from mentallama.tasks import load_tasks
from mentallama.train.linear.trainer import train_linear
from tests.factories.linear_cases import QUICK, depression_posts

KEYS = (("DR", "depression"),)
TEXTS = ["so tired and empty", "", "music and a picnic", "a\0b"]


def test_other_processes_give_the_same_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "usable_cpus", lambda: 2)
    train_linear(depression_posts(), tmp_path, QUICK)
    spec, texts = f"linear:{tmp_path}", [(text, KEYS) for text in TEXTS]
    here = list(ask_about(local_pool(open_analyst(spec)), texts, "instruction", spec))
    process = AnalystProcess(
        spec, "instruction", InferenceOptions(tasks={"DR": load_tasks()["DR"]}, log=log_to_stderr)
    )
    assert pickle.loads(pickle.dumps(process))(texts) == here
    assert Counter(answer.status for answer in here) == {"parsed": 2, "skipped": 2}
    job = PredictJob(spec, Predict(), load_tasks())
    ask = ask_function(job, local_pool(open_analyst(spec)), "instruction", ["DR"], 2 * TEXTS_PER_PROCESS)
    many = [(f"{text} {number}", KEYS) for number in range(150) for text in TEXTS]
    there = {answer.text: answer for answer in ask(iter(many))}
    assert len(there) == 600
    again = ask_about(local_pool(open_analyst(spec)), many, "instruction", spec)
    assert all(there[answer.text] == answer for answer in again)


def counting_pool(seen: list[str], failing: str) -> AnalystPool:
    """Answers all but one text, and notes what it is asked."""
    failed: dict[str, str] = {}

    def answer(batches: Iterator[list[Example]]) -> Iterator[PoolEvent]:
        for batch in batches:
            for example in reversed(batch):
                seen.append(example.text)
                if example.text == failing:
                    failed[example.id] = "HTTP 400"
                else:
                    reading = Reading(status="parsed", label="yes", explanation=example.text)
                    yield Prediction(example_id=example.id, reading=reading, model="m")

    return AnalystPool(None, answer, failed=failed)


def test_texts_that_are_equal_once_cleaned_are_asked_once() -> None:
    seen: list[str] = []
    texts = ["ask @maple_7", " ask @oak_12 ", "other", "bad"]
    answers = list(
        ask_about(counting_pool(seen, "bad"), [(text, KEYS) for text in texts], "instruction", "m")
    )
    assert sorted(seen) == ["ask [handle]", "bad", "other"]
    by_text = {answer.text: (answer.status, answer.reason, answer.explanation) for answer in answers}
    assert by_text == {
        text_hash("ask @maple_7"): ("parsed", None, "ask [handle]"),
        text_hash(" ask @oak_12 "): ("parsed", None, "ask [handle]"),
        text_hash("other"): ("parsed", None, "other"),
        text_hash("bad"): ("failed", "HTTP 400", ""),
    }
