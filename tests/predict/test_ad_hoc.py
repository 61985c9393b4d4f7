"""Predicting without a recipe: any model on any posts; what the folder holds, resumes, refuses and is scored by."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.analysts.checkpoints.metadata import ModelMetadata, model_query_form, write_model_metadata
from mentallama.answers.format import write_answer
from mentallama.cli import app as cli
from mentallama.config import Predict, read_recipe
from mentallama.erasure.erase import erase
from mentallama.errors import DataError, UsageError
from mentallama.evaluate.run import evaluate_responses
from mentallama.files.imhi_release import release_path
from mentallama.files.manifest import read_manifest
from mentallama.files.record_files import read_records, table_writer, write_records
from mentallama.pipeline.runner import run_recipe
from mentallama.predict.ad_hoc import PredictCommand, parse_options, predict_ad_hoc
from mentallama.predict.imhi_output import answer_text
from mentallama.predict.questions import QuestionRow
from mentallama.predict.stage import PredictJob
from mentallama.records import FORMS, Form, Post, Prediction, Reading, example_of
from mentallama.run_files import QUESTIONS_FILE
from mentallama.tasks import load_tasks, write_query
from tests.factories.endpoint_server import Plan, serving
from tests.factories.linear_cases import make_post
from tests.factories.project import ROOT

TASKS = load_tasks()
TEXTS = [
    "A made-up walk in the rain.",
    'She said "so", and\nleft; a back\\slash, too.',
    "Tea, again.",
    "Nothing to add.",
]


def golden(name: str, question: str, number: int, form: Form) -> str:
    labels = list(TASKS[name].labels)
    return write_answer(
        TASKS[name], question, labels[number % len(labels)], f"Reason “{number}”, with a comma.", form
    )


def make_release(root: Path, form: Form, names: tuple[str, ...] = ("DR", "SAD", "MultiWD")) -> None:
    """Four texts a set, each with all the set's questions; the first row comes twice."""
    for name in names:
        task = TASKS[name]
        rows = [
            (write_query(task, question, form, text), golden(name, question, number, form))
            for number, text in enumerate(TEXTS)
            for question in task.questions
        ]
        with table_writer(root / release_path(name, "test", form), ("query", "gpt-3.5-turbo")) as write:
            for row in [rows[0], *rows]:
                write(row)


def script(path: Path, lines: list[dict[str, str]]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return f"scripted:{path}"


def says(form: Form, choice: int = 0) -> list[dict[str, str]]:
    """One answer to each question there is."""
    return [
        {"task": name, "question": question, "text": golden(name, question, choice, form)}
        for name, task in TASKS.items()
        for question in task.questions
    ]


def order(spec: str, data: Path, **terms: Any) -> PredictCommand:
    settings = {key: terms.pop(key) for key in list(terms) if key in Predict.model_fields}
    job = PredictJob(spec, parse_options(settings), TASKS, terms.pop("ray", None))
    return PredictCommand(job, data, **terms)


def predictions(folder: Path) -> dict[str, Prediction]:
    return {each.example_id: each for each in read_records(folder / "predictions.jsonl.zst", Prediction)}


def asked(folder: Path) -> list[QuestionRow]:
    return list(read_records(folder / QUESTIONS_FILE, QuestionRow))


def table(path: Path) -> list[list[str]]:
    return list(csv.reader(path.open(encoding="utf-8", newline="")))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    made = [
        make_post("DR", "test", TEXTS[0], {"depression": "yes"}),
        make_post("SAD", "test", TEXTS[1], {"cause": "work"}),
        make_post("SAD", "train", TEXTS[2], {"cause": "school"}),
        make_post("SAD", "test", TEXTS[3], {}),
    ]
    write_records(tmp_path / "posts.jsonl.zst", made)
    return tmp_path / "posts.jsonl.zst"


# --- what is asked and written ------------------------------------------------------------------------


def test_a_file_of_posts(posts: Path, tmp_path: Path) -> None:
    messages: list[str] = []
    spec = script(tmp_path / "s.jsonl", says("instruction"))
    summary = predict_ad_hoc(order(spec, posts), tmp_path / "out", messages.append)
    rows = asked(tmp_path / "out")
    assert [(row.task, row.question) for row in rows] == [("DR", "depression"), ("SAD", "cause")]
    assert [row.example_id for row in rows] == list(predictions(tmp_path / "out"))
    assert (summary.posts, summary.answers) == (3, {"parsed": 2})
    assert sorted(contents(tmp_path / "out")) == [
        ".lock", "manifest.json", "predictions.jsonl.zst", "questions.jsonl.zst", "summary.json",
    ]  # fmt: skip
    assert not any(text in str(contents(tmp_path / "out")) for text in TEXTS)
    assert messages[0].startswith("predict: done in ")


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"sets": ("SAD",)}, {("SAD", "cause"): 1}),
        ({"splits": ["train", "test"]}, {("SAD", "cause"): 2, ("DR", "depression"): 1}),
        ({"splits": ["train"], "sets": ("SAD",)}, {("SAD", "cause"): 1}),
    ],
)
def test_splits_and_sets(
    terms: dict[str, Any], expected: dict[Any, int], posts: Path, tmp_path: Path
) -> None:
    predict_ad_hoc(
        order(script(tmp_path / "s.jsonl", says("instruction")), posts, **terms), tmp_path / "out", print
    )
    assert Counter((row.task, row.question) for row in asked(tmp_path / "out")) == expected


def test_all_questions_of_all_tasks(posts: Path, tmp_path: Path) -> None:
    spec = script(tmp_path / "s.jsonl", says("instruction"))
    summary = predict_ad_hoc(order(spec, posts, all_questions=True), tmp_path / "out", print)
    everything = {(name, question) for name, task in TASKS.items() for question in task.questions}
    assert Counter((row.task, row.question) for row in asked(tmp_path / "out")) == dict.fromkeys(
        everything, 3
    )
    assert summary.answers == {"parsed": 3 * len(everything)}


def test_a_runs_folder(posts: Path, tmp_path: Path) -> None:
    (tmp_path / "run/collect").mkdir(parents=True)
    posts.rename(tmp_path / "run/collect/posts.jsonl.zst")
    summary = predict_ad_hoc(
        order(script(tmp_path / "s.jsonl", says("instruction")), tmp_path / "run"), tmp_path / "out", print
    )
    assert summary.answers == {"parsed": 2}


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("form", FORMS)
def test_the_release_is_answered_in_its_rows_order_and_scored(
    form: Form, inside: bool, tmp_path: Path
) -> None:
    """The scripted model always gives a set's first label: every golden of that label is a hit."""
    make_release(tmp_path / "data/release", form)
    data, out = tmp_path / "data" / ("release" if inside else ""), tmp_path / "out"
    spec = script(tmp_path / "s.jsonl", says(form))
    summary = predict_ad_hoc(order(spec, data, form=form), out, print)
    assert summary.posts == 12
    assert summary.answers == {"parsed": 4 + 4 + 24}
    for name in ("DR", "SAD", "MultiWD"):
        published = [
            row[1] for row in table(tmp_path / "data/release" / release_path(name, "test", form))[1:]
        ]
        columns, *rows = table(out / f"responses/{name}.csv")
        assert columns == ["goldens", "generated_text"]
        assert [row[0] for row in rows] == published
    scores = evaluate_responses(data, form, out / "responses", tmp_path / "scores")
    assert {name: each.accuracy for name, each in scores.sets.items()} == {
        "DR": pytest.approx(100 * 3 / 5), "SAD": pytest.approx(100 * 2 / 5), "MultiWD": pytest.approx(100 * 13 / 25),
    }  # fmt: skip


def test_release_posts_are_repaired_scrubbed_and_known_as_made_up_where_they_are(tmp_path: Path) -> None:
    task = TASKS["DR"]
    text = "Write to someone@example.org, I canâ€™t."
    with table_writer(
        tmp_path / release_path("DR", "test", "instruction"), ("query", "gpt-3.5-turbo")
    ) as write:
        write(
            (
                write_query(task, "depression", "instruction", text),
                golden("DR", "depression", 0, "instruction"),
            )
        )
        write(
            (
                write_query(task, "depression", "instruction", "  "),
                golden("DR", "depression", 0, "instruction"),
            )
        )
    with serving(Plan(reply=lambda _: golden("DR", "depression", 1, "instruction"))) as server:
        spec = f"remote:test-model@{server.url}"
        with pytest.raises(
            UsageError, match=r"posts of DR were given under an agreement .* pass --allow-remote DR if"
        ):
            predict_ad_hoc(order(spec, tmp_path, mode="free"), tmp_path / "out", print)
        assert not server.bodies
        messages: list[str] = []
        predict_ad_hoc(
            order(spec, tmp_path, mode="free", allow_remote=["DR"]), tmp_path / "out", messages.append
        )
        (body,) = server.bodies
    sent = body["messages"][0]["content"]
    assert "can't" in sent.replace("’", "'")
    assert "example.org" not in sent
    assert [row[1] for row in table(tmp_path / "out/responses/DR.csv")[1:]] == [
        golden("DR", "depression", 1, "instruction"), "",
    ]  # fmt: skip
    assert "note: predict: no answer to 1 row without a post (empty or damaged text)" in messages


def test_made_up_posts_and_sets_without_an_agreement_may_be_sent(posts: Path, tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: "No.")) as server:
        summary = predict_ad_hoc(
            order(f"remote:test-model@{server.url}", posts, mode="free"), tmp_path / "out", print
        )
    assert sum(summary.answers.values()) == 2


def test_all_questions_of_a_real_post_are_refused_by_its_own_set(posts: Path, tmp_path: Path) -> None:
    real = [
        post.model_copy(update={"provenance": post.provenance.model_copy(update={"synthetic": False})})
        for post in read_records(posts, Post)
    ]
    write_records(posts, real[1:])  # SAD alone, but DR's question is asked of it too
    with serving(Plan(reply=lambda _: "No.")) as server:
        spec = f"remote:test-model@{server.url}"
        predict_ad_hoc(order(spec, posts, mode="free", all_questions=True), tmp_path / "out", print)
        write_records(posts, real)
        with pytest.raises(UsageError, match="posts of DR were given under an agreement"):
            predict_ad_hoc(order(spec, posts, mode="free", all_questions=True), tmp_path / "other", print)


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        (
            Reading(status="parsed", label="no", explanation="So."),
            "No, the poster does not suffer from depression. Reasoning: So.",
        ),
        (Reading(status="parsed", label="yes"), "Yes, the poster suffers from depression. Reasoning:"),
        (Reading(status="unparsed", reason="names no label"), ""),
        (Reading(status="unparsed", explanation="Who knows.", reason="names no label"), "Who knows."),
        (Reading(status="truncated", explanation="Yes, the poster suffers from depression.", reason="length"), ""),
    ],
)  # fmt: skip
def test_answers_as_text_say_what_was_predicted(reading: Reading, text: str) -> None:
    made = Prediction(example_id="e", reading=reading, model="m")
    assert answer_text(made, TASKS["DR"], "depression", "instruction") == text


# --- resuming and refusing ----------------------------------------------------------------------------


def test_the_same_command_is_up_to_date_and_another_is_refused(posts: Path, tmp_path: Path) -> None:
    spec, out = script(tmp_path / "s.jsonl", says("instruction")), tmp_path / "out"
    predict_ad_hoc(order(spec, posts), out, print)
    before, messages = contents(out), list[str]()
    predict_ad_hoc(order(spec, posts, max_concurrency=3, max_batch_tokens=100), out, messages.append)
    assert (messages, contents(out)) == (["predict: up to date"], before)
    for terms in ({"sets": ("SAD",)}, {"mode": "free"}, {"form": "completion"}):
        with pytest.raises(
            UsageError, match="holds results of another model, other data, settings or versions"
        ):
            predict_ad_hoc(order(spec, posts, **terms), out, print)
    script(tmp_path / "s.jsonl", says("instruction", 1))
    with pytest.raises(UsageError, match="holds results of another model"):
        predict_ad_hoc(order(spec, posts), out, print)
    assert contents(out) == before


def test_damaged_results_are_made_again(posts: Path, tmp_path: Path) -> None:
    spec, out = script(tmp_path / "s.jsonl", says("instruction")), tmp_path / "out"
    predict_ad_hoc(order(spec, posts), out, print)
    before = contents(out)
    os.truncate(out / "predictions.jsonl.zst", 30)
    predict_ad_hoc(order(spec, posts), out, print)
    assert {name: raw for name, raw in contents(out).items() if name != "manifest.json"} == {
        name: raw for name, raw in before.items() if name != "manifest.json"
    }


def test_a_folder_with_other_things_is_refused(posts: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("x")
    with pytest.raises(
        UsageError, match=r"contains other files, such as thesis.tex; choose another with --out"
    ):
        predict_ad_hoc(
            order(script(tmp_path / "s.jsonl", says("instruction")), posts), tmp_path / "out", print
        )


@pytest.mark.parametrize(
    "name", ["predictions.jsonl.zst", "summary.json", "responses/DR.csv", "manifest.json"]
)
def test_files_of_others_with_our_names_are_not_replaced(name: str, posts: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "out" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    with pytest.raises(UsageError, match="contains other files"):
        predict_ad_hoc(
            order(script(tmp_path / "s.jsonl", says("instruction")), posts), tmp_path / "out", print
        )
    assert theirs.read_text() == "theirs"


def test_what_was_answered_before_a_fault_is_kept_for_the_same_model_only(
    posts: Path, tmp_path: Path
) -> None:
    """The second question has no scripted answer at first."""
    out, full = tmp_path / "out", says("instruction")
    spec = script(tmp_path / "s.jsonl", [line for line in full if line["task"] == "DR"])
    with pytest.raises(UsageError, match="no answer is scripted"):
        predict_ad_hoc(order(spec, posts), out, print)
    (journal,) = out.glob("predicted-*.part.jsonl")
    assert journal.read_text().count("\n") == 1
    assert read_manifest(out) is None
    script(tmp_path / "s.jsonl", says("instruction", 1))  # another model now
    predict_ad_hoc(order(spec, posts), out, print)
    assert {each.reading.label for each in predictions(out).values()} == {list(TASKS["SAD"].labels)[1], "no"}
    assert not list(out.glob("predicted-*"))


def start(posts: Path, folder: Path) -> subprocess.Popen[bytes]:
    names = (posts, folder / "out", folder / "part.jsonl", folder / "log")
    return subprocess.Popen(
        [sys.executable, "-m", "tests.factories.slow_predict", *map(str, names)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
    )


def wait_until(reached: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not reached():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)


def test_kill_9_costs_no_more_than_the_question_at_hand(tmp_path: Path) -> None:
    """120 answers, killed twice: what is answered a second time is what was being answered."""
    made = [make_post("DR", "test", f"text {number}", {"depression": "no"}) for number in range(120)]
    write_records(tmp_path / "posts.jsonl.zst", made)
    log = tmp_path / "log"
    log.touch()
    for kills in range(2):
        process = start(tmp_path / "posts.jsonl.zst", tmp_path)
        wait_until(lambda: log.read_bytes().count(b"\n") >= 40 * (kills + 1), process)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(tmp_path / "posts.jsonl.zst", tmp_path).wait() == 0
    counts = Counter(log.read_text().split())
    expected = [example_of(post, "depression", "instruction").id for post in made]
    assert list(predictions(tmp_path / "out")) == expected
    assert set(counts) == set(expected)
    assert counts.total() <= 120 + 2


# --- forgetting ---------------------------------------------------------------------------------------


def test_a_person_is_forgotten_in_a_folder_of_predictions(posts: Path, tmp_path: Path) -> None:
    spec, out = script(tmp_path / "s.jsonl", says("instruction")), tmp_path / "out"
    predict_ad_hoc(order(spec, posts, all_questions=True), out, print)
    wanted = next(read_records(posts, Post)).id
    before = predictions(out)
    removed = erase(out, wanted)
    about = len([1 for task in TASKS.values() for _ in task.questions])
    assert removed.removed_rows == {"predictions.jsonl.zst": about, "questions.jsonl.zst": about}
    assert len(predictions(out)) == len(before) - about
    assert wanted not in {row.post_id for row in asked(out)}


def test_a_person_is_forgotten_in_the_journal_of_a_run(posts: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "collect").mkdir(parents=True)
    posts.rename(run / "collect/posts.jsonl.zst")
    first, second, *_ = read_records(run / "collect/posts.jsonl.zst", Post)
    ids = [example_of(first, "depression", "instruction").id, example_of(second, "cause", "instruction").id]
    made = [
        Prediction(example_id=each, reading=Reading(status="parsed", label="no"), model="m") for each in ids
    ]
    write_records(run / "predicted-0123456789abcdef.part.jsonl", made)
    removed = erase(run, first.id)
    assert removed.removed_rows["predicted-0123456789abcdef.part.jsonl"] == 1
    left = read_records(run / "predicted-0123456789abcdef.part.jsonl", Prediction)
    assert [each.example_id for each in left] == ids[1:]


def test_an_erased_person_does_not_come_back(posts: Path, tmp_path: Path) -> None:
    command = order(script(tmp_path / "s.jsonl", says("instruction")), posts, all_questions=True)
    predict_ad_hoc(command, tmp_path / "out", print)
    wanted = next(read_records(posts, Post)).id
    erase(tmp_path / "out", wanted)
    left = predictions(tmp_path / "out")
    predict_ad_hoc(command, tmp_path / "out", print)
    assert predictions(tmp_path / "out") == left
    assert wanted not in {row.post_id for row in asked(tmp_path / "out")}


def test_an_erased_post_of_the_release_has_an_empty_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_release(tmp_path / "release", "instruction", ("DR",))
    command, out = (
        order(script(tmp_path / "s.jsonl", says("instruction")), tmp_path / "release"),
        tmp_path / "out",
    )
    predict_ad_hoc(command, out, print)
    before = table(out / "responses/DR.csv")
    wanted = asked(out)[0].post_id  # its row comes twice
    erase(out, wanted)
    predict_ad_hoc(command, out, print)
    assert wanted not in {row.post_id for row in asked(out)}
    assert [row[1] for row in table(out / "responses/DR.csv")] == [
        before[0][1], "", "", *(row[1] for row in before[3:])
    ]  # fmt: skip
    assert "no answer to 2 rows without a post (empty, damaged or erased text)" in capsys.readouterr().out


# --- the command line ---------------------------------------------------------------------------------

Told = Callable[..., tuple[int, str]]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Told:
    """The exit code, and what stands on the error stream."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["mentallama", "predict", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(str(ended.value.code)), capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ([], "predict needs a recipe, or all of --model SPEC, --data PATH and --out PATH"),
        (["r.yaml", "--model", "linear:x"], "--model is for predicting without a recipe"),
        (["r.yaml", "--all"], "--all is for predicting without a recipe"),
        (["--mode", "loud"], "--mode: should be 'answer-first' or 'free'"),
        (["--split", "dev"], "--split: should be 'train', 'validation' or 'test'"),
        (["--form", "verse"], "--form verse: there are instruction and completion"),
        (["--sets", "XYZ"], "--sets XYZ: there is no such set; there are"),
        (["--allow-remote", "XYZ"], "--allow-remote XYZ: there is no such set"),
        (["--max-new-tokens", "0"], "--max-new-tokens: should be at least 1"),
        (["--set", "a=b"], "--set is for recipes"),
        (["--model", "magic:x"], "'magic:x' is not a model; write one of linear:"),
        (["--model", "linear:nowhere"], "nowhere: there is no linear model here"),
        (["--data", "nowhere"], "nowhere: there are no posts here; give a table of your own"),
        (["--data", "s.jsonl"], "out: the name of the output says its format: .csv, .tsv, .jsonl"),
        (["--data", "."], "not the published release"),
        (["--split", "validation"], "there are no such posts; choose other splits or sets"),
        (["--sets", "DR", "--split", "train"], "posts.jsonl.zst (train of DR): there are no such posts"),
    ],
)
def test_wrong_use_is_one_sentence(
    options: list[str], sentence: str, told: Told, posts: Path, tmp_path: Path
) -> None:
    spec = script(tmp_path / "s.jsonl", says("instruction"))
    prediction = {"--model": spec, "--data": str(posts), "--out": str(tmp_path / "out")}
    recipe = bool(options) and options[0] == "r.yaml"
    alone = (
        []
        if not options or recipe
        else [x for pair in prediction.items() if pair[0] not in options for x in pair]
    )
    code, err = told(*options, *alone)
    assert (code, err.count("\n")) == (2, 1)
    assert sentence in err


def test_options_reach_the_analyst(told: Told, posts: Path, tmp_path: Path) -> None:
    with serving(Plan(reply=lambda _: "No.")) as server:
        code, _ = told(
            "--model", f"remote:test-model@{server.url}", "--data", posts, "--out", "out", "--sets", "DR", "--sets",
            "SAD", "--mode", "free", "--max-new-tokens", 7, "--split", "train", "--form", "completion",
        )  # fmt: skip
        assert code == 0
        (body,) = server.bodies
    assert body["max_tokens"] == 7
    assert body["messages"][0]["content"].startswith(f"Post: {TEXTS[2]}")


def test_a_model_that_answers_none_of_the_questions(told: Told, posts: Path, sample_model: Path) -> None:
    code, err = told("--model", f"linear:{sample_model}", "--data", posts, "--out", "out", "--sets", "SAD")
    assert code == 2
    assert "has a question that this model supports (they are of SAD)" in err


SAMPLE = ("sets=[DR]", f"data={ROOT / 'sample'}", "jobs=1")


def test_in_a_recipe_the_options_are_changes(told: Told, sample_model: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_model.parent, tmp_path / "run")
    changes = [part for change in SAMPLE for part in ("--set", change)]
    options = ["--mode", "free", "--labels-only", "--max-new-tokens", 9, "--out", "run"]
    assert told(ROOT / "recipes/sample-linear.yaml", *changes, *options)[0] == 0
    manifest = read_manifest(tmp_path / "run/predict")
    assert manifest is not None
    settings = manifest.cache_key["settings"]["predict"]
    assert (settings["mode"], settings["labels_only"], settings["max_new_tokens"]) == ("free", True, 9)
    assert "max_batch_tokens" not in settings
    assert not list((tmp_path / "run").glob("predicted-*"))


@pytest.fixture(scope="module")
def sample_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear model of DR, in its run."""
    folder = tmp_path_factory.mktemp("trained")
    run_recipe(read_recipe(ROOT / "recipes/sample-linear.yaml", SAMPLE), folder, lambda _: None, "train")
    return folder / "train"


def test_the_form_is_the_models_own(tmp_path: Path) -> None:
    file = ModelMetadata(analyst="seq2seq", fingerprint="f", form="completion", max_tokens=9, sets=("DR",))
    write_model_metadata(tmp_path, file, [])
    assert model_query_form(f"seq2seq:{tmp_path}") == "completion"
    assert model_query_form("causal:somebody/model") == "instruction"


def test_a_release_row_that_is_no_query_is_told_by_file_and_row(tmp_path: Path) -> None:
    with table_writer(
        tmp_path / release_path("DR", "test", "instruction"), ("query", "gpt-3.5-turbo")
    ) as write:
        write(("What is this?", "No."))
    with pytest.raises(DataError, match=r"DR.csv, row 2: not a query of DR in instruction form"):
        predict_ad_hoc(order("scripted:x", tmp_path), tmp_path / "out", print)
