"""Answers are read as a careful annotator would read them; references and written answers exactly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.files.imhi_release import find_expert_files, find_release_files, read_release_file
from mentallama.records import FORMS, READING_STATUSES, Form
from mentallama.tasks import load_tasks

_FOLDER = Path(__file__).parent
VARIED_CASES = yaml.safe_load((_FOLDER / "varied_cases.yaml").read_text(encoding="utf-8"))
MARK_CASES = yaml.safe_load((_FOLDER / "mark_cases.yaml").read_text(encoding="utf-8"))
CASES = yaml.safe_load((_FOLDER / "parse_cases.yaml").read_text(encoding="utf-8"))
EVERY_LABEL = [
    (name, question, label, form)
    for name, task in load_tasks().items()
    for question in task.questions
    for label in task.labels
    for form in FORMS
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{c['task']}-{c['why'][:30]}" for n, c in enumerate(CASES)])
def test_case(case: dict[str, str]) -> None:
    read = read_answer(case["task"], case["text"], case.get("form", "instruction"), case.get("finish_reason"))
    assert (read.status, read.label) == (case["status"], case["label"])
    if "explanation" in case:
        assert read.explanation == case["explanation"]


@pytest.mark.parametrize("case", MARK_CASES, ids=[f"{n}-{c['text'][:40]}" for n, c in enumerate(MARK_CASES)])
def test_mark(case: dict[str, str]) -> None:
    read = read_answer(case["task"], case["text"])
    assert (read.status, read.label) == (case["status"], case["label"])
    if "explanation" in case:
        assert read.explanation == case["explanation"]


@pytest.mark.parametrize("case", VARIED_CASES, ids=lambda case: case["text"][:40])
def test_varied_case(case: dict[str, str]) -> None:
    """Each spelling of a mark, an object or a negation is read as a careful reader would, or not at all."""
    read = read_answer(case["task"], case["text"])
    assert (read.label or read.status) == case["result"]


def test_the_cases_cover_all_tasks_labels_and_outcomes() -> None:
    seen = Counter((case["task"], case["label"] or case["status"]) for case in CASES)
    wanted = {
        (name, each) for name, task in load_tasks().items() for each in (*task.labels, *READING_STATUSES[1:])
    }
    assert wanted <= set(seen)
    assert len(CASES) >= 300


@pytest.mark.parametrize(("name", "question", "label", "form"), EVERY_LABEL)
@given(explanation=st.text())
def test_read_is_the_inverse_of_write(
    name: str, question: str, label: str, form: Form, explanation: str
) -> None:
    written = write_answer(name, question, label, explanation, form)
    read = read_answer(name, written, form)
    assert (read.status, read.label, read.explanation) == ("parsed", label, explanation.strip())


@given(text=st.text(), name=st.sampled_from(sorted(load_tasks())))
def test_any_text_has_one_of_four_outcomes(text: str, name: str) -> None:
    read = read_answer(name, text)
    assert (read.label in load_tasks()[name].labels) == (read.status == "parsed")
    assert (read.reason is None) == (read.status == "parsed")


def test_an_unknown_label_or_question_is_refused() -> None:
    with pytest.raises(ValueError, match="not a label of DR"):
        write_answer("DR", None, "maybe", "")
    with pytest.raises(ValueError, match="Irf asks"):
        write_answer("Irf", None, "yes", "")


@pytest.mark.data
@pytest.mark.parametrize("form", FORMS)
def test_every_published_reference_is_parsed_and_its_explanation_preserved(data: Path, form: Form) -> None:
    tasks = load_tasks()
    files = find_release_files(data / "release", form, tasks)
    if form == "instruction":
        files += find_expert_files(data / "release", tasks)
    rows = 0
    for file in files:
        for row in read_release_file(file, tasks[file.set]):
            read = read_answer(file.set, row.reference, form)
            # All published references have the marker; what follows it is the explanation.
            assert read.status == "parsed", f"{file.path.name}, row {row.row}"
            assert read.explanation == row.reference.partition("Reasoning:")[2].strip(), (
                f"{file.path.name}, row {row.row}"
            )
            rows += 1
    assert rows > 7_000


@pytest.mark.data
def test_both_forms_of_a_reference_have_the_same_label(data: Path) -> None:
    """A row's two references were written independently, so the agreement of their labels is an independent check."""
    tasks = load_tasks()
    labels: dict[Form, dict[tuple[str, str, str, str], list[str | None]]] = {form: {} for form in FORMS}
    for form in FORMS:
        for file in find_release_files(data / "release", form, tasks):
            for row in read_release_file(file, tasks[file.set]):
                key = (file.set, file.split, row.question, "".join(row.text.split()))
                labels[form].setdefault(key, []).append(read_answer(file.set, row.reference, form).label)
    both = labels["instruction"].keys() & labels["completion"].keys()
    differ = [key[:3] for key in both if labels["instruction"][key] != labels["completion"][key]]
    assert len(both) > 7_000
    assert differ == []
