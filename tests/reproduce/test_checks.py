"""Checks of copies, of the published reader, and of labels read from explanations, on made-up files."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from mentallama.answers.format import write_answer
from mentallama.reproduce.claims import ClaimFinding, PaperClaim
from mentallama.reproduce.explanation_labels import check_explanation_labels, read_labels, train_reader
from mentallama.reproduce.human_ratings import check_rated_by_the_paper, check_rated_files
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.linear_yardstick import check_linear_scores
from mentallama.reproduce.post_copies import check_copies_in_training
from mentallama.reproduce.published_reader import check_unreadable_outputs, check_unreadable_references
from mentallama.reproduce.release_data import ReferenceRow, ReleaseData
from mentallama.tasks import load_tasks, write_query
from tests.factories.linear_cases import FILLER
from tests.factories.model_outputs import write_csv

TASKS = load_tasks()
CAMS, DREADDIT = TASKS["CAMS"], TASKS["dreaddit"]


def claim(check: str, **values: float) -> PaperClaim:
    return PaperClaim(id="c", claim="A claim", where="Table 9", check=check, values=values)


def inputs(data: Path) -> ReproductionInputs:
    return ReproductionInputs(ReleaseData(data, TASKS))


def write_part(data: Path, name: str, file: str, rows: list[tuple[str, str]]) -> None:
    (question,) = TASKS[name].questions
    write_csv(
        data / "release" / file,
        {
            "query": [write_query(TASKS[name], question, "instruction", text) for text, _ in rows],
            "gpt-3.5-turbo": [reference for _, reference in rows],
        },
    )


def test_copies_of_test_posts_are_found_in_training_posts_of_another_set(tmp_path: Path) -> None:
    posts = [
        f"My neighbour's {thing} was loud again last night." for thing in ("radio", "dog", "drum", "kettle")
    ]
    reference = write_answer(CAMS, None, "none", "It is about noise.")
    write_part(tmp_path, "CAMS", "test_data/test_instruction/CAMS.csv", [(post, reference) for post in posts])
    dimensions = ["Spiritual", "Physical", "Intellectual", "Social", "Vocational", "Emotional"]
    # One verbatim, one in capitals with its apostrophe decoded wrongly, one that nobody tests on.
    upstream = [posts[0], posts[1].upper().replace("'", "‚Äô"), "Something else entirely, about a garden."]
    columns = {"text": upstream} | {name: ["0"] * len(upstream) for name in dimensions}
    write_csv(tmp_path / "sources/MultiWD/train_data.csv", columns)
    subjects = {"CAMS in MultiWD": 50.0, "CAMS in Irf": 1.0, "SAD in MultiWD": 2.0}
    copied, no_source, no_test = check_copies_in_training(
        PaperClaim(id="c", claim="", where="", check="copies_in_training", values=subjects), inputs(tmp_path)
    )
    assert (copied.ours, copied.verdict) == (50.0, "reproduced")
    assert copied.cause.startswith("2 of 4 posts")
    assert "sources/Irf/train_data.csv" in no_source.cause
    assert no_test.cause == "test_data/test_instruction/SET.csv is missing or empty"


def test_outputs_and_references_that_the_published_reader_cannot_read(tmp_path: Path) -> None:
    texts = ["Yes. Reasoning: it says so.", "The poster seems calm.", "I cannot tell.", ""]
    examples = tmp_path / "release/examples/response_generation_examples"
    write_csv(examples / "dreaddit.csv", {"goldens": ["Yes."] * 4, "generated_text": texts})
    references = [
        write_answer(CAMS, None, label, "Made up.") for label in ("none", "medication", "none", "none")
    ]
    rows = [(f"A made-up post, number {number}.", reference) for number, reference in enumerate(references)]
    write_part(tmp_path, "CAMS", "test_data/test_instruction/CAMS.csv", rows)
    # "cannot" holds "no", so two of the four outputs have no key
    read, missing = check_unreadable_outputs(claim("unreadable_outputs", dreaddit=2, DR=24), inputs(tmp_path))
    assert (read.ours, read.verdict, read.cause) == (2, "reproduced", "of 4 rows")
    assert (missing.ours, missing.verdict) == (None, "not possible")
    # "This post shows no causes of depression." has none of the keys
    (dropped,) = check_unreadable_references(claim("unreadable_references", CAMS=17.12), inputs(tmp_path))
    assert (dropped.ours, dropped.cause) == (75.0, "3 of 4 rows")


WORDS = {
    "yes": ("racing heart", "sleepless nights", "constant deadlines"),
    "no": ("quiet garden", "warm soup", "long nap"),
}


def explained(label: str, number: int) -> str:
    words = WORDS[label]
    return write_answer(
        DREADDIT,
        None,
        label,
        f"The writer describes {words[number % 3]} and {words[(number + 1) % 3]}, day {number}.",
    )


def explained_claim(*subjects: str) -> PaperClaim:
    return claim("explanation_labels").model_copy(update={"values": dict.fromkeys(subjects, 93.5)})


def rows_of(numbers: range, text: str) -> list[tuple[str, str]]:
    return [(f"{text} {number}.", explained("yes" if number % 2 else "no", number)) for number in numbers]


def test_labels_are_read_back_from_explanations_alone(tmp_path: Path) -> None:
    # A reference of the test file has the wrong explanation: it reads as "no" under the answer "yes".
    wrong = write_answer(DREADDIT, None, "yes", "The writer describes warm soup and long nap, day 5.")
    test = [*rows_of(range(40, 47), "A bus post, number"), ("A last made-up post.", wrong)]
    write_part(tmp_path, "dreaddit", "test_data/test_instruction/dreaddit.csv", test)
    few, *others = check_explanation_labels(explained_claim("dreaddit, test", "SAD, test"), inputs(tmp_path))
    assert few.cause == "train_data/instruction_data/SET/train.csv is missing or empty"
    assert [other.cause for other in others] == ["test_data/test_instruction/SET.csv is missing or empty"]

    train = "train_data/instruction_data/dreaddit/{}.csv"
    write_part(tmp_path, "dreaddit", train.format("val"), rows_of(range(4), "A walk, number"))
    (few,) = check_explanation_labels(explained_claim("dreaddit, test"), inputs(tmp_path))
    assert few.cause == "there are only 4 training explanations of other posts"

    # Posts of the test file are not learnt from.
    leaked = [(post, explained("no", 1)) for post, _ in test]
    write_part(tmp_path, "dreaddit", train.format("train"), [*rows_of(range(30), "A walk, number"), *leaked])
    (found,) = check_explanation_labels(explained_claim("dreaddit, test"), inputs(tmp_path))
    # 8 rows: 4 no, 4 yes, one yes read as no: F1 of no 8/9, of yes 6/7
    assert found.ours == pytest.approx(50 * (8 / 9 + 6 / 7), abs=0.01)
    assert found.cause == "read by a linear classifier trained on the train file"


def reference_row(number: int) -> ReferenceRow:
    label = "yes" if number % 2 else "no"
    return ReferenceRow(
        "stress", f"post {number}", "", label, explained(label, number).partition("Reasoning: ")[2]
    )


def test_an_explanation_that_only_repeats_its_answer_has_no_label() -> None:
    asked = ReferenceRow("stress", "asked", "", "yes", "Yes, the poster suffers from stress.")
    reader = train_reader(DREADDIT, [reference_row(number) for number in range(24)])
    assert not isinstance(reader, str)
    (row,) = read_labels(reader, DREADDIT, [asked])
    assert (row.status, row.predicted, row.gold) == ("unparsed", None, "yes")


def test_the_linear_model_is_trained_only_where_it_is_asked_for(tmp_path: Path) -> None:
    write_part(
        tmp_path, "dreaddit", "test_data/test_instruction/dreaddit.csv", rows_of(range(2), "A post, number")
    )
    findings: list[ClaimFinding] = list(
        check_linear_scores(claim("linear_scores", DR=84.9), inputs(tmp_path))
    )
    assert [(one.verdict, one.published, one.cause) for one in findings] == [
        ("not possible", 84.9, "the linear model is trained only with --train")
    ]


def test_ratings_of_the_release_are_counted_and_are_not_the_paper_s(tmp_path: Path) -> None:
    folder = tmp_path / "release/human_evaluation/DR_annotation"
    scores = {"overall": ["[3, 3, 2]", "[1, 0, 1]"], "fluency": ["[3, 3, 3]", "[3, 3, 3]"]}
    columns = {
        "text": ["A made-up post.", "Another one."],
        "label": ["0", "0"],
        "gpt-3.5-turbo": ["No.", "Yes."],
    }
    write_csv(folder / "chatgpt_data.csv", columns | scores)
    (tmp_path / "release/test_data/test_instruction").mkdir(parents=True)
    files = {"chatgpt_data.csv": 2.0, "gpt3_data.csv": 121.0}
    counted, missing = check_rated_files(
        claim("rated_files").model_copy(update={"values": files}), inputs(tmp_path)
    )
    assert (counted.ours, counted.verdict) == (2, "reproduced")
    assert (missing.ours, missing.verdict) == (None, "not possible")
    (paper,) = check_rated_by_the_paper(claim("rated_by_the_paper", explanations=200), inputs(tmp_path))
    assert paper.verdict == "not possible"
    # means of (8/3 + 2/3) / 2 and of 3
    assert "2 explanations" in paper.cause
    assert "overall 1.67 (alpha" in paper.cause
    assert "fluency 3.00 (the ratings do not vary)" in paper.cause


def test_the_linear_model_is_trained_on_the_files_at_hand(tmp_path: Path) -> None:
    parts = {
        "train_data/instruction_data/dreaddit/train.csv": range(40),
        "train_data/instruction_data/dreaddit/val.csv": range(40, 52),
        "test_data/test_instruction/dreaddit.csv": range(52, 64),
    }
    draw = random.Random(1)
    words = {
        "yes": ["racing", "deadline", "panic", "noise", "hurry"],
        "no": ["garden", "soup", "nap", "quiet", "tea"],
    }
    for file, numbers in parts.items():
        labels = ["yes" if number % 2 else "no" for number in numbers]
        texts = [" ".join(draw.choices(words[label], k=8) + draw.choices(FILLER, k=8)) for label in labels]
        references = [write_answer(DREADDIT, None, label, "Made up.") for label in labels]
        write_part(tmp_path, "dreaddit", file, list(zip(texts, references, strict=True)))
    asked = replace(inputs(tmp_path), train=True)
    learnt, absent = check_linear_scores(claim("linear_scores", dreaddit=100.0, DR=84.9), asked)
    assert learnt.ours is not None
    assert 0 <= learnt.ours <= 100
    assert learnt.cause == "12 rows, seed 7"
    assert (absent.verdict, absent.cause) == ("not possible", "there are no labelled test posts for it")
    (tmp_path / "release/train_data/instruction_data/dreaddit/train.csv").unlink()
    (nothing,) = check_linear_scores(
        claim("linear_scores", dreaddit=100.0), replace(inputs(tmp_path), train=True)
    )
    assert nothing.verdict == "not possible"
    assert "there is nothing to train on" in nothing.cause
