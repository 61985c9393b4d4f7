"""Faults planted in the sample's explanations: each gate finds those of its own kind and passes clean rows.

There are two data sets: in one, a tenth of all explanations argues for another label, so the classifier has to learn
from rows of which as many are wrong; in the other, each of the other six faults is planted in a twentieth of all
responses.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mentallama.analysts.linear.analyst import LinearAnalyst
from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.check.run import run as check
from mentallama.config import read_recipe
from mentallama.files.record_files import read_records, write_records
from mentallama.pipeline.runner import run_recipe
from mentallama.records import Example, Post, Response, Verdict, example_of
from mentallama.tasks import find_task
from mentallama.teach.template_teacher import TemplateTeacher
from tests.factories.project import ROOT

CAUGHT, DROPPED = 0.95, 0.05
"""Minimum share of a gate's own faults that it finds; maximum share of clean rows that are dropped."""

RECIPE = read_recipe(ROOT / "recipes/sample-build.yaml", (f"data={ROOT / 'sample'}",))

INVENTED = (
    "seventeen violet lanterns on the pier",
    "the orchestra rehearsed without its cellist",
    "nobody polishes the lighthouse any more",
)
ELSEWHERE = {
    "fr": "L’auteur raconte une période difficile, parle de ce qui lui pèse et de ce qui manque, et le ton général du "
    "texte va dans ce sens tout au long du récit.",
    "de": "Der Text beschreibt eine schwere Zeit, nennt, was der Person fehlt und was sie belastet, und der Ton passt "
    "durchweg zu dieser Einschätzung des Beitrags.",
    "pt": "A pessoa descreve uma fase difícil, fala do que lhe falta e do que lhe pesa, e o tom geral do texto aponta "
    "nessa direção do começo ao fim.",
}
SAME = "The {} and the general mood of this text are in line with what is usual, and the answer follows from them."


@dataclass(frozen=True)
class Given:
    """A clean response to plant a fault in: the example, its post's language and its explanation."""

    example: Example
    language: str
    explanation: str
    teacher: TemplateTeacher

    def answer(self, explanation: str, label: str | None = None) -> str:
        example = self.example
        assert example.label is not None
        return write_answer(example.task, example.question, label or example.label, explanation, example.form)

    @property
    def other_label(self) -> str:
        """The label that follows the example's own in the order of the task."""
        labels = list(find_task(self.example.task).labels)
        return labels[(labels.index(str(self.example.label)) + 1) % len(labels)]

    def one_of(self, choices: Sequence[str]) -> str:
        return choices[int(self.example.id, 16) % len(choices)]


def wrong_label(given: Given) -> str:
    return given.answer(given.explanation, given.other_label)


def explains_other_label(given: Given) -> str:
    task = find_task(given.example.task)
    argued = given.teacher.respond(given.example.model_copy(update={"label": given.other_label}), task)
    return given.answer(read_answer(task, argued).explanation)


def invented_quote(given: Given) -> str:
    return given.answer(f"{given.explanation} The writer also says “{given.one_of(INVENTED)}”.")


def empty(given: Given) -> str:
    return given.answer("")


def other_language(given: Given) -> str:
    return given.answer(given.one_of([text for name, text in ELSEWHERE.items() if name != given.language]))


def boilerplate(given: Given) -> str:
    return given.answer(SAME.format(given.one_of(("wording", "tone", "phrasing"))))


def leaked_handle(given: Given) -> str:
    return given.answer(f"{given.explanation} This was written by @syn_handle_77 to a friend.")


FAULTS: Mapping[str, tuple[Callable[[Given], str], str]] = {
    "wrong label": (wrong_label, "label_match"),
    "explanation of the other label": (explains_other_label, "label_consistency"),
    "invented quote": (invented_quote, "quote_grounding"),
    "empty": (empty, "length"),
    "other language": (other_language, "language"),
    "boilerplate": (boilerplate, "repeated_explanation"),
    "leaked handle": (leaked_handle, "personal_data"),
}
"""Fault -> how it is made, and the gate that must find it."""

TOGETHER = (("explanation of the other label",), tuple(name for name in FAULTS if "explanation" not in name))
SHARES = (10, 20)
"""The faults of each data set; in each, one of so many responses has a given fault."""


@dataclass(frozen=True)
class Found:
    """`planted`: the fault of each faulty example; `failed`: the gates that every example failed."""

    planted: dict[str, str]
    failed: dict[str, set[str]]

    def clean(self) -> list[set[str]]:
        return [gates for example, gates in self.failed.items() if example not in self.planted]


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    run_recipe(RECIPE, folder, lambda _: None, until="teach")
    return folder


@pytest.fixture(scope="module")
def found(taught: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    """Gate results for each data set."""
    return [
        checked(taught, tmp_path_factory.mktemp("planted"), names, share)
        for names, share in zip(TOGETHER, SHARES, strict=True)
    ]


def checked(taught: Path, folder: Path, names: tuple[str, ...], share: int) -> Found:
    shutil.copytree(taught, folder, dirs_exist_ok=True)
    planted = plant(folder, names, share)
    out = folder / "checked"
    out.mkdir()
    check(RECIPE, folder, out)
    failed: dict[str, set[str]] = defaultdict(set)
    for verdict in read_records(out / "verdicts.jsonl.zst", Verdict):
        failed[verdict.example_id] |= set() if verdict.ok else {verdict.gate}
    return Found(planted, dict(failed))


def plant(folder: Path, names: tuple[str, ...], share: int) -> dict[str, str]:
    """Make responses faulty, by the order of their examples' ids; returns the fault of each."""
    posts = list(read_records(folder / "collect/posts.jsonl.zst", Post))
    languages = {post.id: post.language or "en" for post in posts}
    asked = [example_of(post, question, RECIPE.form) for post in posts for question in post.labels]
    examples = {example.id: example for example in asked}
    analyst = LinearAnalyst.load(folder / "teach/analyst")
    teacher = TemplateTeacher(analyst, "embedded:test", "label-given", structured=False)
    path = folder / "teach/responses.jsonl.zst"
    responses = list(read_records(path, Response))
    turns = {each: at % share for at, each in enumerate(sorted(examples))}
    planted = {each: names[turn] for each, turn in turns.items() if turn < len(names)}
    for at, response in enumerate(responses):
        fault = planted.get(response.example_id)
        if fault is not None:
            example = examples[response.example_id]
            clean = read_answer(example.task, response.text, example.form).explanation
            given = Given(example, languages[example.post_id], clean, teacher)
            responses[at] = response.model_copy(update={"text": FAULTS[fault][0](given)})
    write_records(path, responses)
    return planted


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gate_finds_the_faults_of_its_kind(fault: str, found: list[Found]) -> None:
    gate = FAULTS[fault][1]
    hits = [gate in each.failed[row] for each in found for row, kind in each.planted.items() if kind == fault]
    print(f"{fault}: {sum(hits)} of {len(hits)}")
    assert len(hits) >= 35
    assert sum(hits) / len(hits) >= CAUGHT


@pytest.mark.parametrize("number", range(len(TOGETHER)))
def test_clean_rows_pass(number: int, found: list[Found]) -> None:
    clean = found[number].clean()
    dropped = sum(map(bool, clean))
    print(f"{dropped} of {len(clean)}", Counter(gate for gates in clean for gate in gates))
    assert len(clean) >= 500
    assert dropped / len(clean) <= DROPPED  # all gates together, so each alone too
