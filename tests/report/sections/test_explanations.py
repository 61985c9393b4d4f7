"""The page's section on explanations, counted by hand; posts of people are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from mentallama.evaluate.score_file import ScoreFile
from mentallama.explanation_metrics.llm_judge.summary import AGREEMENT_UNKNOWN, JudgeSummary
from mentallama.explanation_metrics.scoring import ColumnScore, SetExplanationScores
from mentallama.files.record_files import write_records
from mentallama.metrics.bootstrap import Resampling
from mentallama.records import Post, Prediction, Provenance, Reading, Span, example_id
from mentallama.report.answer_survey import mark_spans, read_test_questions, survey_answers
from mentallama.report.page_model import FigureBlock, Paragraph, PostExample, Section, TableBlock
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.report.sections.explanations import explanations_section
from mentallama.tasks import load_tasks

TEXT = "I count the buses and none of them is mine."
LONG = 'The post says "count the buses" and "no bus at all", so it sounds tired.'  # 15 words


def post(number: int, *, synthetic: bool = True, split: str = "test", name: str = "dreaddit") -> Post:
    return Post.model_validate(
        {
            "id": f"{name}{number}",
            "set": name,
            "split": split,
            "text": TEXT,
            "labels": {"stress": "yes"},
            "provenance": Provenance(file="f", row=number, origin="release", synthetic=synthetic),
        }
    )


def prediction(of: Post, explanation: str, *spans: Span) -> Prediction:
    return Prediction(
        example_id=example_id(of.id, "stress", "instruction"),
        reading=Reading(status="parsed", label="yes", explanation=explanation),
        probabilities={"yes": 0.75, "no": 0.25},
        evidence=spans,
        model="m",
    )


POSTS = [post(1), post(2), post(3, split="train"), post(4)]
PREDICTIONS = [
    prediction(POSTS[0], LONG, Span(start=2, end=7), Span(start=5, end=17)),
    prediction(POSTS[1], "Short."),
    prediction(POSTS[2], "A training post, which counts in the totals only."),
    prediction(POSTS[3], ""),
]


def section_of(posts: list[Post], predictions: list[Prediction]) -> Section:
    questions, _ = read_test_questions(posts, "instruction")
    found = explanations_section(
        RunArtifacts(answers=survey_answers(predictions, questions), tasks=load_tasks())
    )
    assert found is not None
    return found


def test_explanations_quotations_and_evidence_are_counted() -> None:
    blocks = section_of(POSTS, PREDICTIONS).blocks
    (table,) = (block for block in blocks if isinstance(block, TableBlock))
    (row,) = table.rows
    values = dict(zip(table.header, (cell.content for cell in row.cells), strict=True))
    assert values == {
        "set": "Dreaddit",
        "answers": 3,
        "with explanation": 2,
        "with explanation, %": pytest.approx(200 / 3),
        "words, median": 8,
        "words, middle half": (4.5, 11.5),
        "quotations": 2,
        "verbatim, %": 50.0,
        "with evidence, %": pytest.approx(100 / 3),
        "of the post, %": pytest.approx(100 * 15 / len(TEXT)),
    }
    (figure,) = (block for block in blocks if isinstance(block, FigureBlock))
    assert figure.description == "Length of 2 explanations: from 1 to 15 words, median 8."
    assert figure.data is not None
    assert [
        (line.cells[0].text, line.cells[1].value) for line in figure.data.rows if line.cells[1].value
    ] == [
        ("1", 1),
        ("15", 1),
    ]


def test_examples_are_synthetic_posts_with_their_evidence_marked() -> None:
    (shown,) = (block for block in section_of(POSTS, PREDICTIONS).blocks if isinstance(block, PostExample))
    assert shown.parts == ((TEXT[:2], False), (TEXT[2:17], True), (TEXT[17:], False))
    assert ("probability", "0.75") in shown.facts
    assert ("explanation", LONG) in shown.facts


def test_answers_with_evidence_are_shown_first() -> None:
    posts = [post(number, name=name) for number, name in enumerate(("DR", "CLP", "SAD", "Irf"))]
    plain = [prediction(each, "Because.") for each in posts[:3]]
    marked = prediction(posts[3], "Because.", Span(start=0, end=1))
    shown = [
        block.caption
        for block in section_of(posts, [*plain, marked]).blocks
        if isinstance(block, PostExample)
    ]
    assert shown == ["A synthetic post, IRF.", "A synthetic post, DR.", "A synthetic post, CLP."]


def test_posts_of_people_are_not_shown() -> None:
    real = post(1, synthetic=False)
    blocks = section_of([real], [prediction(real, LONG)]).blocks
    assert not [block for block in blocks if isinstance(block, PostExample)]


def test_a_file_of_predictions_is_joined_with_its_posts(tmp_path: Path) -> None:
    write_records(tmp_path / "collect/posts.jsonl.zst", POSTS)
    write_records(tmp_path / "predict/predictions.jsonl.zst", PREDICTIONS)
    found = read_run_artifacts(tmp_path)
    assert found.test_origins == {"dreaddit": frozenset({"release"})}
    assert found.answers is not None
    assert (found.answers.rows, found.answers.with_explanation) == (4, 3)
    assert found.answers.by_set["dreaddit"].answers == 3


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], (("abcdef", False),)),
        ([Span(start=0, end=6)], (("abcdef", True),)),
        (
            [Span(start=4, end=9), Span(start=1, end=2)],
            (("a", False), ("b", True), ("cd", False), ("ef", True)),
        ),
        ([Span(start=1, end=3), Span(start=3, end=4)], (("a", False), ("bcd", True), ("ef", False))),
        ([Span(start=7, end=9)], (("abcdef", False),)),
    ],
)
def test_marked_pieces_make_up_the_text(spans: list[Span], expected: tuple[tuple[str, bool], ...]) -> None:
    pieces = mark_spans("abcdef", spans)
    assert pieces == expected
    assert "".join(part for part, _ in pieces) == "abcdef"


def test_a_run_without_answers_has_no_such_section() -> None:
    assert explanations_section(RunArtifacts()) is None


def test_a_judges_scores_stand_beside_what_is_known_of_its_agreement_with_people() -> None:
    judge = JudgeSummary(model="m", rubric="1", samples=1, temperature=0.0, verdicts=2, failed={"timeout": 1})
    scores = ScoreFile(
        form="instruction",
        source={},
        resampling=Resampling(resamples=10),
        sets={},
        missing=(),
        missing_reasons={},
        explanation_metrics={
            "DR": SetExplanationScores(
                rows=3, columns={"judge_overall": ColumnScore(mean=2.0, interval=None, n=2)}
            )
        },
        judge=judge,
    )
    found = explanations_section(RunArtifacts(scores=scores, tasks=load_tasks()))
    assert found is not None
    table, agreement, calls = found.blocks
    assert isinstance(table, TableBlock)
    assert "judge: overall" in table.header
    assert agreement == Paragraph(f"llm_judge (m): {AGREEMENT_UNKNOWN}.")
    assert calls == Paragraph("llm_judge: of 3 calls, 1 failed.")
