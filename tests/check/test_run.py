"""The check stage as a whole: which responses are accepted, which files are written, and what reviewers change."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.format import write_answer
from mentallama.check.gate_runner import QuoteMatches
from mentallama.check.output.gate_report_schema import DroppedResponse, GateReport
from mentallama.check.run import NO_PARQUET_NOTE, NO_RESPONSES_NOTE, run
from mentallama.config import GATE_NAMES, Recipe
from mentallama.errors import DataError
from mentallama.files.record_files import read_json, read_records, write_records
from mentallama.records import Example, Post, Response, Verdict
from tests.factories.check_cases import answer_to, post_of

WORDS = (
    "The rent is due on Friday and my hours were cut again",
    "We walked along the river and ate plums in the sun",
    "My manager shouted at me in front of the whole shift",
    "The choir sang until midnight and nobody wanted to leave",
    "The exam is tomorrow and I have not slept since Sunday",
    "Our garden is full of beans and the cat is asleep in it",
)
LABELS = ("yes", "no", "yes", "no", "yes", "no")
POSTS = [
    post_of("dreaddit", text, {"stress": label}, split, number)
    for number, (text, label, split) in enumerate(
        zip(WORDS, LABELS, ("train", "train", "train", "validation", "test", "test"), strict=True)
    )
]
REASONS = {
    "yes": "The writer is under strain, as “{}” shows, and sounds worn out by it.",
    "no": "The writer is at ease: “{}” is told with calm, and nothing presses here.",
}


def said(post: Post, label: str | None = None, quote: str | None = None) -> str:
    """An answer that passes all gates, or one with the given label or quotation instead of the post's."""
    label = label or post.labels["stress"]
    return write_answer("dreaddit", "stress", label, REASONS[label].format(quote or post.text[:18]))


def good(post: Post, model: str = "teacher") -> Response:
    return answer_to(post, "stress", said(post), model=model)


@dataclass
class Made:
    """A run's folder, and the outputs of check in it."""

    folder: Path
    out: Path
    summary: dict[str, Any]

    @property
    def gates(self) -> GateReport:
        return GateReport.model_validate(read_json(self.out / "gates.json"))

    @property
    def accepted(self) -> list[Example]:
        return list(read_records(self.out / "instructions.jsonl.zst", Example))

    @property
    def dropped(self) -> dict[str, dict[str, str]]:
        """Post id -> reasons by gate."""
        return {
            each.post_id: each.reasons for each in read_records(self.out / "dropped.jsonl", DroppedResponse)
        }

    @property
    def verdicts(self) -> list[Verdict]:
        return list(read_records(self.out / "verdicts.jsonl.zst", Verdict))

    def text_of(self, name: str) -> str:
        return (self.out / name).read_text(encoding="utf-8")


def recipe_of(folder: Path, **check: Any) -> Recipe:
    settings = {"min_label_consistency": None, "rating_sample_size": 3} | check
    return Recipe.model_validate(
        {"name": "made", "data": folder / "data", "sets": ("dreaddit",), "jobs": 1, "check": settings}
    )


def make(folder: Path, responses: Sequence[Response], posts: Sequence[Post] = POSTS, **check: Any) -> Made:
    write_records(folder / "collect/posts.jsonl.zst", posts)
    write_records(folder / "collect/responses.jsonl.zst", responses)
    out = folder / "check"
    out.mkdir(exist_ok=True)
    return Made(folder, out, run(recipe_of(folder, **check), folder, out))


# --- which are accepted -----------------------------------------------------------------------------------


def test_clean_responses_are_all_accepted(tmp_path: Path) -> None:
    made = make(tmp_path, [good(post) for post in POSTS])
    assert [example.post_id for example in made.accepted] == [post.id for post in POSTS]
    assert [example.label for example in made.accepted] == list(LABELS)
    assert made.dropped == {}
    assert made.summary == read_json(made.out / "summary.json")
    assert (made.summary["responses"], made.summary["accepted"], made.summary["unanswered"]) == (6, 6, 0)
    assert set(made.summary["failed"].values()) == {0}
    assert [each.model_dump() for each in made.gates.accepted_by_label] == [
        {"set": "dreaddit", "split": "train", "label": "yes", "rows": 2},
        {"set": "dreaddit", "split": "train", "label": "no", "rows": 1},
        {"set": "dreaddit", "split": "validation", "label": "no", "rows": 1},
        {"set": "dreaddit", "split": "test", "label": "yes", "rows": 1},
        {"set": "dreaddit", "split": "test", "label": "no", "rows": 1},
    ]


def test_each_fault_is_dropped_by_its_gate_with_a_reason(tmp_path: Path) -> None:
    texts = [
        said(POSTS[0], "no"),  # another label than the set's
        said(POSTS[1], quote="my uncle sold the boat"),  # quotes what stands nowhere
        said(POSTS[2], quote=WORDS[0][:25]),  # quotes another post
        "Yes, the poster suffers from stress. Reasoning: Tired.",  # the set says no, and one word is no reason
        "I'm sorry, but I can't provide an assessment.",
        said(POSTS[5]),
    ]
    made = make(tmp_path, [answer_to(post, "stress", text) for post, text in zip(POSTS, texts, strict=True)])
    assert made.dropped == {
        POSTS[0].id: {"label_match": "the teacher says 'no', the set 'yes'; nobody has decided yet"},
        POSTS[1].id: {"quote_grounding": "1 of 1 quotations not in the post"},
        POSTS[2].id: {"quote_grounding": "1 of 1 quotations not in the post, 1 of them in another post"},
        POSTS[3].id: {
            "label_match": "the teacher says 'yes', the set 'no'; nobody has decided yet",
            "length": "1 words, fewer than 5",
        },
        POSTS[4].id: {"parsed": "refused: the model declines to answer"},
    }
    assert [example.post_id for example in made.accepted] == [POSTS[5].id]
    counts = {
        each.gate: (each.judged, each.failed, each.sole_drops) for each in made.gates.gates if each.failed
    }
    assert counts == {
        "parsed": (6, 1, 1),
        "label_match": (5, 2, 1),
        "quote_grounding": (5, 2, 2),
        "length": (5, 1, 0),
    }
    (refused,) = (each for each in made.gates.unusable_answers if each.refused)
    assert (refused.label, refused.high_risk, refused.rows, refused.refused) == ("yes", True, 3, 1)
    by_label = {(each.gate, each.label): (each.judged, each.failed) for each in made.gates.failed_by_label}
    assert by_label["label_match", "yes"] == (2, 1)
    assert by_label["label_match", "no"] == (3, 1)


def test_an_answer_that_cannot_be_parsed_is_judged_by_no_other_gate(tmp_path: Path) -> None:
    cut = good(POSTS[0]).model_copy(update={"finish_reason": "length"})
    made = make(tmp_path, [cut, good(POSTS[1])])
    gates_of = {
        each: [verdict.gate for verdict in made.verdicts if verdict.example_id == each]
        for each in (cut.example_id, good(POSTS[1]).example_id)
    }
    assert gates_of[cut.example_id] == ["parsed"]
    assert gates_of[good(POSTS[1]).example_id] == [
        "parsed",
        *(name for name in GATE_NAMES if name not in {"label_consistency", "reference_overlap"}),
    ]
    assert made.gates.unusable_answers[0].truncated == 1


def test_of_several_teachers_the_first_that_passes_is_accepted(tmp_path: Path) -> None:
    responses = [
        answer_to(POSTS[0], "stress", said(POSTS[0], quote="a boat that sank"), model="a"),
        good(POSTS[0], "b"), good(POSTS[0], "c"),
        good(POSTS[1], "b"),
        good(POSTS[2], "a"), good(POSTS[2], "b"),
        answer_to(POSTS[3], "stress", "nothing", model="a"), answer_to(POSTS[3], "stress", "nothing", model="b"),
    ]  # fmt: skip
    made = make(tmp_path, responses)
    assert [each.model_dump() for each in made.gates.teachers] == [
        {"model": "a", "responses": 3, "passed": 1, "accepted": 1},
        {"model": "b", "responses": 4, "passed": 3, "accepted": 2},
        {"model": "c", "responses": 1, "passed": 1, "accepted": 0},
    ]
    rows = [json.loads(line) for line in made.text_of("data/instruction/train.jsonl").splitlines()]
    assert [(row["post_id"], row["model"]) for row in rows] == [
        (POSTS[0].id, "b"),
        (POSTS[1].id, "b"),
        (POSTS[2].id, "a"),
    ]
    assert {each.post_id for each in read_records(made.out / "dropped.jsonl", DroppedResponse)} == {
        POSTS[0].id,
        POSTS[3].id,
    }
    assert made.gates.unanswered == 2


def test_a_gate_that_only_reports_drops_nothing(tmp_path: Path) -> None:
    responses = [
        answer_to(POSTS[0], "stress", said(POSTS[0], quote="a boat that sank")),
        answer_to(POSTS[1], "stress", said(POSTS[1], "yes")),
    ]
    made = make(tmp_path, responses, report_only=["quote_grounding", "label_match"])
    assert made.dropped == {}
    assert [(each.post_id, each.label) for each in made.accepted] == [
        (POSTS[0].id, "yes"),
        (POSTS[1].id, "yes"),
    ]
    found = {each.gate: each for each in made.gates.gates}
    assert (
        found["quote_grounding"].failed,
        found["quote_grounding"].drops,
        found["quote_grounding"].sole_drops,
    ) == (1, False, 0)
    assert found["length"].drops
    assert "drops nothing" in made.text_of("gates.md")


def test_a_disabled_gate_is_not_run(tmp_path: Path) -> None:
    off: dict[str, Any] = dict.fromkeys(
        ("max_ungrounded_quotes", "length", "prompt_leakage_ngram", "max_explanation_similarity")
    )
    off |= dict.fromkeys(("label_match", "language", "diagnosis", "advice", "personal_data"), False)
    made = make(tmp_path, [answer_to(POSTS[0], "stress", said(POSTS[0], "no", "a boat that sank"))], **off)
    assert {verdict.gate for verdict in made.verdicts} == {"parsed"}
    assert [(each.post_id, each.label) for each in made.accepted] == [(POSTS[0].id, "no")]
    assert set(made.gates.disabled) == {*GATE_NAMES} - {"reference_overlap"}
    assert not (tmp_path / "review/disagreements.csv").exists()


def test_a_threshold_of_zero_does_not_disable_the_gate(tmp_path: Path) -> None:
    """`max_ungrounded_quotes: 0` allows no ungrounded quotation; it does not disable the gate."""
    made = make(
        tmp_path,
        [answer_to(POSTS[0], "stress", said(POSTS[0], quote="a boat that sank"))],
        max_ungrounded_quotes=0,
    )
    assert "quote_grounding" not in made.gates.disabled
    assert "quote_grounding" in made.dropped[POSTS[0].id]


def test_a_post_without_a_label_is_accepted_with_the_answers_label(tmp_path: Path) -> None:
    post = POSTS[0].model_copy(update={"labels": {}})
    made = make(tmp_path, [good(POSTS[0])], [post])
    assert [example.label for example in made.accepted] == ["yes"]
    correctness = next(each for each in made.gates.gates if each.gate == "label_match")
    assert (correctness.judged, correctness.note) == (0, "1 not judged: the set gives this post no label")


# --- what is written -----------------------------------------------------------------------------------


def test_only_the_data_contains_posts_and_explanations(tmp_path: Path) -> None:
    texts = [said(POSTS[0], "no"), *(said(post) for post in POSTS[1:])]
    made = make(tmp_path, [answer_to(post, "stress", text) for post, text in zip(POSTS, texts, strict=True)])
    told = ["dropped.jsonl", "gates.json", "gates.md", "README.md", "summary.json"]
    told_packed = ["verdicts.jsonl.zst", "quotes.jsonl.zst"]
    kinds = {"verdicts.jsonl.zst": Verdict, "quotes.jsonl.zst": QuoteMatches}
    content = "".join(map(made.text_of, told))
    content += "".join(
        each.model_dump_json() for name in told_packed for each in read_records(made.out / name, kinds[name])
    )
    assert len(content) > 5000
    data = "".join(path.read_text(encoding="utf-8") for path in (made.out / "data").rglob("*.jsonl"))
    texts = [text[:18] for text in WORDS]
    assert [text for text in (*texts, "worn out by it", "told with calm") if text in content] == []
    assert [text for text in texts if text not in data] == [WORDS[0][:18]]  # the one that was dropped


def test_quotations_have_offsets(tmp_path: Path) -> None:
    texts = [said(POSTS[0]), said(POSTS[1], quote=WORDS[0][:25]), said(POSTS[2], quote="a boat that sank")]
    made = make(tmp_path, [answer_to(post, "stress", text) for post, text in zip(POSTS, texts, strict=False)])
    found = list(read_records(made.out / "quotes.jsonl.zst", QuoteMatches))
    assert [[quote.kind for quote in each.quotes] for each in found] == [
        ["exact"],
        ["other_post"],
        ["not_found"],
    ]
    (span,) = found[0].quotes[0].spans
    assert WORDS[0][span.start : span.end] == WORDS[0][:18]
    assert found[1].quotes[0].spans == ()


def test_the_report_and_the_card_contain_the_counts(tmp_path: Path) -> None:
    made = make(tmp_path, [good(post) for post in POSTS[:4]], max_ungrounded_quotes=None)
    page, card = made.text_of("gates.md"), made.text_of("README.md")
    assert "4 responses were judged and 4 accepted" in page
    assert "2 labelled questions have no response" in page
    assert "Disabled: label_consistency, quote_grounding." in page
    assert "written by gpt-3.5-turbo" in card
    assert "dreaddit 4 of 4" in card
    assert "Do not redistribute" not in card


def test_without_pyarrow_a_note_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mentallama.check.run.has_pyarrow", lambda: False)
    made = make(tmp_path, [good(post) for post in POSTS])
    assert made.summary["notes"] == [NO_PARQUET_NOTE]
    assert NO_PARQUET_NOTE in made.text_of("gates.md")
    assert "path: data/instruction/train.jsonl" in made.text_of("README.md")
    assert list(made.out.rglob("*.parquet")) == []


def test_without_responses_a_note_says_so(tmp_path: Path) -> None:
    made = make(tmp_path, [])
    assert made.summary["notes"] == [NO_RESPONSES_NOTE]
    assert made.accepted == []
    assert "configs" not in made.text_of("README.md")
    assert not (tmp_path / "review").exists()


def test_a_gate_that_cannot_judge_says_so(tmp_path: Path) -> None:
    made = make(tmp_path, [good(post) for post in POSTS], min_label_consistency=0.1, min_chrf=20)
    notes = {each.gate: each for each in made.gates.gates if each.note}
    assert set(notes) == {"label_consistency", "reference_overlap"}
    assert (notes["label_consistency"].judged, notes["label_consistency"].failed) == (0, 0)
    assert notes["label_consistency"].note in made.text_of("gates.md")
    assert notes["reference_overlap"].note == "6 not judged: there is no reference"
    assert len(made.accepted) == 6


def test_the_same_run_gives_the_same_bytes_on_one_process_and_on_two(tmp_path: Path) -> None:
    posts = [
        post_of("dreaddit", f"{text}, number {n}", {"stress": label}, number=n)
        for n in range(100)
        for text, label in zip(WORDS, LABELS, strict=True)
    ]
    posts = [post.model_copy(update={"id": f"{post.id}-{at}"}) for at, post in enumerate(posts)]
    contents = []
    for name, jobs in (("one", 1), ("two", 2)):
        folder = tmp_path / name
        made = make(folder, [good(post) for post in posts], posts)
        recipe = recipe_of(folder).model_copy(update={"jobs": jobs})
        run(recipe, folder, made.out)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        contents.append({path.relative_to(folder).as_posix(): path.read_bytes() for path in files})
    assert contents[0] == contents[1]
    assert len(contents[0]) > 12
    assert [name for name in contents[0] if ".work" in name or name.endswith(".partial")] == []


# --- what people fill in ---------------------------------------------------------------------------------


def fill(path: Path, **cells: str) -> None:
    """Write cells into every row of a sheet."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | cells for row in rows)


@pytest.mark.parametrize(
    ("decision", "label"), [("teacher", "no"), ("set", None), ("drop", None), ("", None)]
)
def test_a_decision_settles_a_disagreement(decision: str, label: str | None, tmp_path: Path) -> None:
    responses = [answer_to(POSTS[0], "stress", said(POSTS[0], "no")), good(POSTS[1])]
    made = make(tmp_path, responses)
    assert made.gates.disagreements == {"disagreements": 1, "decided": 0, "undecided": 1}
    fill(tmp_path / "review/disagreements.csv", decision=decision, note="seen")
    again = make(tmp_path, responses)
    found = {each.post_id: each.label for each in again.accepted}
    assert found == {POSTS[1].id: "no"} | ({POSTS[0].id: label} if label else {})
    assert again.gates.disagreements["undecided"] == (0 if decision else 1)
    if label:
        assert "No, the poster does not suffer" in again.text_of(
            "release/train_data/instruction_data/dreaddit/train.csv"
        )
    assert "seen" in (tmp_path / "review/disagreements.csv").read_text(encoding="utf-8-sig")


@pytest.mark.parametrize(("decision", "taken"), [("teacher", 1), ("set", 0), ("drop", 0), ("", 1)])
@pytest.mark.parametrize("check", [{"report_only": ["label_match"]}, {"label_match": False}])
def test_a_decision_holds_where_the_gate_drops_nothing(
    decision: str, taken: int, check: dict[str, Any], tmp_path: Path
) -> None:
    differs = answer_to(POSTS[0], "stress", said(POSTS[0], "no"))
    make(tmp_path, [differs])
    fill(tmp_path / "review/disagreements.csv", decision=decision, note="seen")
    again = make(tmp_path, [differs], **check)
    assert len(again.accepted) == taken
    assert list(again.dropped) == ([] if taken else [POSTS[0].id])


@pytest.mark.parametrize(
    ("file", "cells"), [("disagreements.csv", {"decision": "maybe"}), ("sample.csv", {"overall": "9"})]
)
def test_a_malformed_review_file_stops_the_run_and_stays(
    file: str, cells: dict[str, str], tmp_path: Path
) -> None:
    responses = [answer_to(POSTS[0], "stress", said(POSTS[0], "no")), good(POSTS[1])]
    make(tmp_path, responses)
    path = tmp_path / "review" / file
    fill(path, **cells)
    before = path.read_bytes()
    with pytest.raises(DataError, match=file):
        make(tmp_path, responses)
    assert path.read_bytes() == before


def test_raters_decide_on_the_sample(tmp_path: Path) -> None:
    responses = [good(post) for post in POSTS]
    first = make(tmp_path, responses, rating_sample_size=6)
    assert (first.gates.rating_sample["result"], first.gates.rating_sample["rows"]) == ("rate more", 6)
    fill(tmp_path / "review/sample.csv", rater="ana", overall="0")
    assert make(tmp_path, responses, rating_sample_size=6).summary["rating_sample"] == "reject"
    fill(tmp_path / "review/sample.csv", overall="3")
    assert make(tmp_path, responses, rating_sample_size=6).gates.rating_sample["poor"] == 0
