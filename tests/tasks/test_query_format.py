"""Queries: written letter by letter as published, and taken apart again."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mentallama.records import FORMS, Form
from mentallama.tasks import load_tasks, read_query, write_query

TASKS = load_tasks()
ASKED: list[tuple[str, str, Form]] = [
    (name, question, form) for name, task in TASKS.items() for question in task.questions for form in FORMS
]
every_question = pytest.mark.parametrize(("name", "question", "form"), ASKED)


def test_the_published_shapes_letter_by_letter() -> None:
    assert write_query(TASKS["DR"], "depression", "instruction", "The bus is late.") == (
        'Consider this post: "The bus is late." Question: Does the poster suffer from depression?'
    )
    assert write_query(TASKS["SAD"], "cause", "completion", "The bus is late.") == (
        "Post: The bus is late.  Question: This post shows the stress cause of "
    )
    assert write_query(TASKS["Irf"], "perceived burdensomeness", "completion", "Late.") == (
        "Post: Late.  Question: The answer to the question: "
        '"Does the post shows risk of perceived burdensomeness?" is '
    )


@every_question
@given(text=st.text())
@example(text="")
@example(text=" ")
@example(text="two  spaces at the end  ")
@example(text='she said "Question:" and left')
@example(text="Post: a post in a post  Question: why? ")
@example(text='Consider this post: "inside" Question: Does the poster suffer from depression?')
def test_reading_undoes_writing(name: str, question: str, form: Form, text: str) -> None:
    assert read_query(TASKS[name], write_query(TASKS[name], question, form, text), form) == (question, text)


@every_question
def test_a_post_that_quotes_its_own_query_is_read_whole(name: str, question: str, form: Form) -> None:
    task = TASKS[name]
    text = write_query(task, question, form, "I read this:") + " and laughed"
    assert read_query(task, write_query(task, question, form, text), form) == (question, text)


def test_one_space_before_the_question_is_read_too() -> None:
    query = "Post: The bus is late. Question: This post shows the stress cause of"
    assert read_query(TASKS["SAD"], query, "completion") == ("cause", "The bus is late.")


@pytest.mark.parametrize(
    ("name", "form", "query"),
    [
        ("DR", "instruction", ""),
        ("DR", "instruction", "The bus is late."),
        ("DR", "instruction", 'Consider this post: "Late." Question: Does the poster suffer from stress?'),
        ("DR", "completion", 'Consider this post: "Late." Question: Does the poster suffer from depression?'),
        (
            "DR",
            "instruction",
            'Consider this post: "Late." Question: Does the poster suffer from depression? No.',
        ),
        ("SAD", "completion", "Post: Late.Question: This post shows the stress cause of "),
    ],
)
def test_what_is_no_query_of_the_task_is_refused_without_its_text(name: str, form: Form, query: str) -> None:
    with pytest.raises(ValueError, match=f"^not a query of {name} in {form} form$"):
        read_query(TASKS[name], query, form)
