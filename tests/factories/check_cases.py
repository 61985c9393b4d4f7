"""Synthetic posts and responses for the tests of check."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mentallama.answers.format import write_answer
from mentallama.check.response_rows import ResponseRow, parse_response
from mentallama.files.record_files import write_records
from mentallama.records import Form, Post, Provenance, Response, Split, example_of
from mentallama.tasks import find_task


def post_of(
    name: str,
    text: str,
    labels: dict[str, str],
    split: Split = "train",
    number: int = 1,
    *,
    synthetic: bool = True,
) -> Post:
    """A post of a set, with an id made of set, split and number."""
    return Post(
        id=f"{name}-{split}-{number}",
        set=name,
        split=split,
        text=text,
        labels=labels,
        provenance=Provenance(file="made-up.csv", row=number + 1, origin="table", synthetic=synthetic),
    )


def answer_to(
    post: Post, question: str, text: str | None = None, *, model: str = "teacher", form: Form = "instruction"
) -> Response:
    """A response to one question; without a text, one that gives the post's own label and a reason."""
    if text is None:
        label = post.labels[question]
        text = write_answer(post.set, question, label, f"The post says “{post.text[:20]}”.", form)
    return Response(example_id=example_of(post, question, form).id, text=text, model=model)


def row_for(
    post: Post, question: str, text: str | None = None, *, model: str = "teacher", form: Form = "instruction"
) -> ResponseRow:
    """A parsed row with one response."""
    response = answer_to(post, question, text, model=model, form=form)
    return parse_response(post, example_of(post, question, form), response, find_task(post.set))


def write_pair(folder: Path, posts: Iterable[Post], responses: Iterable[Response]) -> tuple[Path, Path]:
    """Write both files, as collect does; returns their paths."""
    paths = folder / "posts.jsonl.zst", folder / "responses.jsonl.zst"
    write_records(paths[0], posts)
    write_records(paths[1], responses)
    return paths
