"""lm-evaluation-harness and Inspect score the same answers as `mentallama evaluate`, to the digit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mentallama.answers.format import label_sentence
from mentallama.answers.parse import read_answer
from mentallama.errors import DataError, UsageError
from mentallama.evaluate.join_predictions import join_predictions
from mentallama.evaluate.prediction_source import analyst_predictions
from mentallama.evaluate.scores import compute_scores
from mentallama.export import export
from mentallama.export.evaluation import ExportedTasks
from mentallama.export.lm_eval import LmEvalFunctions
from mentallama.export.source import ExportSource
from mentallama.files.record_files import read_records, write_records
from mentallama.records import FORMS, Example, Form, Post, Prediction, example_of
from mentallama.run_files import POSTS_PATH
from mentallama.tasks import load_tasks, write_query
from tests.factories.check_cases import post_of
from tests.factories.export_run import AUTHOR, COUNTS, make_posts, make_run
from tests.factories.export_tools import needs_tools, run_script

Answers = dict[str, tuple[str, str]]
"""Example -> answer, and the reason why the model stopped."""

REFUSAL = "I'm sorry, but I can't provide a diagnosis."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a third set of nine labels, so that labels are missed and only predicted."""
    folder = tmp_path_factory.mktemp("run")
    labels = ("work", "work", "school", "family issues", "work", "health issues")
    texts = [f"Ticket {number} says: the printer is {label}-coloured." for number, label in enumerate(labels)]
    sad = [
        post_of("SAD", text, {"cause": label}, "test", number)
        for number, (text, label) in enumerate(zip(texts, labels, strict=True))
    ]
    make_run(folder)
    write_records(folder / POSTS_PATH, [*make_posts(), *sad])
    return folder


def labelled_test_examples(run: Path, form: Form) -> list[Example]:
    return [
        example_of(post, question, form)
        for post in read_records(run / POSTS_PATH, Post)
        if post.split == "test"
        for question in post.labels
    ]


def labelled_test_queries(run: Path, form: Form) -> list[str]:
    tasks = load_tasks()
    return [
        write_query(tasks[example.task], example.question, form, example.text).rstrip()
        for example in labelled_test_examples(run, form)
    ]


def make_answers(examples: list[Example], form: Form) -> Answers:
    """Answers of every kind, in turn: right, wrong, in free words, two labels, refused, breaking off, cut."""
    tasks, answers = load_tasks(), {}
    for number, example in enumerate(examples):
        labels = list(tasks[example.task].labels)
        right = label_sentence(tasks[example.task], example.label or "", form)
        wrong = label_sentence(
            tasks[example.task], labels[(labels.index(example.label or "") + 1) % len(labels)], form
        )
        kinds = [
            (f"{right} Reasoning: it says so.", "stop"),
            (f"{wrong} Reasoning: it says so.", "stop"),
            (f"**Answer:** {right}", "stop"),
            (f"Either “{right}” or “{wrong}”, who knows.", "stop"),
            (REFUSAL, "stop"),
            ("This post shows", "stop"),
            ("Hard to tell from so little.", "stop"),
        ]
        answers[example.id] = kinds[number % len(kinds)]
    return answers


def our_scores(run: Path, answers: Answers, form: Form, folder: Path) -> dict[str, dict[str, float]]:
    """The metrics of `evaluate` for these answers."""
    tasks = load_tasks()
    examples = labelled_test_examples(run, form)
    predictions = [
        Prediction(
            example_id=example.id,
            reading=read_answer(tasks[example.task], answers[example.id][0], form, answers[example.id][1]),
            model="fixed",
        )
        for example in examples
    ]
    statuses = {prediction.reading.status for prediction in predictions}
    assert statuses == {"parsed", "unparsed", "refused", "truncated"}
    write_records(folder / "predictions.jsonl.zst", predictions)
    source = analyst_predictions(folder / "predictions.jsonl.zst")
    joined = join_predictions(run / POSTS_PATH, source, form, tasks)
    return {name: compute_scores(rows, tasks[name]).metrics for name, rows in joined.rows.items()}


def write_answers(answers: Answers, folder: Path) -> Path:
    path = folder / "answers.json"
    path.write_text(json.dumps(answers), encoding="utf-8")
    return path


def exported(format_name: str, run: Path, out: Path, form: Form = "instruction") -> Path:
    export(format_name, ExportSource(run, load_tasks(), form), out)
    return out


@needs_tools
@pytest.mark.parametrize("form", FORMS)
def test_the_harness_scores_as_evaluate_does(run: Path, tmp_path: Path, form: Form) -> None:
    answers = make_answers(labelled_test_examples(run, form), form)
    ours = our_scores(run, answers, form, tmp_path)
    out = exported("lm-eval", run, tmp_path / "out", form)
    files = (out, write_answers(answers, tmp_path), "CLP")
    theirs = run_script("score_with_lm_eval.py", *files, home=tmp_path / "home")
    assert theirs["scores"] == ours
    example, _, prompt = theirs["few_shot"].rpartition("\n\n")
    assert prompt == labelled_test_queries(run, form)[0]
    shown = {f"{row['prompt']} {row['answer']}" for row in LmEvalFunctions(out).load_rows("CLP")["train"]}
    assert example in shown
    assert len(shown) == COUNTS["train"]
    assert set(ours) == {"CLP", "Irf", "SAD"}
    assert all(0 < scores["weighted_f1"] < 100 for scores in ours.values())


@needs_tools
def test_inspect_scores_as_evaluate_does(run: Path, tmp_path: Path) -> None:
    examples = labelled_test_examples(run, "instruction")
    answers = make_answers(examples, "instruction")
    first = examples[0].id
    answers[first] = (answers[first][0], "max_tokens")  # a right answer of which the end is missing
    ours = our_scores(run, answers, "instruction", tmp_path)
    out = exported("inspect", run, tmp_path / "out")
    files = (out, write_answers(answers, tmp_path), tmp_path / "logs")
    assert run_script("score_with_inspect.py", *files, home=tmp_path / "home") == ours


@needs_tools
def test_the_tools_are_run_without_network(tmp_path: Path) -> None:
    outcomes = run_script("reach_out.py", home=tmp_path)
    assert len(outcomes) == 2
    assert all("blocked by the tests" in outcome for outcome in outcomes)


def test_scores_of_four_answers_worked_by_hand(run: Path, tmp_path: Path) -> None:
    """Gold yes, yes, no, no; a hit, a miss without label, a hit, a miss: yes 2/(2+2), no 2/(2+1)."""
    tasks = ExportedTasks(exported("inspect", run, tmp_path / "out"))
    golds, outcomes = ["yes", "yes", "no", "no"], ["yes", "refused", "no", "yes"]
    assert tasks.score("weighted_f1", "CLP", golds, outcomes) == pytest.approx(
        100 * (2 / 4 + 2 / 3) / 2, abs=5e-5
    )
    assert tasks.score("accuracy", "CLP", golds, outcomes) == 50.0
    with pytest.raises(ValueError, match="no rows"):
        tasks.score("accuracy", "CLP", [], [])


def test_an_answer_without_a_label_has_its_status_as_outcome(run: Path, tmp_path: Path) -> None:
    tasks = ExportedTasks(exported("inspect", run, tmp_path / "out"))
    assert tasks.outcome("CLP", "Yes, the poster suffers from depression. Reasoning: x.") == ("yes", "x.")
    assert tasks.outcome("CLP", REFUSAL) == ("refused", "the model declines to answer")
    assert tasks.outcome("CLP", "Yes", "max_tokens")[0] == "truncated"


def test_the_exported_tasks_read_answers_after_the_package_changed_its_own(run: Path, tmp_path: Path) -> None:
    """They are those of the export, of the user's own too."""
    own = tmp_path / "tasks"
    own.mkdir()
    tasks = dict(load_tasks())
    changed = tasks["CLP"].model_copy(update={"title": "another title"})
    out = tmp_path / "out"
    export("lm-eval", ExportSource(run, tasks | {"CLP": changed}), out)
    assert ExportedTasks(out).tasks["CLP"] == changed.model_copy(
        update={"sources": (), "published_rows": None}
    )


def test_a_built_data_set_is_exported_with_its_accepted_rows(run: Path, tmp_path: Path) -> None:
    out = exported("lm-eval", run / "check", tmp_path / "out")
    rows = ExportedTasks(out).rows("CLP", "train")
    assert len(rows) == 6
    assert rows[0]["answer"].startswith("Yes, the poster suffers from depression. Reasoning: The post says")
    assert (
        ExportedTasks(out).rows("CLP", "validation") == []
    )  # the harness asks for few-shot and test rows only
    assert not list(out.rglob("*SAD*"))


def test_no_author_is_exported(run: Path, tmp_path: Path) -> None:
    for name in ("lm-eval", "inspect"):
        out = exported(name, run, tmp_path / name)
        assert all(
            AUTHOR not in path.read_text(encoding="utf-8") for path in out.rglob("*") if path.is_file()
        )


def test_few_shot_examples_are_never_test_posts(tmp_path: Path) -> None:
    posts = make_posts()
    train = next(post for post in posts if post.set == "CLP")
    copy = post_of("CLP", train.text.upper(), {"depression": "yes"}, "test", 99)
    write_records(tmp_path / POSTS_PATH, [*posts, copy])
    with pytest.raises(UsageError, match="test posts of the same set"):
        exported("lm-eval", tmp_path, tmp_path / "out")
    assert (
        exported("inspect", tmp_path, tmp_path / "inspect") / "data/CLP/test.jsonl"
    ).is_file()  # has no examples


def test_a_run_without_labelled_test_posts_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / POSTS_PATH, [post for post in make_posts() if post.split != "test"])
    with pytest.raises(UsageError, match="there are no labelled test posts"):
        exported("inspect", tmp_path, tmp_path / "out")


def test_a_set_without_a_task_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / POSTS_PATH, [post_of("mine", "Some text.", {"mood": "yes"}, "test")])
    with pytest.raises(DataError, match="there is no task named 'mine'"):
        exported("inspect", tmp_path, tmp_path / "out")
