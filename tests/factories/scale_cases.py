"""What the tests of filled scales share: a scripted model that fills and checks, and jobs that it is asked in."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mentallama.config import Teach
from mentallama.files.record_files import read_records, write_records
from mentallama.records import Post
from mentallama.run_files import SCALE_TRACES_FILE
from mentallama.tasks import Task, load_tasks
from mentallama.teach.requests import TeachJob
from mentallama.teach.scales.traces import ScaleTrace
from tests.factories.answer_kinds import task_of_kind
from tests.factories.endpoint_server import Body
from tests.factories.linear_cases import make_post

TEXT = "Awake at four again, for weeks now. Most days I drag myself to work. Lunch with Ana was nice."
ITEM = re.compile(r'^Item "([^"]+)":', re.MULTILINE)

SCALE_TASK = task_of_kind("scale")
GOLD = "sleep: nearly every day; energy: several days"


def filled(level: str | None, quotation: str = "", statement: str | None = None) -> str:
    """A model's reply about an item."""
    said = f"The writer says “{quotation}”." if statement is None else statement
    evidence = [quotation] if quotation else []
    return json.dumps({"level": level, "statement": said if level else "", "evidence": evidence})


def objecting(**reasons: str) -> str:
    """A checker's reply, with the reason by item."""
    listed = [{"item": item, "reason": reason} for item, reason in reasons.items()]
    return json.dumps({"objections": listed})


SLEEP = filled("nearly every day", "Awake at four again, for weeks now")
ENERGY = filled("several days", "Most days I drag myself to work")
STANDS = objecting()


@dataclass
class ScaleModel:
    """Replies by item and of the checker, one for each time that it is asked in a dialogue; the last is repeated."""

    items: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"sleep": [SLEEP], "energy": [ENERGY]})
    checks: Sequence[str] = (STANDS,)
    decision: str = (
        "Yes, the poster suffers from depression. Reasoning: The writer says “Awake at four again”."
    )

    def __call__(self, body: Body) -> str:
        messages = body["messages"]
        n_before = sum(message["role"] == "assistant" for message in messages)
        kind = step_of(body)
        if kind == "decision":
            return self.decision
        replies = self.checks if kind == "check" else self.items[asked_item(body)]
        return replies[min(n_before, len(replies) - 1)]


def step_of(body: Body) -> str:
    """Which step of a dialogue a request is: item, check or decision."""
    text = "\n".join(message["content"] for message in body["messages"][:2])
    if ITEM.search(text):
        return "item"
    return "check" if "The filled items:" in text else "decision"


def asked_item(body: Body) -> str:
    """The item that a request asks for."""
    found = ITEM.search(body["messages"][-1 if len(body["messages"]) == 1 else 1]["content"])
    assert found is not None, "the request asks for no item"
    return found[1]


def scale_post(text: str = TEXT, task: Task = SCALE_TASK, label: str = GOLD) -> Post:
    return make_post(task.set, "train", text, dict.fromkeys(task.questions, label))


def scale_job(
    folder: Path, posts: Iterable[Post], tasks: Iterable[Task] = (SCALE_TASK,), **settings: Any
) -> TeachJob:
    """A job that fills scales; `settings` are those of teach."""
    path = folder / "posts.jsonl"
    write_records(path, posts)
    catalogue = {**load_tasks(), **{task.set: task for task in tasks}}
    given = {"method": "item-by-item", "prompt": "zero-shot"} | settings
    return TeachJob(path, catalogue, Teach.model_validate(given))


def traces(folder: Path) -> list[ScaleTrace]:
    """The traces that `run_teach` wrote."""
    return list(read_records(folder / "teach" / SCALE_TRACES_FILE, ScaleTrace))
