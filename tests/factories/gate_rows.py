"""Rows for the tests of gates: a synthetic post and an explanation of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mentallama.answers.parse import read_answer
from mentallama.check.gate import ResponseCorpus
from mentallama.check.human_review.disagreements import Decisions
from mentallama.check.response_rows import CheckInputs, ResponseRow
from mentallama.files.imhi_release import find_release_files, read_release_file
from mentallama.records import Post, Provenance, Reading, Response, Split, example_of, stable_id
from mentallama.tasks import find_task, load_tasks
from mentallama.text.pii import scrub
from mentallama.text.quote_extraction import extract_quotes
from mentallama.text.repair import repair

POST = "I can’t sleep, and the house is so quiet. Nobody calls me. I have thought about moving back to my mum’s place."


def row(
    explanation: str,
    post: str = POST,
    task: str = "DR",
    label: str = "yes",
    *,
    language: str | None = None,
    author: str | None = None,
    original: str | None = None,
    task_language: str | None = None,
) -> ResponseRow:
    """A row with one explanation of one post, its quotations extracted as in a run."""
    known = find_task(task)
    question = next(iter(known.questions))
    provenance = Provenance(
        file="synthetic.csv", row=2, origin="table", synthetic=True, original_text=original
    )
    about = Post(
        id=stable_id(task, post),
        set=task,
        split="train",
        text=post,
        labels={question: label},
        author=author,
        language=language,
        provenance=provenance,
    )
    example = example_of(about, question, "instruction")
    return ResponseRow(
        post=about,
        task=known.model_copy(update={"language": task_language}) if task_language else known,
        example=example,
        response=Response(example_id=example.id, text=explanation, model="teacher"),
        reading=Reading(status="parsed", label=label, explanation=explanation),
        quotes=extract_quotes("", explanation),
    )


def corpus(rows: Sequence[ResponseRow], folder: Path) -> ResponseCorpus:
    """Rows as a corpus without references, decisions and label reader; `folder` is for scratch data."""
    inputs = CheckInputs(folder / "posts.jsonl.zst", folder / "responses.jsonl.zst")
    return ResponseCorpus(rows, inputs, load_tasks(), Decisions(), None, folder)


def published(data: Path, split: Split) -> Iterator[ResponseRow]:
    """A row for every answer of one split of the release, with its post as `collect` cleans it."""
    tasks = load_tasks()
    for file in find_release_files(data / "release", "instruction", tasks):
        if file.split != split:
            continue
        task = tasks[file.set]
        for line in read_release_file(file, task):
            text, answer = scrub(repair(line.text))[0], repair(line.reference)
            provenance = Provenance(file=file.path.name, row=line.row, origin="release")
            post = Post(
                id=stable_id(file.set, text), set=file.set, split=split, text=text, provenance=provenance
            )
            example = example_of(post, line.question, "instruction")
            reading = read_answer(task, answer)
            response = Response(example_id=example.id, text=answer, model="published")
            yield ResponseRow(
                post, task, example, response, reading, extract_quotes(answer, reading.explanation)
            )
