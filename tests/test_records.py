"""Records: frozen, strict, and ids that are the same everywhere and for ever."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from mentallama.errors import DataError, MentallamaError, TooManyRejectsError, UsageError
from mentallama.records import Post, Provenance, Span, example_of, stable_id

POST = Post(
    id="p1",
    set="DR",
    split="test",
    text="The tram was late.",
    labels={"depression": "no"},
    provenance=Provenance(file="a.csv", row=2, origin="table"),
)


def test_ids_do_not_change_from_version_to_version() -> None:
    # printf '\\0\\0\\0\\2DR\\0\\0\\0\\4test\\0\\0\\0\\11some text' | b2sum -l 64
    assert stable_id("DR", "test", "some text") == "ae34d2a93563195c"
    assert stable_id() == "e4a6a0577479b2b4"  # BLAKE2b-64 of nothing


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_only_equal_parts_have_equal_ids(left: list[str], right: list[str]) -> None:
    assert (stable_id(*left) == stable_id(*right)) == (left == right)


def test_half_a_character_has_an_id_too() -> None:
    assert stable_id("\ud83d") != stable_id("\ud83e")


def test_a_record_cannot_be_changed_and_takes_no_unknown_field() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        POST.text = "other"
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Span(start=0, end=3, note="x")  # type: ignore[call-arg]


def test_a_span_does_not_start_before_the_text() -> None:
    with pytest.raises(ValidationError):
        Span(start=-1, end=3)


def test_an_example_takes_its_label_from_the_post_and_an_id_from_question_and_form() -> None:
    example = example_of(POST, "depression", "instruction", response="No.")
    assert (example.post_id, example.task, example.label, example.response) == ("p1", "DR", "no", "No.")
    other, unasked = example_of(POST, "depression", "completion"), example_of(POST, "x", "instruction")
    assert len({example.id, other.id, unasked.id}) == 3
    assert unasked.label is None


def test_an_error_says_where_and_survives_the_way_from_a_worker_process() -> None:
    fault = pickle.loads(pickle.dumps(DataError("no header", "a.csv", 7)))
    assert (str(fault), fault.file, fault.row) == ("a.csv, row 7: no header", "a.csv", 7)
    assert str(DataError("empty", "a.csv")) == "a.csv: empty"
    assert isinstance(fault, MentallamaError)


def test_exit_codes_are_those_of_the_design() -> None:
    assert [kind.exit_code for kind in (MentallamaError, DataError, UsageError, TooManyRejectsError)] == [
        1,
        1,
        2,
        3,
    ]
