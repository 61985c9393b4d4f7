"""Few-shot examples: both layouts, balanced and reproducible samples."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz
from sample.make import EXAMPLES, SAMPLE, SYNTHETIC_HASHES, corpus, expert_answers, synthetic_hashes

from mentallama.errors import DataError, UsageError
from mentallama.files.tables import read_table
from mentallama.prompts.example_overlap import without_overlap
from mentallama.prompts.few_shot import (
    FEW_SHOT_COLUMNS,
    FewShotRow,
    build_shot_sampler,
    read_few_shot_rows,
)
from mentallama.records import Post, Provenance, Split
from mentallama.tasks import load_tasks
from mentallama.text.fingerprint import MIN_IDENTIFYING_LETTERS, key_hash, text_key
from mentallama.text.near_duplicates import NEAR_DUPLICATE_RATIO
from mentallama.text.pii import scrub
from mentallama.text.quote_extraction import extract_quotes
from tests.factories.answer_kinds import task_of_kind

TASKS = load_tasks()
ROWS = read_few_shot_rows(EXAMPLES, TASKS)
LONG = "the bus was late again and the whole stop began to sing, badly, until the driver sang along with us"


def table(
    folder: Path, *rows: Sequence[str], name: str = "examples.csv", columns: Sequence[str] = FEW_SHOT_COLUMNS
) -> Path:
    path = folder / name
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def row(label: str, text: str, name: str = "DR", question: str = "depression", number: int = 2) -> FewShotRow:
    return FewShotRow(
        set=name,
        question=question,
        text=text,
        label=label,
        explanation="It says so.",
        file="e.csv",
        row=number,
    )


def post(text: str, name: str = "SAD", split: Split = "test") -> Post:
    return Post(
        id="p", set=name, split=split, text=text, provenance=Provenance(file="f", row=2, origin="table")
    )


# --- reading -------------------------------------------------------------------------------------


def test_a_table_is_read_names_in_any_case_and_the_only_question_may_be_left_out(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        ["irf", "Perceived Burdensomeness", " I cost them. ", "Yes", 'They say "I cost them".'],
        ["SAD", "", "rent is due", "financial problem", "It is about rent."],
    )
    assert read_few_shot_rows(path, TASKS) == [
        FewShotRow(
            set="Irf",
            question="perceived burdensomeness",
            text="I cost them.",
            label="yes",
            explanation='They say "I cost them".',
            file=str(path),
            row=2,
        ),
        FewShotRow(
            set="SAD",
            question="cause",
            text="rent is due",
            label="financial problem",
            explanation="It is about rent.",
            file=str(path),
            row=3,
        ),
    ]


def test_examples_are_scrubbed_as_posts_are(tmp_path: Path) -> None:
    path = table(tmp_path, ["DR", "", "ask @syn_kit or call 555-0123", "no", 'It says "ask @syn_kit".'])
    (found,) = read_few_shot_rows(path, TASKS)
    assert found.text == "ask [handle] or call [phone]"
    assert found.explanation == 'It says "ask [handle]".'


def test_the_published_layout_is_read_from_a_file_or_a_folder() -> None:
    folder = SAMPLE / "release/human_evaluation/test_instruction_expert"
    answers = {
        (a["set"], a["question"], a["label"], scrub(a["explanation"].strip())[0]) for a in expert_answers()
    }
    rows = read_few_shot_rows(folder, TASKS)
    assert {(r.set, r.question, r.label, r.explanation) for r in rows} == answers
    assert len(rows) == 60
    assert read_few_shot_rows(folder / "Irf.csv", TASKS) == [r for r in rows if r.set == "Irf"]
    assert [r.row for r in rows if r.set == "Irf"] == [2, 3, 4, 5, 6, 7]


GOOD = ["DR", "depression", "fine here", "no", "It says so."]


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (0, "dreadit", "'dreadit' is not a set; did you mean dreaddit?"),
        (0, "weather", "'weather' is not a set; known are CAMS, CLP, DR"),
        (0, "", "'' is not a set"),
        (1, "depresion", "'depresion' is not a question of DR; did you mean depression?"),
        (3, "nope", "'nope' is not a label of DR; did you mean no?"),
        (3, "maybe", "'maybe' is not a label of DR; known are yes, no"),
        (2, "  ", "the text is empty"),
        (4, "", "the explanation is empty"),
    ],
)
def test_an_error_names_file_row_and_a_suggestion(place: int, value: str, fault: str, tmp_path: Path) -> None:
    bad = [*GOOD[:place], value, *GOOD[place + 1 :]]
    path = table(tmp_path, GOOD, bad)
    with pytest.raises(DataError) as found:
        read_few_shot_rows(path, TASKS)
    assert str(found.value).startswith(f"{path}, row 3: {fault}")


def test_an_error_shows_no_post_in_the_wrong_column(tmp_path: Path) -> None:
    path = table(tmp_path, ["DR", "", "no", "my neighbour sings every night", "It says so."])
    with pytest.raises(DataError, match="the value is not a label of DR") as found:
        read_few_shot_rows(path, TASKS)
    assert "neighbour" not in str(found.value)


def test_a_question_must_be_named_where_there_are_several(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'' is not a question of Irf; known are thwarted belongingness"):
        read_few_shot_rows(table(tmp_path, ["Irf", "", "x", "no", "y"]), TASKS)


def test_missing_columns_and_files_are_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'explanation'; the columns are 'set'"):
        read_few_shot_rows(table(tmp_path, ["DR", "", "x", "no"], columns=FEW_SHOT_COLUMNS[:4]), TASKS)
    with pytest.raises(UsageError, match="there is no such file"):
        read_few_shot_rows(tmp_path / "absent.csv", TASKS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no table of examples"):
        read_few_shot_rows(tmp_path / "empty", TASKS)


PUBLISHED = ("query", "gpt-3.5-turbo")
QUERY = 'Consider this post: "fine here" Question: Does the poster suffer from depression?'


@pytest.mark.parametrize(
    ("name", "query", "answer", "fault"),
    [
        ("DR.csv", QUERY, "It may rain.", ", row 2: the answer cannot be parsed: names no label"),
        ("DR.csv", QUERY, "No, the poster does not suffer from depression.", None),
        ("DR.csv", "fine here", "No.", ", row 2: not a query of DR in instruction form"),
        (
            "DRR.csv",
            QUERY,
            "No.",
            ": a file of examples is named after its set: there is no task named 'DRR'",
        ),
        (
            "dr.csv",
            QUERY,
            "No, the poster does not suffer from depression. Reasoning:",
            ", row 2: the explanation is empty",
        ),
    ],
)
def test_faults_of_the_published_layout(
    name: str, query: str, answer: str, fault: str | None, tmp_path: Path
) -> None:
    path = table(tmp_path, [query, answer], name=name, columns=PUBLISHED)
    if fault is None:  # without a marker the whole answer is its own explanation, as read_answer has it
        assert [row.label for row in read_few_shot_rows(path, TASKS)] == ["no"]
        return
    with pytest.raises(DataError) as found:
        read_few_shot_rows(path, TASKS)
    assert str(found.value).startswith(f"{path}{fault}")


# --- drawing -------------------------------------------------------------------------------------


def many(name: str, question: str, each: int) -> list[FewShotRow]:
    return [
        row(label, f"{label} {number}", name, question)
        for label in TASKS[name].labels
        for number in range(each)
    ]


@given(shots=st.integers(1, 20), seed=st.integers(0, 99), name=st.sampled_from(["DR", "SAD", "CAMS"]))
def test_labels_are_balanced(shots: int, seed: int, name: str) -> None:
    task = TASKS[name]
    question = task.resolve_question()
    rows = many(name, question, 10)
    shown = build_shot_sampler(rows, task, question, shots, seed)("")
    counts = Counter(dict.fromkeys(task.labels, 0))
    counts.update(shot.label for shot in shown)
    assert len({shot.text for shot in shown}) == len(shown) == shots
    assert max(counts.values()) - min(counts.values()) <= 1


@given(shots=st.integers(1, 8), seed=st.integers(0, 99), own=st.integers(0, 11))
def test_the_post_itself_is_never_an_example(shots: int, seed: int, own: int) -> None:
    rows = many("CAMS", "cause", 2)
    shown = build_shot_sampler(rows, TASKS["CAMS"], "cause", shots, seed)(text_key(rows[own].text))
    assert rows[own].text not in {shot.text for shot in shown}
    assert len(shown) == shots
    assert all(count <= (1 if shots <= 6 else 2) for count in Counter(shot.label for shot in shown).values())


def test_the_sample_is_the_same_for_all_posts_and_differs_by_seed_and_question() -> None:
    rows = many("DR", "depression", 8)
    draws = [build_shot_sampler(rows, TASKS["DR"], "depression", 4, seed) for seed in range(6)]
    assert draws[0]("a") == draws[0]("b") == build_shot_sampler(rows[::], TASKS["DR"], "depression", 4, 0)("")
    assert len({draw("") for draw in draws}) == 6
    assert len({tuple(shot.label for shot in draw("")) for draw in draws}) > 1  # labels are not in blocks
    both = [*many("Irf", "thwarted belongingness", 8), *many("Irf", "perceived burdensomeness", 8)]
    one, two = (
        build_shot_sampler(both, TASKS["Irf"], question, 4, 0)("") for question in TASKS["Irf"].questions
    )
    assert one != two


def test_only_examples_of_the_question_are_shown() -> None:
    rows = [row("yes", "a", "Irf", "thwarted belongingness"), row("no", "b", "Irf", "thwarted belongingness")]
    rows += [row("yes", "c", "Irf", "perceived burdensomeness"), row("no", "d"), row("yes", "e")]
    shown = build_shot_sampler(rows, TASKS["Irf"], "thwarted belongingness", 2, 1)("")
    assert {shot.text for shot in shown} == {"a", "b"}


def test_posts_without_letters_are_not_copies_of_each_other() -> None:
    rows = [row("yes", "🌧"), row("no", "🌕")]
    assert len(build_shot_sampler(rows, TASKS["DR"], "depression", 2, 1)(text_key("…"))) == 2


def test_labels_without_an_example_are_listed() -> None:
    rows = [row("none", "a", "CAMS", "cause"), row("medication", "b", "CAMS", "cause")]
    with pytest.raises(UsageError) as found:
        build_shot_sampler(rows, TASKS["CAMS"], "cause", 2, 1)
    assert str(found.value) == (
        "the examples file has none for CAMS with the label bias or abuse, jobs and career, relationship, alienation; "
        "add some"
    )
    with pytest.raises(UsageError, match="none for Irf, perceived burdensomeness with the label yes, no"):
        build_shot_sampler(rows, TASKS["Irf"], "perceived burdensomeness", 2, 1)


def test_too_few_examples_are_reported() -> None:
    with pytest.raises(UsageError, match="has 4 for DR, but 5 shots are requested"):
        build_shot_sampler(many("DR", "depression", 2), TASKS["DR"], "depression", 5, 1)


# --- the sample's examples -----------------------------------------------------------------------


def test_the_sample_has_an_example_for_every_label_of_every_question() -> None:
    counts = Counter((r.set, r.question, r.label) for r in ROWS)
    wanted = {(t.set, q, label) for t in TASKS.values() for q in t.questions for label in t.labels}
    assert set(counts) == wanted
    assert all(counts[key] >= 2 for key in wanted if TASKS[key[0]].is_yes_no)
    for task in TASKS.values():
        for question in task.questions:
            assert len(build_shot_sampler(ROWS, task, question, 4, 7)("")) == 4


def test_the_samples_explanations_follow_the_rules() -> None:
    for each in ROWS:
        quotes = extract_quotes("", each.explanation)
        assert quotes, each.row
        assert [quote for quote in quotes if quote not in each.text] == [], each.row
        spaced = each.explanation.isascii() or " " in each.explanation
        length = (
            len(each.explanation.split()) if spaced else len(each.explanation) / 2
        )  # two characters a word
        assert 15 <= length <= 60, each.row
        assert not each.explanation.startswith(("Yes", "No,", "This post shows")), each.row
    assert len({each.explanation for each in ROWS}) == len(ROWS) == 72


def test_the_samples_examples_are_no_posts_of_the_sample() -> None:
    posts = [key for each in corpus() if (key := text_key(each["text"]))]
    texts = {text_key(each.text) for each in ROWS}
    assert len(posts) > 500
    assert len(texts) > 40
    near = [
        text for text in texts for key in posts if fuzz.ratio(text, key, score_cutoff=NEAR_DUPLICATE_RATIO)
    ]
    assert near == []
    test_posts = (post(each["text"], each["set"]) for each in corpus() if each["split"] == "test")
    assert without_overlap(ROWS, test_posts) == ROWS


def test_the_samples_examples_are_known_to_be_synthetic() -> None:
    known = SYNTHETIC_HASHES.read_text(encoding="ascii").split()
    assert known == synthetic_hashes(), "run: python sample/make.py"
    keys = {text_key(scrub(cells["text"])[0]) for _, cells in read_table(EXAMPLES)}
    assert all(f"{key_hash(key):016x}" in known for key in keys if len(key) >= MIN_IDENTIFYING_LETTERS)


# --- real examples -------------------------------------------------------------------------------


@pytest.mark.data
def test_the_published_examples_are_read(data: Path) -> None:
    rows = read_few_shot_rows(data / "release/human_evaluation/test_instruction_expert", TASKS)
    assert len(rows) >= 100
    assert all(row.label in TASKS[row.set].labels for row in rows)


# --- answers of several parts --------------------------------------------------------------------


def test_labels_of_several_parts_are_read_in_their_canonical_form(tmp_path: Path) -> None:
    tasks = {task.set: task for task in map(task_of_kind, ("multi", "scale", "spans"))}
    path = table(
        tmp_path,
        ["synthetic-multi", "", "So tired.", "Low mood; sleep", "It says so."],
        ["synthetic-scale", "about", "So tired.", "energy: 2", "It says so."],
        ["synthetic-spans", "about", "So tired.", 'low mood: "tired"', "It says so."],
    )
    labels = [row.label for row in read_few_shot_rows(path, tasks)]
    assert labels == ["sleep; low mood", "energy: nearly every day", 'low mood: "tired"']
    bad = table(tmp_path, ["synthetic-multi", "", "So tired.", "sleep; joy", "It says so."], name="bad.csv")
    with pytest.raises(
        DataError, match=r"bad.csv, row 2: the label is no answer of synthetic-multi: names some"
    ):
        read_few_shot_rows(bad, tasks)


def test_examples_of_several_parts_differ_in_how_many_labels_they_name() -> None:
    task = task_of_kind("multi")
    labels = ["none", "none", "sleep", "low mood", "sleep; low mood"]
    rows = [row(label, f"post {n}", task.set, "about") for n, label in enumerate(labels)]
    for seed in range(5):
        shots = build_shot_sampler(rows, task, "about", 3, seed)("")
        assert sorted(label.count(";") + (label != "none") for label in (shot.label for shot in shots)) == [
            0,
            1,
            2,
        ]
    with pytest.raises(UsageError, match="has 5 for synthetic-multi, but 6 shots are requested"):
        build_shot_sampler(rows, task, "about", 6, 7)
