"""The command line in real processes: one sentence for every error, and its exit code."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import re
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mentallama.answers.format import write_answer
from mentallama.cli import app as cli
from mentallama.collect.readers import Reject
from mentallama.files.record_files import read_records
from mentallama.files.tables import read_table
from mentallama.records import FORMS, Form
from mentallama.safety import NOTICE
from mentallama.tasks import load_tasks, write_query
from mentallama.text.clean_post import MAX_POST_CHARS
from tests.factories.project import ROOT

MARKER = "zebrafish"
"""Stands in every post of these tests, and so in no message."""

CALLED = f"{shlex.quote(sys.executable)} -m mentallama"
"""How `mentallama` below is called."""

Done = subprocess.CompletedProcess[str]
needs_full_device = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")


def mentallama(
    *arguments: object, cwd: Path = ROOT, stdin: bytes = b"", before: Callable[[], None] | None = None
) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "mentallama", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8:strict"},
        input=stdin,
        preexec_fn=before,
        capture_output=True,
        timeout=120,
        check=False,
    )
    texts = (stream.decode("utf-8") for stream in (done.stdout, done.stderr))
    return subprocess.CompletedProcess(done.args, done.returncode, *texts)


Here = Callable[..., Done]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Here:
    """The same command in this process, which is quicker."""

    def run(*arguments: object, cwd: Path) -> Done:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["mentallama", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Done([], int(str(ended.value.code)), *capsys.readouterr())

    return run


def assert_reported(done: Done, code: int, *parts: str) -> None:
    """One sentence on the error stream with all of `parts`, the exit code, and no private text."""
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert MARKER not in done.stderr
    written = done.stderr.replace("note: posts left out: ", "")  # the tables' posts are near copies
    lines = [line for line in written.splitlines() if line.startswith(("mentallama: ", "note: "))]
    assert len(lines) == 1, done.stderr
    sentence = done.stderr[done.stderr.index(lines[0]) :]
    for part in parts:
        assert part in sentence
    assert len(sentence) < 1000


# --- tables --------------------------------------------------------------------------------------------

POSTS = [f"a synthetic {MARKER} post, number {number}, about rain" for number in range(10)]
RECIPE = """\
name: small
data: data
sets: [CLP]
collect:
  validation_share: 0
  tables:
    CLP:
      - file: posts.csv
        columns: {text: post, labels: {depression: label}}
"""


def table(posts: list[str], labels: list[str] | None = None, header: str = "post,label") -> bytes:
    lines = io.StringIO(newline="")
    lines.write(header + "\n")
    csv.writer(lines).writerows(zip(posts, labels or ["yes", "no"] * 5, strict=True))
    return lines.getvalue().encode()


def with_post(text: str) -> bytes:
    return table([*POSTS[:4], text, *POSTS[5:]])


def place(folder: Path, content: bytes, recipe: str = RECIPE) -> Path:
    """A folder with a recipe and its one table."""
    path = folder / "data/sources/CLP/posts.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
    return folder


GOOD = table(POSTS)
UNKNOWN_LABEL = table(POSTS, ["yes", "no", "yes", "perhaps", *["no"] * 6])
HUGE = with_post(f"{MARKER} " * (10_000_000 // len(MARKER)))
NULS = with_post(f"{MARKER}\0\0\0")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        pytest.param(
            table(POSTS, header="body,label"),
            ["posts.csv, row 1: no column 'post'; the columns are 'body', 'label'"],
            id="wrong column",
        ),
        pytest.param(
            GOOD.replace(b"number 4", "numéro 4".encode("latin-1")),
            ["posts.csv: byte 0xe9 in line 6 is not utf-8"],
            id="wrong encoding",
        ),
        pytest.param(GOOD[:-20], ["posts.csv, row 11: ", "truncated"], id="cut inside a quoted cell"),
        pytest.param(GOOD[:-5], ["posts.csv, row 11: the row has 1 cells"], id="cut behind a cell"),
        pytest.param(b"", ["posts.csv: the file is empty"], id="empty file"),
        pytest.param(b"post,label\n", ["posts.csv: the file has a header and no rows"], id="header only"),
        pytest.param(GOOD.replace(b"label", b"post"), ["posts.csv, row 1: two columns"], id="column twice"),
        pytest.param(
            GOOD.partition(b"\n")[2],
            ["posts.csv, row 1: no column"],
            id="no header",
        ),
    ],
)
def test_a_bad_table_is_reported_with_file_and_row(content: bytes, parts: list[str], tmp_path: Path) -> None:
    done = mentallama("run", "recipe.yaml", cwd=place(tmp_path, content))
    assert_reported(done, 1, *parts)
    assert not (tmp_path / "runs/small/collect").exists()


@pytest.mark.parametrize("content", [GOOD, GOOD.decode().encode("utf-16")[:101]], ids=["another", "cut"])
def test_a_table_declared_as_utf_16_that_is_not(content: bytes, tmp_path: Path) -> None:
    place(tmp_path, content, RECIPE + "        encoding: utf-16\n")
    assert_reported(mentallama("run", "recipe.yaml", cwd=tmp_path), 1, "posts.csv")


@pytest.mark.parametrize("allowed", [0.05, 0.1])
@pytest.mark.parametrize(
    ("content", "row", "reason"),
    [
        pytest.param(
            UNKNOWN_LABEL, 5, "'perhaps' in column 'label' is not a label; the labels are yes, no", id="label"
        ),
        pytest.param(HUGE, 6, f"characters; posts have at most {MAX_POST_CHARS:,}", id="10 MB"),
        pytest.param(NULS, 6, "the text contains NUL bytes", id="NUL bytes"),
        pytest.param(with_post(" \t"), 6, "the text is empty", id="blank"),
    ],
)
def test_a_rejected_row_is_reported_and_counts_against_the_allowed_share(
    content: bytes, row: int, reason: str, allowed: float, tmp_path: Path
) -> None:
    place(tmp_path, content)
    command = ("run", "recipe.yaml", "--set", f"collect.allowed_rejects={allowed}")
    done = mentallama(*command, cwd=tmp_path)
    expected = (f"data/sources/CLP/posts.csv, row {row}: ", reason, "1 of 10 rows rejected, 10.00%")
    if allowed < 0.1:
        assert_reported(done, 3, *expected, "the recipe allows 5.00%")
    else:
        assert_reported(done, 0, *expected)
    out = tmp_path / "runs/small/collect"
    (reject,) = read_records(out / "rejects.jsonl", Reject)
    assert (reject.file, reject.row) == ("sources/CLP/posts.csv", row)
    assert reason in reject.reason
    assert MARKER not in (out / "rejects.jsonl").read_text(encoding="utf-8")
    assert json.loads((out / "summary.json").read_text(encoding="utf-8"))["rows_read"] == 10
    again = mentallama(*command, cwd=tmp_path)
    assert "collect: up to date" in again.stderr
    assert again.returncode == done.returncode


# --- recipes and wrong use -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "gone.yaml"], ["gone.yaml: there is no such recipe"]),
        (["run", "data/sources/CLP/posts.csv"], ["posts.csv: not a recipe"]),
        (["run", "recipe.yaml", "--set", "data=gone"], ["gone: there is no such data folder"]),
        (["run", "recipe.yaml", "--set", "data=runs", "--set", "collect.tables={}"], ["runs: neither"]),
        (["run", "recipe.yaml", "--set", "sets=[CLPP]"], ["recipe.yaml: 1 fault", "'CLPP'", "mean CLP?"]),
        (["run", "recipe.yaml", "--set", "data"], ["--set data: write it as key=value"]),
        (["run", "recipe.yaml", "--set", "data=[a"], ["--set data=[a", "not YAML"]),
        (["run", "recipe.yaml", "--set", "tasks=gone"], ["gone: there is no such folder of task files"]),
        (
            ["run", "recipe.yaml", "--set", "collect.tables.CLP=[{file: x.csv, columns: {text: post}}]"],
            ["data/sources/CLP/x.csv: the recipe declares this table for CLP, but there is no such file"],
        ),
        (
            [
                "run", "recipe.yaml", "--set", "colect.seed=1", "--set", "collect.held_out=[DRR]",
                "--set", "collect.validation_share=0.7",
            ],
            [
                "recipe.yaml: 3 faults in the recipe", "colect: no such key; did you mean collect?",
                "held_out: no set is called 'DRR'; did you mean DR?", "validation_share: ",
            ],
        ),
        (["report", "recipe.yaml"], ["the recipe small has no stage report; it has collect"]),
        (["evaluate"], ["evaluate needs a recipe, or all of --benchmark"]),
        (["evaluate", "--benchmark", "data", "--out", "o"], ["evaluate needs a recipe, or all of"]),
        (["evaluate", "recipe.yaml", "--benchmark", "data"], ["not both"]),
        (
            ["evaluate", "--benchmark", "data", "--responses", "reference", "--out", "o", "--form", "sonnet"],
            ["--form sonnet: there are instruction and completion"],
        ),
        (["evaluate", "--benchmark", "gone", "--responses", "reference", "--out", "o"], ["gone: there is no"]),
        (["evaluate", "--benchmark", "data", "--responses", "empty", "--out", "o"], ["data: not the publ"]),
        (["sources", "--data", "gone"], ["gone: there is no such folder; name yours with --data"]),
        (["sources", "--data", "data", "--form", "sonnet"], ["--form sonnet: there are"]),
        (["tasks", "show", "camz"], ["there is no task named 'camz'; did you mean CAMS?", "--tasks"]),
        (["analyze", MARKER], ["there is no trained model in runs/", "--model linear:DIR"]),
        (["analyze", MARKER, "--model", "granite"], ["'granite' is not a model", "linear:…"]),
        (["analyze", MARKER, "--model", "granite:x"], ["'granite:x' is not a model", "linear:…"]),
        (["analyze", MARKER, "--model", "linear:gone"], ["gone: there is no linear model here"]),
        (["analyze", MARKER, "--model", "scripted:gone"], ["gone: there is no such file"]),
        (["analyze", MARKER, "--task", "DR", "--all"], ["give --task SET or --all, not both"]),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, list) else None,
)  # fmt: skip
def test_usage_errors(arguments: list[str], parts: list[str], here: Here, tmp_path: Path) -> None:
    place(tmp_path, GOOD)
    (tmp_path / "runs").mkdir()
    assert_reported(here(*arguments, cwd=tmp_path), 2, *parts)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["colect", "recipe.yaml"], "No such command 'colect'"),
        (["run", "recipe.yaml", "--outt", "x"], "No such option: --outt"),
        (["run"], "Missing argument 'RECIPE'"),
        (["analyze"], "Missing argument 'TEXT'"),
        (["analyze", MARKER, "--model"], "requires an argument"),
    ],
)
def test_unknown_commands_and_options_are_usage_errors(arguments: list[str], part: str) -> None:
    done = mentallama(*arguments)
    assert done.returncode == 2
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert MARKER not in done.stderr


def test_a_date_is_text_and_a_tag_that_asks_for_one_is_reported(tmp_path: Path) -> None:
    folder = place(tmp_path, GOOD)
    assert mentallama("run", "recipe.yaml", "--set", "name=2024-99-99", cwd=folder).returncode == 0
    assert (folder / "runs/2024-99-99/collect/posts.jsonl.zst").is_file()
    done = mentallama("run", "recipe.yaml", "--set", "name=!!timestamp 2024-99-99", cwd=folder)
    assert_reported(done, 2, "--set name=!!timestamp 2024-99-99")


# --- a disk that is full -------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 2, 5])
def test_a_full_disk_is_reported(
    written: int, here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    place(tmp_path, GOOD)
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        assert_reported(here("run", "recipe.yaml", cwd=tmp_path), 1, "No space left on device")
    assert len(calls) == written + 1
    assert not (tmp_path / "runs/small/collect").exists()

    assert here("run", "recipe.yaml", cwd=tmp_path).returncode == 0
    assert (tmp_path / "runs/small/collect/manifest.json").is_file()


def test_a_file_size_limit_is_reported(tmp_path: Path) -> None:
    place(tmp_path, table([post * 60 for post in POSTS]))
    most = 8192
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))  # noqa: E731
    assert_reported(mentallama("run", "recipe.yaml", cwd=tmp_path, before=limit), 1, "File too large")
    assert not (tmp_path / "runs/small/collect").exists()


def test_a_file_in_place_of_the_run_folder_is_reported(tmp_path: Path) -> None:
    place(tmp_path, GOOD)
    assert_reported(
        mentallama("run", "recipe.yaml", "--out", "recipe.yaml", cwd=tmp_path), 1, "recipe.yaml: "
    )


@needs_full_device
def test_unwritable_standard_output() -> None:
    for target, expected in (("/dev/full", "No space left on device"), ("| true", "")):
        script = (
            f'"{sys.executable}" -m mentallama tasks show CAMS {target if "|" in target else f">{target}"}'
        )
        done = subprocess.run(
            ["/bin/sh", "-c", script], env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert expected in done.stderr
        assert done.returncode == (1 if expected else 0)


# --- what needs nothing but the package ----------------------------------------------------------------


def test_help_imports_no_heavy_library() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "mentallama", "--help"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"mentallama", "typer"} <= loaded
    assert loaded & {"numpy", "scipy", "sklearn", "rich", "ftfy", "torch", "aiohttp"} == set()
    assert "never for diagnosis" in done.stdout
    for command in (
        "run",
        "collect",
        "train",
        "predict",
        "evaluate",
        "report",
        "sources",
        "analyze",
        "tasks",
    ):
        assert re.search(rf"^  {command} ", done.stdout, re.MULTILINE)


def test_tasks_are_listed_with_their_labels() -> None:
    done = mentallama("tasks")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(load_tasks())
    for line, task in zip(lines, load_tasks().values(), strict=True):
        assert line.endswith(", ".join(task.labels))


def test_task_names_are_case_insensitive() -> None:
    done = mentallama("tasks", "show", "cams")
    assert done.returncode == 0
    task = load_tasks()["CAMS"]
    for part in (
        "CAMS",
        task.title,
        "What cause of depression does this post show?",
        task.obtain,
        *task.labels,
    ):
        assert part in done.stdout


def test_sources_lists_the_files_found(tmp_path: Path) -> None:
    done = mentallama("sources", "--data", "sample")
    assert done.returncode == 0
    assert re.findall(r"^(\S+): ", done.stdout, re.MULTILINE) == list(load_tasks())
    for name in ("CAMS/added_CAMS_data.csv", "DR/posts.jsonl"):
        rows = sum(1 for _ in read_table(ROOT / "sample/sources" / name, "mac_roman"))
        assert f"sample/sources/{name}: {rows} rows" in done.stdout
    assert done.stdout.endswith(
        "  mentallama run recipes/sample-linear.yaml\n".replace("mentallama", CALLED, 1)
    )

    empty = mentallama("sources", "--data", tmp_path)
    assert empty.returncode == 0
    assert empty.stdout.count("release    not here (train ") == len(load_tasks())
    assert f"{tmp_path}/sources/CAMS/added_CAMS_data.csv: not here" in empty.stdout
    assert empty.stdout.count("agreement  needed") == sum(t.needs_agreement for t in load_tasks().values())
    for task in load_tasks().values():
        assert task.licence in empty.stdout
        assert str(task.obtain) in empty.stdout


def test_sources_names_the_commands_for_what_is_there(tmp_path: Path) -> None:
    nothing = mentallama("sources", cwd=tmp_path)
    assert nothing.returncode == 0
    assert "There is no folder data/ here." in nothing.stdout
    typed = [
        line.strip().removeprefix(f"{CALLED} ") for line in nothing.stdout.splitlines() if CALLED in line
    ]
    assert typed == ["init study", "sources --data data", "run recipes/imhi-linear.yaml --set data=data"]
    place(tmp_path, GOOD)  # a table of CLP, which only a recipe describes
    release = tmp_path / "data/release/test_data/test_instruction"
    release.mkdir(parents=True)
    rows = [
        ("query", "gpt-3.5-turbo"),
        (write_query(load_tasks()["DR"], "depression", "instruction", "x"), "No."),
    ]
    with (release / "DR.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    found = mentallama("sources", cwd=tmp_path)
    assert "release    train 0 of 1,003, validation 0 of 430, test 1 of 405 rows" in found.stdout
    assert "data/sources/CLP/posts.csv: 10 rows" in found.stdout
    command = "run recipes/imhi-linear.yaml --set data=data --set 'sets=[DR]'"
    assert found.stdout.splitlines()[-1] == f"  {CALLED} {command}"


# --- analyze -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `runs/sample-linear/train`, a model of two sets."""
    folder = tmp_path_factory.mktemp("trained")
    changes = [f"data={ROOT / 'sample'}", "sets=[CAMS, DR]", "jobs=1", "collect.allowed_rejects=0.2"]
    changes += ["train.topics=[0]", "train.intercept_shifts=[false]", "train.C=[1.0]"]
    sets = [part for change in changes for part in ("--set", change)]
    done = mentallama("train", ROOT / "recipes/sample-linear.yaml", *sets, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "runs/sample-linear/train\n"
    return folder


TEXT = "I can't sleep 😔😔 and everything feels hopeless since I lost my job, I'm so depressed."


def as_json(done: Done) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_analyze_shows_label_evidence_reason_and_notice(trained: Path) -> None:
    done = mentallama("analyze", TEXT, "--task", "dr", cwd=trained)
    assert done.returncode == 0
    assert (
        done.stderr
        == "model: linear:runs/sample-linear/train, the newest in runs/; name another with --model\n"
    )
    shown = " ".join(done.stdout.split())
    assert re.search(r"DR: Does the poster suffer from depression\? (yes|no) \(\d+%\)", shown)
    assert TEXT in shown
    assert NOTICE in shown
    assert "wording that goes with" in shown or "gives little evidence" in shown
    assert "CAMS" not in shown


def test_analyze_as_json(trained: Path) -> None:
    read = as_json(mentallama("analyze", TEXT, "--json", cwd=trained))
    assert read["notice"] == NOTICE
    assert read["text"] == TEXT
    assert read["model"] == "linear:runs/sample-linear/train"
    quoted = 0
    for answer in read["answers"]:
        labels = load_tasks()[answer["task"]].labels
        assert answer["label"] in labels
        assert set(answer["probabilities"]) == set(labels)
        assert sum(answer["probabilities"].values()) == pytest.approx(1)
        assert 0 <= answer["probability"] <= 1
        assert answer["probability"] == max(answer["probabilities"].values())
        for span in answer["evidence"]:
            quoted += 1
            assert 0 <= span["start"] < span["end"] <= len(TEXT)
            assert TEXT[span["start"] : span["end"]] == span["text"]
    assert quoted
    assert {answer["task"] for answer in read["answers"]} == {"CAMS", "DR"}


def test_all_asks_every_question_and_task_asks_only_its_own(trained: Path) -> None:
    every = as_json(mentallama("analyze", TEXT, "--all", "--json", cwd=trained))["answers"]
    one = as_json(mentallama("analyze", TEXT, "--task", "DR", "--json", cwd=trained))["answers"]
    assert [answer["task"] for answer in every] == ["CAMS", "DR"]
    assert one == every[1:]


def test_a_post_from_standard_input_is_the_same_post(trained: Path) -> None:
    given = as_json(mentallama("analyze", TEXT, "--json", cwd=trained))
    read = as_json(mentallama("analyze", "-", "--json", cwd=trained, stdin=f"{TEXT}\n".encode()))
    assert read == given


def test_a_post_that_is_not_utf_8_is_decoded_with_replacement(trained: Path) -> None:
    read = as_json(mentallama("analyze", "-", "--json", cwd=trained, stdin=b"so sad \xff today"))
    assert read["text"] == "so sad \ufffd today"


@pytest.mark.parametrize("post", ["", " \n\t", "\u200b"])
def test_an_empty_post_is_a_usage_error(post: str, trained: Path) -> None:
    assert_reported(mentallama("analyze", post, cwd=trained), 2, "the text is empty")
    assert_reported(mentallama("analyze", "-", cwd=trained, stdin=post.encode()), 2, "the text is empty")


def test_an_overlong_post_is_a_usage_error(trained: Path) -> None:
    post = f"{MARKER} ".encode() * (MAX_POST_CHARS // 5)
    assert_reported(mentallama("analyze", "-", cwd=trained, stdin=post), 2, f"at most {MAX_POST_CHARS:,}")


def test_a_set_that_the_model_does_not_support_is_a_usage_error(trained: Path) -> None:
    done = mentallama("analyze", MARKER, "--task", "SAD", cwd=trained)
    assert_reported(done, 2, "does not answer SAD (cause); it answers CAMS, DR")


@pytest.mark.parametrize(
    ("file", "damage", "part"),
    [
        ("model.json", lambda raw: raw[: len(raw) // 2], "model.json: not a LinearModelMetadata record"),
        ("model.json", lambda raw: raw[:0], "model.json: not a LinearModelMetadata record"),
        ("model.json", lambda raw: b"\xff" + raw, "model.json: not a LinearModelMetadata record"),
        (
            "model.json",
            lambda raw: raw.replace(b'"version": 1', b'"version": 2'),
            "model.json: not a LinearModelMetadata record",
        ),
        ("DR.npz", lambda raw: raw[:-1] + b"x", "DR.npz: damaged"),
        ("DR.npz", None, "DR.npz: this part of the model is missing"),
    ],
)
def test_a_damaged_model_is_reported(
    file: str, damage: Callable[[bytes], bytes] | None, part: str, trained: Path, tmp_path: Path
) -> None:
    for path in (trained / "runs/sample-linear/train").iterdir():
        raw: bytes | None = path.read_bytes()
        if path.name == file:
            raw = damage(path.read_bytes()) if damage else None
            assert raw != path.read_bytes()
        if raw is not None:
            (tmp_path / path.name).write_bytes(raw)
    assert_reported(mentallama("analyze", MARKER, "--model", f"linear:{tmp_path}"), 1, part)


# --- evaluate ------------------------------------------------------------------------------------------

_TESTS = {"instruction": "test_instruction", "completion": "test_complete"}


def benchmark(root: Path, form: Form, goldens: list[str]) -> Path:
    file = root / "test_data" / _TESTS[form] / "DR.csv"
    file.parent.mkdir(parents=True)
    task = load_tasks()["DR"]
    queries = [write_query(task, "depression", form, post) for post in POSTS[: len(goldens)]]
    with file.open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([("query", "gpt-3.5-turbo"), *zip(queries, goldens, strict=True)])
    return root


def goldens(form: Form) -> list[str]:
    labels = ["yes", "no", "no", "yes"]
    return [write_answer("DR", "depression", label, f"said of a {MARKER}", form) for label in labels]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("responses", "score"), [("reference", 100.0), ("empty", 0.0)])
def test_reference_and_empty_responses_are_scored(
    form: Form, responses: str, score: float, tmp_path: Path
) -> None:
    root = benchmark(tmp_path / "release", form, goldens(form))
    done = mentallama(
        "evaluate", "--benchmark", root, "--responses", responses, "--form", form, "--out", tmp_path / "out"
    )
    assert done.returncode == 0, done.stderr
    assert MARKER not in done.stdout + done.stderr
    assert re.search(rf"DR\D+4\D+{score:.2f}", done.stdout)
    scores = json.loads((tmp_path / "out/scores.json").read_text(encoding="utf-8"))
    assert scores["form"] == form
    assert list(scores["sets"]) == ["DR"]
    assert scores["sets"]["DR"]["metrics"]["weighted_f1"] == score


def test_as_published_adds_the_published_reader(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "release", "instruction", goldens("instruction"))
    command = ("evaluate", "--benchmark", root, "--responses", "reference", "--out")
    assert mentallama(*command, tmp_path / "without").returncode == 0
    assert mentallama(*command, tmp_path / "with", "--as-published").returncode == 0
    assert not (tmp_path / "without/readers_differ.json").exists()
    assert json.loads((tmp_path / "with/readers_differ.json").read_text(encoding="utf-8")) == []


def test_a_benchmark_in_the_other_form_is_a_usage_error(tmp_path: Path) -> None:
    root = benchmark(tmp_path / "release", "instruction", goldens("instruction"))
    done = mentallama(
        "evaluate",
        "--benchmark",
        root,
        "--responses",
        "reference",
        "--form",
        "completion",
        "--out",
        tmp_path / "o",
    )
    assert_reported(done, 2, "release: it holds no test files in completion form")


@pytest.mark.parametrize(
    ("rows", "code", "part"),
    [
        (None, 2, "there is no such folder"),
        ({}, 2, "no file is named after a set, such as CAMS.csv"),
        ({"DR.csv": [["goldens", "text"], ["a", MARKER]]}, 1, "DR.csv"),
        ({"DR.csv": [["goldens", "generated_text"], [MARKER, MARKER]]}, 1, "DR.csv"),
        ({"DR.csv": []}, 1, "DR.csv, row 1: no columns"),
    ],
    ids=["no folder", "no file", "wrong column", "other rows", "empty"],
)
def test_responses_that_do_not_match_the_benchmark(
    rows: dict[str, list[list[str]]] | None, code: int, part: str, tmp_path: Path
) -> None:
    root = benchmark(tmp_path / "release", "instruction", goldens("instruction"))
    folder = tmp_path / "responses"
    if rows is not None:
        folder.mkdir()
        for name, lines in rows.items():
            with (folder / name).open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows(lines)
    done = mentallama("evaluate", "--benchmark", root, "--responses", folder, "--out", tmp_path / "out")
    assert_reported(done, code, part)
    assert not (tmp_path / "out/scores.json").exists()


def test_a_reference_without_a_label_is_reported_with_its_row(tmp_path: Path) -> None:
    bad = [*goldens("instruction")[:2], f"who knows, {MARKER}"]
    root = benchmark(tmp_path / "release", "instruction", bad)
    done = mentallama("evaluate", "--benchmark", root, "--responses", "reference", "--out", tmp_path / "out")
    assert_reported(done, 1, "DR.csv, row 4: the reference is unparsed")
