"""What the tests of `teach` share: replies of a plausible teacher, and jobs on synthetic posts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.config import Teach, Teacher, read_recipe
from mentallama.errors import UsageError
from mentallama.files.record_files import read_records, write_records
from mentallama.records import Post, Response
from mentallama.run_files import RESPONSES_FILE
from mentallama.tasks import load_tasks
from mentallama.teach.requests import TeachJob
from mentallama.teach.run import run
from mentallama.teach.summary import TeachSummary
from tests.factories.project import ROOT

BUILD_RECIPE = ROOT / "recipes/sample-build.yaml"

N_DR, N_CLP = 49, 50
"""Numbers of questions about the sample's posts of DR and CLP; no two posts have the same text."""

POST = re.compile(r"<post>\n(.*)\n</post>", re.DOTALL)
GIVEN = re.compile(r"^Answer: (.*?)(?: \(label (\".*\")\))?$", re.MULTILINE)
CHOICE = re.compile(r"^- (?:(\".*?\"): )?(.*)$", re.MULTILINE)


def build_tables(sets: str) -> dict[str, object]:
    """The tables of `BUILD_RECIPE` for some sets, as JSON."""
    recipe = read_recipe(BUILD_RECIPE)
    assert recipe.collect is not None
    tables = recipe.collect.model_dump(mode="json", exclude_defaults=True)["tables"]
    return {name: table for name, table in tables.items() if name in sets}


def sensible_reply(body: dict[str, Any], choice: int = 0) -> str:
    """Explain the given label, or one of those to choose from, with a quotation from the post."""
    system, last = body["messages"][0]["content"], body["messages"][-1]["content"]
    asked = POST.search(last)
    assert asked is not None, "the prompt holds no post"
    quote = " ".join(asked[1].split()[:4])
    given = GIVEN.search(last)
    if given is None:
        offered = system[system.index("Choose one of these answers:") :]
        label, sentence = CHOICE.findall(offered)[choice]
    else:
        sentence, label = given[1], given[2]
    kind = " ".join(
        sentence.rstrip(".").split()[-4:]
    )  # what is left of the answer, so that it can be read back
    explanation = f"The writer says “{quote}”, as one may in a post of the kind: {kind}."
    if label:
        return json.dumps({"label": json.loads(label), "explanation": explanation, "evidence": [quote]})
    return f"{sentence} Reasoning: {explanation}"


def other_reply(body: dict[str, Any]) -> str:
    """A teacher that chooses another label."""
    return sensible_reply(body, 1)


def no_analyst(teacher: Teacher) -> LinearAnalyst:
    raise UsageError(f"{teacher.spec}: this run has no such teacher")


def make_job(folder: Path, posts: Iterable[Post], **settings: Any) -> TeachJob:
    """Write the posts to a file and make a job of them."""
    path = folder / "posts.jsonl"
    write_records(path, posts)
    return TeachJob(path, load_tasks(), Teach.model_validate(settings))


def run_teach(job: TeachJob, folder: Path, **terms: Any) -> tuple[TeachSummary, list[Response], list[str]]:
    """Run the stage into `folder`/teach; summary, responses, what was said."""
    said: list[str] = []
    given = {"load_analyst": no_analyst, "environ": {}, "log": said.append} | terms
    summary = run(job, folder / "teach", folder / "ledger.sqlite", **given)
    return summary, list(read_records(folder / "teach" / RESPONSES_FILE, Response)), said
