"""Answers as consoles, logs and data frames show them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pandas
import polars
import pytest

from mentallama.analysts.answer import ANSWER_COLUMNS, Answer, Answers, Quotation, answer_of
from mentallama.errors import UsageError
from mentallama.records import Prediction, Reading
from mentallama.text.clean_post import clean_post
from tests.analysts.test_analyze import TiredAnalyst
from tests.factories.answer_kinds import task_of_kind

POST = "so tired of this"

YES = Answer(
    post=POST,
    task="DR",
    question="depression",
    label="yes",
    probability=2 / 3,
    probabilities={"yes": 2 / 3, "no": 1 / 3},
    status="parsed",
    explanation="It says “tired”.",
    evidence=(Quotation(start=3, end=8, text="tired", weight=0.5),),
    model="m:1",
)
REFUSED = Answer(
    post=POST, task="SAD", question="cause", status="refused", reason="the model declines", model="m:1"
)


def test_consoles_and_logs_show_no_text_of_a_post() -> None:
    assert repr(YES) == "Answer(task='DR', question='depression', label='yes', probability=0.6667)"
    assert str(REFUSED) == "task='SAD' question='cause' status='refused' reason='the model declines'"
    answers = Answers([YES, REFUSED, YES, REFUSED], [0, 0, 1, 1])
    assert repr(answers) == "<Answers: 4 about 2 posts; DR (depression): 2 yes; SAD (cause): 2 refused>"
    assert repr(Answers([YES] * 1234)) == "<Answers: 1,234 about 1,234 posts; DR (depression): 1,234 yes>"
    assert repr(Answers([])) == "<Answers: 0 about 0 posts>"
    assert repr(TiredAnalyst()) == "TiredAnalyst('tired:1')"


def test_quotations_in_a_label_are_shown_by_their_types() -> None:
    label = 'sleep: "up at 4"; sleep: "awake; so \\"tired\\""; low mood: "gone"'
    answer = Answer(post=POST, task="T", question="q", label=label, status="parsed", model="m")
    assert repr(answer) == "Answer(task='T', question='q', label='sleep; low mood')"
    assert repr(Answers([answer])) == "<Answers: 1 about 1 post; T (q): 1 sleep; low mood>"


@pytest.mark.parametrize("kind", ["ordinal", "multi"])
def test_only_a_single_decision_has_the_probability_of_its_label(kind: str) -> None:
    label = "mild" if kind == "ordinal" else "sleep"
    prediction = Prediction(
        example_id="e", reading=Reading(status="parsed", label=label), probabilities={label: 0.7}, model="m"
    )
    task = task_of_kind(kind)
    answer = answer_of(clean_post(POST), (task.set, "about"), prediction, "m", task)
    assert answer.probability == (0.7 if kind == "ordinal" else None)
    assert answer.probabilities == {label: 0.7}


def test_a_label_of_several_parts_is_read_as_a_value_and_a_scale_is_summed() -> None:
    values = {
        "ordinal": ("mild", "mild"),
        "multi": ("sleep; low mood", ("sleep", "low mood")),
        "spans": ('sleep: "up at 4"', (("sleep", "up at 4"),)),
        "scale": ("energy: several days", {"energy": "several days"}),
    }
    for kind, (label, value) in values.items():
        task = task_of_kind(kind)
        reading = Reading(status="parsed", label=label)
        prediction = Prediction(example_id="e", reading=reading, model="m")
        answer = answer_of(clean_post(POST), (task.set, "about"), prediction, "m", task)
        assert (answer.kind, answer.value, answer.total) == (kind, value, None)
    filled = Reading(status="parsed", label="sleep: several days; energy: several days")
    task = task_of_kind("scale", bands={"low": 0, "high": 2})
    prediction = Prediction(example_id="e", reading=filled, model="m")
    answers = Answers([answer_of(clean_post(POST), (task.set, "about"), prediction, "m", task)])
    assert (answers[0].total, answers[0].band) == (2, "high")
    frame = answers.to_frame()
    assert (frame["total"].tolist(), frame["band"].tolist()) == ([2], ["high"])
    assert Answer(post="", task="t", question="q", status="skipped", reason="empty", model="m").value is None


def test_a_slice_is_answers_too() -> None:
    part = Answers([YES, REFUSED, YES], [0, 0, 1])[1:]
    assert list(part) == [REFUSED, YES]
    assert repr(part).startswith("<Answers: 2 about 2 posts;")


def test_a_frame_has_a_row_per_answer() -> None:
    frame = Answers([YES, REFUSED], [0, 0]).to_frame()
    assert list(frame.columns) == ["post", *ANSWER_COLUMNS]
    assert frame["label"].tolist()[0] == "yes"
    assert frame.isna().loc[:, ["label", "probability", "reason"]].to_numpy().tolist() == [
        [False, False, True],
        [True, True, False],
    ]
    assert frame["probability"].dtype == "float64"
    assert frame["probabilities"].tolist() == [{"yes": 2 / 3, "no": 1 / 3}, {}]
    assert frame["evidence"].tolist() == [[{"start": 3, "end": 8, "text": "tired", "weight": 0.5}], []]
    assert frame.index.tolist() == [0, 0]


def test_a_frame_of_polars_has_the_same_columns() -> None:
    frame = Answers([YES, REFUSED]).to_frame("polars")
    assert frame.columns == ["post", *ANSWER_COLUMNS]
    assert frame["label"].to_list() == ["yes", None]
    assert frame["probability"].to_list() == [2 / 3, None]
    assert frame["probabilities"].struct.field("no").to_list() == [1 / 3, None]
    assert frame["evidence"].list.len().to_list() == [1, 0]
    assert (frame.schema["reason"], frame.schema["probability"]) == (polars.String, polars.Float64)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_half_a_surrogate_pair_does_not_keep_the_others_from_a_frame(library: Any) -> None:
    half = Quotation(start=0, end=1, text="\ud83d")
    cut = YES.model_copy(update={"post": "\ud83d so tired", "evidence": (half,)})
    frame = Answers([cut, YES]).to_frame(library)
    assert list(frame["post"]) == ["\ufffd so tired", YES.post]
    assert frame["evidence"][0][0]["text"] == "\ufffd"


@pytest.mark.parametrize("posts", [b"tired", None, 7])
def test_what_holds_no_texts_is_named_by_its_type(posts: Any) -> None:
    with pytest.raises(
        UsageError, match=rf"posts are a text or a list of texts, not of type {type(posts).__name__}"
    ):
        TiredAnalyst().analyze(posts, task="DR")


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_without_answers_has_all_columns(library: Any) -> None:
    frame = Answers([]).to_frame(library)
    assert list(frame.columns) == ["post", *ANSWER_COLUMNS]
    assert len(frame) == 0


def test_answers_keep_the_index_of_a_series() -> None:
    table = pandas.DataFrame({"body": ["so tired", "fine"]}, index=pandas.Index(["p7", "p3"], name="id"))
    one = TiredAnalyst().analyze(table["body"], task="DR").to_frame()
    joined = table.join(one[["label", "probability"]])
    assert joined["label"].to_dict() == {"p7": "yes", "p3": "no"}
    assert one.index.name == "id"
    several = TiredAnalyst().analyze(table["body"], task=["DR", "dreaddit"])
    assert several.to_frame().index.tolist() == ["p7", "p7", "p3", "p3"]
    assert several[1:3].to_frame().index.tolist() == ["p7", "p3"]
    assert len(table.join(several.to_frame())) == 4


def test_other_posts_are_numbered() -> None:
    posts = polars.Series(["so tired", None, "fine"])
    answers = TiredAnalyst().analyze(posts, task="DR")
    assert [answer.status for answer in answers] == ["parsed", "skipped", "parsed"]
    assert answers.to_frame().index.tolist() == [0, 1, 2]
    assert TiredAnalyst().analyze(iter(["a", "b"]), ["DR", "SAD"]).to_frame().index.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "table",
    [
        pandas.DataFrame({"body": ["tired"]}),
        polars.DataFrame({"body": ["tired"]}),
        polars.LazyFrame({"body": ["tired"]}),
        {"body": "tired"},
    ],
    ids=lambda table: f"{type(table).__module__}.{type(table).__name__}",
)
def test_a_table_is_no_list_of_posts(table: Any) -> None:
    analyst = TiredAnalyst()
    with pytest.raises(UsageError, match=r"posts are a list of texts, not a \w+; pass a column of it"):
        analyst.analyze(table, task="DR")
    assert analyst.asked == []


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(UsageError, match=r"needs polars, which is not installed: pip install polars; or use"):
        Answers([YES]).to_frame("polars")
    with pytest.raises(UsageError, match="there are 'pandas' and 'polars'"):
        Answers([YES]).to_frame("arrow")  # type: ignore[call-overload]


def test_neither_library_is_loaded_before_it_is_asked_for() -> None:
    code = "import sys, mentallama.analysts.answer; print({'pandas', 'polars', 'jinja2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
