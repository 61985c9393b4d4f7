"""Faults planted in the sample's explanations: each gate finds those of its own kind and leaves the others alone.

A third of all responses is made faulty, a twentieth in each of seven ways, so that the gates that learn from the rows
themselves have to do so from rows of which many are wrong.
"""

from __future__ import annotations

import shutil
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from mentallama.answers import read_answer, write_answer
from mentallama.check.run import run as check
from mentallama.config import read_recipe
from mentallama.models.linear import LinearAnalyst
from mentallama.records import Example, Post, Response, Verdict, example_of
from mentallama.stages import run_recipe
from mentallama.store import read_records, write_records
from mentallama.tasks import find_task
from mentallama.teach.embedded import Embedded

ROOT = Path(__file__).parents[1]
ONE_IN = 20
CAUGHT, DROPPED = 0.95, 0.05
"""Of a gate's own faults and of the clean rows."""

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
    """What a fault is planted in: the example, its post's language and its clean explanation."""

    example: Example
    language: str
    explanation: str
    teacher: Embedded

    def answer(self, explanation: str, label: str | None = None) -> str:
        example = self.example
        assert example.label is not None
        return write_answer(example.task, example.question, label or example.label, explanation, example.form)

    @property
    def other_label(self) -> str:
        """The label after the set's own one in the task's order."""
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


FAULTS: Mapping[str, tuple[Callable[[Given], str], tuple[str, ...]]] = {
    "wrong label": (wrong_label, ("correctness",)),
    "explanation of the other label": (explains_other_label, ("consistency",)),
    "invented quote": (invented_quote, ("invented",)),
    "empty": (empty, ("words",)),
    "other language": (other_language, ("language",)),
    "boilerplate": (boilerplate, ("boilerplate",)),
    "leaked handle": (leaked_handle, ("personal",)),
}
"""By name: how a fault is made, and whose it is to find."""


@dataclass(frozen=True)
class Found:
    """`planted`: the fault of each faulty example; `failed`: the gates that every example failed."""

    planted: dict[str, str]
    failed: dict[str, set[str]]

    def clean(self) -> list[set[str]]:
        return [gates for example, gates in self.failed.items() if example not in self.planted]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    folder = tmp_path_factory.mktemp("planted")
    recipe = read_recipe(ROOT / "recipes/sample-build.yaml", (f"data={ROOT / 'sample'}",))
    run_recipe(recipe, folder, lambda _: None, until="teach")
    posts = {post.id: post for post in read_records(folder / "collect/posts.jsonl.zst", Post)}
    examples = {
        example.id: example
        for post in posts.values()
        for example in (example_of(post, question, recipe.form) for question in post.labels)
    }
    analyst = LinearAnalyst.load(folder / "teach/analyst")
    teacher = Embedded(analyst, "embedded:test", "label-given", structured=False)
    responses = list(read_records(folder / "teach/responses.jsonl.zst", Response))
    places = {each: at for at, each in enumerate(sorted(response.example_id for response in responses))}
    planted, names = {}, list(FAULTS)
    for at, response in enumerate(responses):
        turn = places[response.example_id] % ONE_IN
        if turn >= len(names):
            continue
        example = examples[response.example_id]
        planted[example.id] = names[turn]
        clean = read_answer(example.task, response.text, example.form).explanation
        given = Given(example, posts[example.post_id].language or "en", clean, teacher)
        responses[at] = response.model_copy(update={"text": FAULTS[names[turn]][0](given)})
    write_records(folder / "teach/responses.jsonl.zst", responses)
    out = folder / "checked"
    out.mkdir()
    check(recipe, folder, out)
    failed: dict[str, set[str]] = defaultdict(set)
    for verdict in read_records(out / "verdicts.jsonl.zst", Verdict):
        failed[verdict.example_id] |= set() if verdict.ok else {verdict.gate}
    shutil.rmtree(folder / "teach")
    return Found(planted, dict(failed))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_gate_finds_the_faults_of_its_kind(fault: str, found: Found) -> None:
    hits = [bool(found.failed[each] & set(FAULTS[fault][1])) for each, kind in found.planted.items() if kind == fault]
    print(f"{fault}: {sum(hits)} of {len(hits)}")
    assert len(hits) >= 35
    assert sum(hits) / len(hits) >= CAUGHT


def test_clean_rows_are_left_alone(found: Found) -> None:
    clean = found.clean()
    by_gate = Counter(gate for gates in clean for gate in gates)
    print(dict(by_gate), sum(map(bool, clean)), len(clean))
    assert len(clean) >= 450
    assert sum(map(bool, clean)) / len(clean) <= DROPPED
    assert all(count / len(clean) <= DROPPED for count in by_gate.values())
