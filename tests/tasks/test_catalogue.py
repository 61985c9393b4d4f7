"""The catalogue: ten sets, all valid, as the published facts have them; a new task is a file and no code."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
import yaml

from mentallama.answers.format import write_answer
from mentallama.answers.parse import read_answer
from mentallama.cli.catalogue import survey_lines
from mentallama.collect.inputs import survey
from mentallama.errors import DataError, UsageError
from mentallama.records import FORMS
from mentallama.tasks import Source, find_task, load_tasks, read_query, read_task, write_query
from mentallama.tasks.task_page import task_page

TASK_FILES = Path(str(files("mentallama.tasks"))) / "data"
TASKS = load_tasks()
every_set = pytest.mark.parametrize("name", TASKS)

# As published: rows of train, validation, test; labels; questions
PUBLISHED: dict[str, tuple[tuple[int, int, int], str, int]] = {
    "DR": ((1003, 430, 405), "yes, no", 1),
    "CLP": ((456, 196, 299), "yes, no", 1),
    "dreaddit": ((2837, 300, 414), "yes, no", 1),
    "swmh": ((34822, 8705, 10882), "no mental disorders, suicide, anxiety, bipolar disorder, depression", 1),
    "t-sid": ((3071, 767, 959), "no mental disorders, suicide or self-harm, PTSD, depression", 1),
    "SAD": ((5547, 616, 684), "school, financial problem, family issues, social relationships, work, "
            "health issues, emotional turmoil, everyday decision making, other causes", 1),
    "CAMS": ((2207, 320, 625),
    "none, bias or abuse, jobs and career, medication, relationship, alienation", 1),
    "loneliness": ((2463, 527, 531), "yes, no", 1),
    "MultiWD": ((15744, 1500, 2441), "yes, no", 6),
    "Irf": ((3943, 985, 2113), "yes, no", 2),
}  # fmt: skip


def test_there_are_ten_sets_each_in_a_file_of_its_name() -> None:
    assert set(TASKS) == set(PUBLISHED)
    folder = TASK_FILES
    assert sorted(path.stem for path in folder.glob("*.yaml")) == sorted(name.lower() for name in PUBLISHED)


@every_set
def test_counts_labels_and_questions_are_the_published_ones(name: str) -> None:
    task, (rows, labels, questions) = TASKS[name], PUBLISHED[name]
    assert task.published_rows is not None
    assert (task.published_rows.train, task.published_rows.validation, task.published_rows.test) == rows
    assert set(task.labels) == set(labels.split(", "))
    assert len(task.questions) == questions
    assert task.is_yes_no == (labels == "yes, no")


def test_totals_are_the_published_ones() -> None:
    # The published rows add up to 72,093, 14,346 and 19,353
    counts = [task.published_rows for task in TASKS.values() if task.published_rows is not None]
    assert [sum(getattr(c, s) for c in counts) for s in ("train", "validation", "test")] == [
        72093,
        14346,
        19353,
    ]


@every_set
def test_no_two_labels_share_an_alias_or_an_answer(name: str) -> None:
    owners: dict[str, set[str]] = {}
    for label, about in TASKS[name].labels.items():
        for way in {label, *about.aliases, about.answer.instruction, about.answer.completion}:
            owners.setdefault(way.lower().rstrip("."), set()).add(label)
    assert [(way, found) for way, found in owners.items() if len(found) > 1] == []
    assert len(owners) > len(TASKS[name].labels)


@every_set
def test_no_two_questions_are_asked_in_the_same_words(name: str) -> None:
    for form in FORMS:
        asked = [question.wording.for_form(form) for question in TASKS[name].questions.values()]
        assert len(set(asked)) == len(asked)
        assert all(ask == ask.strip() and ask for ask in asked)


@every_set
def test_every_sentence_of_a_reason_can_be_filled_in(name: str) -> None:
    task = TASKS[name]
    assert "{quotes}" in task.explanation_template.evidence
    assert "{because}" in task.explanation_template.evidence
    assert "{quotes}" in task.explanation_template.counter_evidence
    assert all(label.because.strip() for label in task.labels.values())


@every_set
def test_a_set_says_its_licence_and_how_to_get_it(name: str) -> None:
    task = TASKS[name]
    assert task.licence.strip()
    assert task.obtain is not None
    assert task.obtain.strip()
    files = [source.file for source in task.sources]
    assert len(set(files)) == len(files)


# --- finding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["CAMS", "cams", "Cams"])
def test_a_task_is_found_in_any_case(name: str) -> None:
    assert find_task(name).set == "CAMS"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dreadit", "did you mean dreaddit?"),
        ("multi-wd", "did you mean MultiWD?"),
        ("quux", "known are CAMS, CLP, DR"),
    ],
)
def test_a_name_that_is_none_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as fault:
        find_task(name)
    assert repr(name) in str(fault.value)
    assert hint in str(fault.value)


def test_a_text_in_the_place_of_a_name_is_not_quoted() -> None:
    with pytest.raises(UsageError, match="there is no task of this name of 60 characters") as caught:
        find_task("so tired " * 6 + "so tir")
    assert "tired" not in str(caught.value)


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        TASKS["new"] = TASKS["DR"]  # type: ignore[index]


def test_one_question_is_the_one_there_is_or_the_one_named() -> None:
    assert TASKS["DR"].resolve_question() == "depression"
    assert TASKS["Irf"].resolve_question("perceived burdensomeness") == "perceived burdensomeness"
    with pytest.raises(
        ValueError, match="Irf asks thwarted belongingness, perceived burdensomeness; not None"
    ):
        TASKS["Irf"].resolve_question()
    with pytest.raises(ValueError, match="not 'mood'"):
        TASKS["DR"].resolve_question("mood")


# --- files at fault -----------------------------------------------------------------------------------


def write_task(path: Path, **changes: object) -> Path:
    """A copy of DR's file with some keys changed; None takes a key out."""
    content = yaml.safe_load((TASK_FILES / "dr.yaml").read_text("utf-8"))
    content |= changes
    kept = {key: value for key, value in content.items() if value is not None}
    path.write_text(yaml.safe_dump(kept, allow_unicode=True), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["../../X", "a/b", "/abs", "..", "", "nul", ".hidden", "a b"])
def test_a_set_is_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set: .*cannot name a file or folder"):
        read_task(write_task(tmp_path / "a.yaml", set=name))


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    path = write_task(tmp_path / "a.yaml", title=None, colour="blue", needs_agreement="perhaps", questions={})
    with pytest.raises(DataError) as fault:
        read_task(path)
    assert fault.value.file == str(path)
    for place in ("title: ", "colour: ", "needs_agreement: ", "questions: "):
        assert place in str(fault.value)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"high_risk_label": "perhaps"}, "high_risk_label: 'perhaps' is not a label"),
        ({"labels": {"yes": {"answer": {"instruction": "Yes.", "completion": "yes"}, "because": "it"}}},
         "labels: .* at least 2"),
        ({"sources": [{"file": "a.csv", "columns": {"text": "t"}, "codes": {"1": "yess"}}]},
         r"a.csv: no such label or question: \['yess'\]"),
        ({"sources": [{"file": "a.csv", "columns": {"text": "t", "labels": {"mood": "m"},
        "evidence": {"sleep": "s"}}}]},
         r"a.csv: no such label or question: \['mood', 'sleep'\]"),
    ],
)  # fmt: skip
def test_names_that_do_not_exist_are_faults(changes: dict[str, object], what: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=what):
        read_task(write_task(tmp_path / "a.yaml", **changes))


@pytest.mark.parametrize("key", ["aliases", "negated_aliases"])
@pytest.mark.parametrize("alias", ["", " ", "*", "* *", "...", "。", "-", '"', "\u200b", "\u0301"])
def test_an_alias_that_would_match_any_text_is_a_fault(alias: str, key: str, tmp_path: Path) -> None:
    labels = yaml.safe_load((TASK_FILES / "dr.yaml").read_text("utf-8"))["labels"]
    labels["no"][key] = ["gloom", alias]
    with pytest.raises(DataError, match=rf"labels\.no\.{key}\[1\]: .*match any text"):
        read_task(write_task(tmp_path / "a.yaml", labels=labels))


@pytest.mark.parametrize("raw", [b"a: [", b"a: \xff", b"a: b: c", b"\ttab: 1"])
def test_what_is_not_yaml_is_bad_data(raw: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(raw)
    with pytest.raises(DataError, match="not a YAML file"):
        read_task(tmp_path / "a.yaml")


@pytest.mark.parametrize("raw", ["", "just words", "- a list"])
def test_yaml_that_is_no_task_is_bad_data(raw: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(raw, encoding="utf-8")
    with pytest.raises(DataError, match="not a task"):
        read_task(tmp_path / "a.yaml")


# --- a new task ---------------------------------------------------------------------------------------

SLEEP = """
set: sueño
title: detección de insomnio
platform: foro
annotation: human
licence: inventado
needs_agreement: false
language: es
questions:
  insomnio:
    wording: {instruction: "¿Muestra la publicación insomnio?", completion: "La respuesta sobre el insomnio es"}
labels:
  sí:
    answer: {instruction: "Sí, la publicación muestra insomnio.", completion: "sí"}
    because: "palabras que acompañan al insomnio"
  no hay:
    answer: {instruction: "La publicación habla de un sueño tranquilo.", completion: "no hay"}
    because: "palabras de quien duerme bien"
high_risk_label: sí
teacher_instruction: "Di si la persona duerme mal."
explanation_template:
  evidence: "La publicación dice {quotes}, {because}."
  counter_evidence: "En contra habla {quotes}."
  no_counter_evidence: "Nada habla en contra."
  inconclusive: "Hay poca evidencia."
  quote_marks: ["«", "»"]
sources:
  - {file: foro.tsv, columns: {text: texto, labels: {insomnio: clase}}, codes: {"1": sí, "0": no hay}}
"""


def test_a_new_language_is_a_file_and_no_code(tmp_path: Path) -> None:
    (tmp_path / "sueno.yaml").write_text(SLEEP, encoding="utf-8")
    tasks = load_tasks(tmp_path)
    assert list(tasks) == [*TASKS, "sueño"]
    task = find_task("SUEÑO", tasks)
    for form in FORMS:
        query = write_query(task, "insomnio", form, "Llevo tres noches mirando el techo.")
        assert read_query(task, query, form) == ("insomnio", "Llevo tres noches mirando el techo.")
        for label in task.labels:
            answer = write_answer(task, None, label, "Habla de noches largas.", form)
            reading = read_answer(task, answer, form)
            assert (reading.status, reading.label) == ("parsed", label)
            assert reading.explanation == "Habla de noches largas."


def test_a_file_of_a_known_set_takes_its_place(tmp_path: Path) -> None:
    write_task(tmp_path / "mine.yaml", title="my own wording")
    assert load_tasks(tmp_path)["DR"].title == "my own wording"
    assert load_tasks()["DR"].title != "my own wording"


def test_a_task_need_not_invent_what_only_the_published_sets_have(tmp_path: Path) -> None:
    (tmp_path / "sueno.yml").write_text(SLEEP, encoding="utf-8")
    task = load_tasks(tmp_path)["sueño"]
    assert (task.published_rows, task.obtain) == (None, None)
    page = task_page(task)
    assert "- Published rows: none; not part of the published benchmark" in page
    assert "- How to obtain it: not published" in page
    assert "None" not in page
    (entry,) = survey(tmp_path, {"sueño": task}, "instruction")
    assert not any("None" in line for line in survey_lines(entry, tmp_path))


UNQUOTED = """
set: MOOD
title: 2024
platform: 1
annotation: human
licence: none
needs_agreement: no
language: no
questions:
  on: {wording: {instruction: "On?", completion: on}}
labels:
  no: {answer: {instruction: No., completion: no}, aliases: [off, 0], because: n}
  yes: {answer: {instruction: Yes., completion: yes}, because: y}
  1e3: {answer: {instruction: A thousand., completion: 1e3}, because: k}
  2024-05-01: {answer: {instruction: May., completion: 2024-05-01}, because: m}
teacher_instruction: Say.
explanation_template: {evidence: "{quotes}", counter_evidence: c, no_counter_evidence: n, inconclusive: i}
sources:
  - {file: 1.csv, columns: {text: 2, labels: {on: y}}, codes: {0: no, 1: yes, 1.0: yes}, skip: {n: [off]}}
"""


def test_labels_codes_and_names_need_no_quotation_marks(tmp_path: Path) -> None:
    (tmp_path / "mood.yaml").write_text(UNQUOTED, encoding="utf-8")
    task = read_task(tmp_path / "mood.yaml")
    assert list(task.labels) == ["no", "yes", "1e3", "2024-05-01"]
    assert list(task.questions) == ["on"]
    assert task.labels["no"].aliases == ("off", "0")
    assert (task.title, task.language, task.needs_agreement) == ("2024", "no", False)
    assert task.sources[0].codes == {"0": "no", "1": "yes", "1.0": "yes"}
    assert (task.sources[0].file, task.sources[0].columns.text) == ("1.csv", "2")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("set: sueño", "set: sueño\nset: DR", "line 3: the key 'set' is in line 2 already"),
        ("  no hay:\n", "  sí:\n", "the key 'sí' is in line 13 already"),
        ("needs_agreement: false", "needs_agreement: perhaps", "needs_agreement: should be true or false (line 7)"),
        ("title: detección de insomnio", "titel: x", "title: is missing"),
        ("title: detección de insomnio", "titel: x", "titel: no such key; did you mean title? (line 3)"),
        ("completion: \"no hay\"", "completion: Sí",
         "labels: 'sí' and 'no hay' have the same words in completion form"),
        ("dice {quotes}, {because}", "dice {quote}",
         "evidence: {quote} stands for nothing; it may contain {quotes} and {because}"),
        ("dice {quotes}, {because}", "dice {", "evidence: a brace is not closed"),
        ("Hay poca evidencia.", "{because}", "inconclusive: {because} stands for nothing; it may contain no braces"),
        ("\nlabels:", "\nlabels: []\nlabel:", "labels: should be a mapping"),
        ("licence: inventado", "licence: inventado\npublished_rows: {train: -1, validation: 0, test: 0}",
         "published_rows.train: should be at least 0 (line 7)"),
    ],
)  # fmt: skip
def test_a_fault_names_file_line_and_key(old: str, new: str, what: str, tmp_path: Path) -> None:
    assert old in SLEEP
    (tmp_path / "a.yaml").write_text(SLEEP.replace(old, new), encoding="utf-8")
    with pytest.raises(DataError) as fault:
        load_tasks(tmp_path)
    assert str(fault.value).startswith(f"{tmp_path / 'a.yaml'}: ")
    assert what in str(fault.value)


def test_two_files_of_one_set_are_refused(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yml"):
        (tmp_path / name).write_text(SLEEP, encoding="utf-8")
    with pytest.raises(DataError, match=r"b\.yml: the set sueño is in a\.yaml already"):
        load_tasks(tmp_path)


def test_sets_that_differ_in_case_only_are_refused(tmp_path: Path) -> None:
    write_task(tmp_path / "a.yaml", set="dr")
    with pytest.raises(DataError, match="the set dr differs from DR in nothing but case"):
        load_tasks(tmp_path)


def test_a_folder_without_task_files_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no task file"):
        load_tasks(tmp_path)


def test_a_folder_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder of task files"):
        load_tasks(tmp_path / "none")


def test_unknown_names_of_a_field_map_are_sorted() -> None:
    source = Source.model_validate(
        {
            "file": "a.csv",
            "columns": {"text": "t", "labels": {"mood": "m"}},
            "codes": {"1": "yes", "2": "joy"},
        }
    )
    assert TASKS["DR"].unknown_names(source) == ["joy", "mood"]
