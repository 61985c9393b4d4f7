"""The published reader, rule by rule, and the counts on the published files."""

from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, f1_score

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.evaluate.published.benchmark import open_benchmark, score_benchmark_set
from mentallama.evaluate.published.reader import (
    ScoredOutput,
    first_key_label,
    load_published_rules,
    score_as_published,
)
from mentallama.evaluate.scores import score_row
from mentallama.records import Example
from mentallama.tasks import find_task, load_tasks


def answered(name: str, reference: str, output: str, row: int = 2) -> ScoredOutput:
    task = find_task(name)
    example = Example(
        id=f"{name}{row}",
        post_id=str(row),
        task=name,
        question=next(iter(task.questions)),
        form="instruction",
        text="",
        label=read_answer(task, reference).label,
    )
    scored = score_row(example, read_answer(task, output), {}, task)
    return ScoredOutput(
        file=f"{name}.csv", row=row, reference=reference, output=output, example=example, scored_row=scored
    )


def test_every_set_has_a_rule_and_every_rule_names_labels_of_its_sets() -> None:
    tasks = load_tasks()
    assert set(load_published_rules()) == set(tasks)
    for name, rule in load_published_rules().items():
        named = {*rule.output_keys.values(), *rule.reference_keys.values(), rule.default_label}
        assert named == set(tasks[name].labels)


@pytest.mark.parametrize(
    ("name", "text", "label"),
    [
        ("DR", "Yes, the poster suffers from depression. Reasoning: no joy", "yes"),
        ("DR", "I cannot tell from this.", "no"),  # "cannot" holds "no"
        ("DR", "Yesterday was a long day.", "yes"),  # "yesterday" holds "yes"
        ("DR", "Reasoning: yes, the post says so.", None),  # nothing stands before the reasoning
        ("DR", "", None),
        ("SAD", "It is about a coworker.", "work"),  # "coworker" holds "work"
        ("SAD", "a mix of work and school", "school"),  # order of the keys, not of the text
        ("SAD", "This post shows the stress cause related to emotion turmoil.", None),
        ("t-sid", "No depression, PTSD.", "depression"),
        ("swmh", "no mental disorder, perhaps anxiety", "no mental disorders"),
        ("CAMS", "This post shows no causes of depression.", None),
    ],
)
def test_first_key_found_wins(name: str, text: str, label: str | None) -> None:
    assert first_key_label(text, load_published_rules()[name].output_keys) == label


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("CAMS", "none", None),
        ("CAMS", "bias or abuse", "bias or abuse"),
        ("SAD", "emotional turmoil", None),
        ("SAD", "other causes", None),
        ("SAD", "work", "work"),
        ("t-sid", "suicide or self-harm", "suicide or self-harm"),
        ("swmh", "no mental disorders", "no mental disorders"),
    ],
)
def test_references_in_instruction_form(name: str, label: str, expected: str | None) -> None:
    reference = write_answer(find_task(name), None, label, "made up")
    assert first_key_label(reference, load_published_rules()[name].reference_keys) == expected


def test_an_unparsed_output_counts_as_no() -> None:
    no, yes = (write_answer(find_task("DR"), None, label, "made up") for label in ("no", "yes"))
    rows = [answered("DR", no, "", 2), answered("DR", yes, "", 3), answered("DR", yes, yes, 4)]
    result, differences = score_as_published(rows, load_published_rules()["DR"])
    # references: no, yes, yes; published reading of the outputs: no, no, yes
    reference, published = ["no", "yes", "yes"], ["no", "no", "yes"]
    assert result.accuracy == pytest.approx(100 * accuracy_score(reference, published), abs=1e-4)
    f1 = f1_score(reference, published, average="weighted")
    assert result.weighted_f1 == pytest.approx(100 * f1, abs=1e-4)
    assert (result.n_defaulted, result.n_differences) == (2, 2)
    assert [(d.row, d.source, d.ours, d.published, d.defaulted) for d in differences] == [
        (2, "output", "unparsed", "no", True),
        (3, "output", "unparsed", "no", True),
    ]


def test_lists_of_different_lengths_give_no_score() -> None:
    none, work = (write_answer(find_task("CAMS"), None, label, "made up") for label in ("none", "medication"))
    rows = [answered("CAMS", none, none, 2), answered("CAMS", work, work, 3)]
    result, differences = score_as_published(rows, load_published_rules()["CAMS"])
    assert (result.weighted_f1, result.accuracy) == (None, None)
    assert result.reason == "its lists differ in length: 1 references, 2 outputs"
    # the reference "none" is dropped; the output "none" is read correctly, by default
    assert [(d.row, d.source, d.ours, d.published) for d in differences] == [(2, "reference", "none", None)]


def test_swmh_drops_the_output_with_the_reference() -> None:
    reference = write_answer(find_task("swmh"), None, "anxiety", "made up")
    rows = [answered("swmh", reference, reference, 2)]
    rows.append(rows[0].model_copy(update={"reference": "Reasoning: none of the keys", "row": 3}))
    result, _ = score_as_published(rows, load_published_rules()["swmh"])
    assert (result.n_references, result.n_outputs, result.weighted_f1) == (1, 1, 100.0)


def test_a_custom_set_has_no_rule() -> None:
    result, differences = score_as_published([], None)
    assert (result.weighted_f1, differences) == (None, [])
    assert result.reason == "there is no published rule for this set"


@pytest.mark.data
@pytest.mark.parametrize(("name", "by_default"), [("DR", 24), ("Irf", 20), ("MultiWD", 29)])
def test_example_outputs_of_the_release(data: Path, name: str, by_default: int) -> None:
    tasks = load_tasks()
    benchmark = open_benchmark(data / "release", "instruction", tasks)
    examples = benchmark.root / "examples/response_generation_examples"
    rows, against = score_benchmark_set(benchmark, tasks[name], examples)
    assert against.rows == 35
    assert against.file == f"human_evaluation/test_instruction_expert/{name}.csv"
    assert score_as_published(rows, load_published_rules()[name])[0].n_defaulted == by_default


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "labels"), [("CAMS", {"none"}), ("SAD", {"emotional turmoil", "other causes"})]
)
def test_references_that_the_published_reader_drops(data: Path, name: str, labels: set[str]) -> None:
    # On the full files 107 of 625 and 142 of 684; whichever part is here, it is the same labels.
    tasks = load_tasks()
    rows, _ = score_benchmark_set(open_benchmark(data, "instruction", tasks), tasks[name], "reference")
    result, differences = score_as_published(rows, load_published_rules()[name])
    dropped = [d for d in differences if d.source == "reference"]
    of_labels = sum(row.scored_row.gold in labels for row in rows)
    assert len(dropped) == of_labels > 0
    assert {d.ours for d in dropped} == labels
    assert result.n_references == len(rows) - of_labels
    assert result.weighted_f1 is None
