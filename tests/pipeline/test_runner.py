"""Stages: what is up to date is skipped, what was killed is resumed, and nothing written is lost."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from mentallama.config import Recipe, read_recipe
from mentallama.errors import DataError, MentallamaError, UsageError
from mentallama.files.manifest import digest_folder, read_manifest
from mentallama.pipeline.registry import STAGES as ALL_STAGES
from mentallama.pipeline.registry import recipe_stages
from mentallama.pipeline.runner import run_recipe
from mentallama.pipeline.stage import Stage
from tests.factories.project import ROOT
from tests.factories.report_run import without_times

RECIPE = ROOT / "recipes/sample-linear.yaml"
FAST = ("train.C=[1.0]", "train.topics=[0]", "train.intercept_shifts=[false]")
SMALL = (*FAST, "sets=[CLP, DR]", "jobs=1", f"data={ROOT / 'sample'}")
NOTE = "note: "
STAGES = tuple(stage.name for stage in recipe_stages(read_recipe(RECIPE)))
"""Those of this recipe."""


def recipe(*changes: str) -> Recipe:
    return read_recipe(RECIPE, (*SMALL, *changes))


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder, but the lock."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def results(folder: Path) -> dict[str, bytes]:
    """All files but what holds a clock."""
    clocks = ("manifest.json", "report/files/provenance-stages", "report/files/provenance-execution")
    return {
        name: without_times(raw) if name in {"report/index.html", "report/report.md"} else raw
        for name, raw in contents(folder).items()
        if not any(part in name for part in clocks)
    }


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.as_posix(): (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in folder.rglob("*")
        if path.name != ".lock"
    }


def assert_whole(folder: Path) -> None:
    """Every stage that stands under its final name is as its manifest says, with no half-written file in it."""
    for name in STAGES:
        if (folder / name).exists():
            manifest = read_manifest(folder / name)
            assert manifest is not None
            assert manifest.outputs == digest_folder(folder / name)
            assert [path for path in (folder / name).rglob("*") if path.name.endswith(".partial")] == []


def ran(made: Recipe, folder: Path) -> list[str]:
    """The stages that were not up to date."""
    log_lines: list[str] = []
    run_recipe(made, folder, log_lines.append)
    outcomes = [line.split(": ", 1) for line in log_lines if not line.startswith(NOTE)]
    assert [name for name, _ in outcomes] == [stage.name for stage in recipe_stages(made)]
    return [name for name, what in outcomes if what != "up to date"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of two sets."""
    folder = tmp_path_factory.mktemp("small") / "run"
    assert ran(recipe(), folder) == list(STAGES)
    return folder


@pytest.fixture
def run(small: Path, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    return Path(shutil.copytree(small, tmp_path / "run"))


# --- what runs again -----------------------------------------------------------------------------------


def test_a_manifest_records_inputs_outputs_and_counts(small: Path) -> None:
    assert_whole(small)
    for name in STAGES:
        manifest = read_manifest(small / name)
        assert manifest is not None
        assert manifest.stage == name
        assert {"settings", "tasks", "versions", "inputs"} == set(manifest.cache_key)
        assert manifest.seconds >= 0
        assert manifest.peak_memory_mb > 10
        assert manifest.execution is not None
    collect = read_manifest(small / "collect")
    assert collect is not None
    assert [each["name"] for each in collect.cache_key["inputs"]] == [
        "sources/CLP/posts.csv",
        "sources/DR/posts.jsonl",
    ]
    summary = json.loads((small / "collect/summary.json").read_text(encoding="utf-8"))
    assert {name: summary[name] for name in collect.counts} == collect.counts
    assert (
        collect.counts["rows_read"]
        > collect.counts["rejected"]
        == sum(collect.counts["reject_reasons"].values())
        > 0
    )


def test_every_file_of_a_run_is_described(small: Path) -> None:
    """docs/data_formats.md has each file in the section of its stage; SET, FORM and the like are placeholders."""
    described: dict[str, list[str]] = {}
    for line in (ROOT / "docs/data_formats.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            names = described.setdefault(line.removeprefix("## "), [])
        elif entry := re.match(r"\*\*`(.+)`\*\*", line):
            names.extend(entry[1].split(", "))
    anywhere = described["In every stage's folder"]

    def matches(name: str, stage: str) -> bool:
        patterns = [re.sub("[A-Z]{2,}", "*", pattern) for pattern in [*described[stage], *anywhere]]
        return any(fnmatch(name, pattern) for pattern in patterns)

    files = [name.partition("/") for name in contents(small)]
    assert [f"{stage}/{name}" for stage, _, name in files if not matches(name, stage)] == []
    assert len(files) >= 20
    assert not matches("other.json", "collect")


def test_a_second_run_rewrites_nothing(run: Path) -> None:
    before, times = contents(run), stamps(run)
    assert ran(recipe(), run) == []
    assert (contents(run), stamps(run)) == (before, times)


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("jobs=2", []),
        ("report.title=Another", ["report"]),
        ("name=another", ["report"]),
        ("evaluate.resamples=200", ["evaluate", "report"]),
        ("predict.splits=[validation, test]", ["predict", "evaluate", "report"]),
        ("train.min_df=3", ["train", "predict", "evaluate", "report"]),
        ("collect.author_salt=x", list(STAGES)),
        ("collect.allowed_rejects=0.06", ["collect", "report"]),
        ("seed=8", list(STAGES)),
    ],
)
def test_a_changed_setting_reruns_the_stages_that_depend_on_it(
    change: str, again: list[str], run: Path
) -> None:
    before, times = contents(run), stamps(run)
    assert ran(recipe(change), run) == again
    after = contents(run)
    for name in set(STAGES) - set(again):
        assert {k: v for k, v in before.items() if k.startswith(f"{name}/")} == {
            k: v for k, v in after.items() if k.startswith(f"{name}/")
        }
        assert stamps(run)[(run / name).as_posix()] == times[(run / name).as_posix()]
    key, _, value = change.partition("=")
    row = {"report.title": "# Another", "collect.author_salt": "| collect.author_salt | not shown |"}
    if again:
        page = after["report/report.md"].decode()
        assert row.get(key, f"| {key} | {value.strip('[]')} |") in page
    assert_whole(run)
    assert ran(recipe(change), run) == []


def test_a_changed_source_reruns_collect(small: Path, run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(ROOT / "sample", tmp_path / "data"))
    moved = recipe(f"data={data}")
    assert ran(moved, run) == []
    path = data / "sources/DR/posts.jsonl"
    path.write_text("".join(path.read_text(encoding="utf-8").splitlines(True)[:-1]), encoding="utf-8")
    assert ran(moved, run)[:2] == ["collect", "train"]
    assert results(run)["collect/posts.jsonl.zst"] != results(small)["collect/posts.jsonl.zst"]


def _flip(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("collect/posts.jsonl.zst", _flip),
        ("collect/summary.json", Path.unlink),
        ("train/DR.npz", _flip),
        ("train/model.json", lambda path: path.write_bytes(b"")),
        ("predict/predictions.jsonl.zst", lambda path: os.truncate(path, 100)),
        ("evaluate/scores.json", Path.unlink),
        ("report/index.html", _flip),
        ("train/manifest.json", Path.unlink),
        ("train/manifest.json", lambda path: path.write_bytes(b"")),
        ("train/manifest.json", lambda path: path.write_bytes(b"\xff\xfe")),
        ("train/manifest.json", lambda path: path.write_text("{}")),
    ],
)  # fmt: skip
def test_a_damaged_stage_runs_again(file: str, damage: Callable[[Path], Any], small: Path, run: Path) -> None:
    damage(run / file)
    assert ran(recipe(), run) == [file.partition("/")[0]]
    assert results(run) == results(small)
    assert_whole(run)


def test_a_stage_is_not_replaced_with_a_file_of_the_users_in_it(small: Path, run: Path) -> None:
    (run / "evaluate/scores.json").unlink()
    (run / "evaluate/stranger.txt").touch()
    with pytest.raises(UsageError, match=r"a file that it did not make, stranger\.txt"):
        ran(recipe(), run)
    assert (run / "evaluate/stranger.txt").is_file()


def test_leftovers_of_a_killed_run_are_removed(small: Path, run: Path) -> None:
    shutil.rmtree(run / "predict")
    left = run / ".predict.partial"
    left.mkdir()
    (left / "half").write_text("half")
    (run / ".train.partial").mkdir()
    assert ran(recipe(), run) == ["predict"]
    assert results(run) == results(small)
    assert not left.exists()


# --- failing -------------------------------------------------------------------------------------------


def _raise(error: BaseException) -> Any:
    raise error


def failing(name: str, error: BaseException) -> tuple[Stage, ...]:
    """The stages, one of which writes something and then fails."""
    whole = next(stage for stage in ALL_STAGES if stage.name == name)

    def run_and_fail(made: Recipe, folder: Path, out: Path) -> dict[str, Any]:
        whole.run(made, folder, out)
        raise error

    return tuple(replace(whole, run=run_and_fail) if stage is whole else stage for stage in ALL_STAGES)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt(), DataError("x", "y")], ids=repr)
def test_a_failing_rerun_keeps_earlier_results(
    stage: str, error: BaseException, small: Path, run: Path
) -> None:
    (run / stage / "manifest.json").unlink()  # so that this one runs again
    before = contents(run)
    with pytest.raises(type(error)):
        run_recipe(recipe(), run, lambda _: None, stages=failing(stage, error))
    kept = {name: raw for name, raw in contents(run).items() if not name.startswith((".", "predicted-"))}
    assert kept == before
    assert ran(recipe(), run) == [stage]
    assert results(run) == results(small)


def test_the_report_does_not_contain_the_author_salt(run: Path) -> None:
    ran(recipe("collect.author_salt=a-secret-of-ours"), run)
    report = {name: raw for name, raw in contents(run).items() if name.startswith("report/")}
    assert "report/manifest.json" in report
    assert not any(b"a-secret-of-ours" in raw for raw in report.values())


def test_a_damaged_source_leaves_the_run_unchanged(run: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(ROOT / "sample", tmp_path / "data"))
    path = data / "sources/CLP/posts.csv"
    path.write_bytes(path.read_bytes()[:-30])
    before, times = contents(run), stamps(run / "collect")
    with pytest.raises(DataError, match=r"posts\.csv, row \d+"):
        run_recipe(recipe(f"data={data}"), run, lambda _: None)
    kept = {name: raw for name, raw in contents(run).items() if not name.startswith((".", "predicted-"))}
    assert kept == before
    assert stamps(run / "collect") == times
    assert ran(recipe(), run) == []


def test_a_stage_killed_before_its_rename_runs_again(
    small: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", lambda *_: _raise(OSError(5, "I/O error")))
        with pytest.raises(OSError, match="I/O error"):
            run_recipe(recipe("evaluate.resamples=200"), run, lambda _: None)
    assert_whole(run)
    assert ran(recipe(), run) == ["evaluate"]
    assert results(run) == results(small)


def test_a_terminated_worker_is_reported(run: Path) -> None:
    (run / "train/manifest.json").unlink()
    with pytest.raises(MentallamaError) as raised:
        run_recipe(recipe(), run, lambda _: None, stages=failing("train", BrokenProcessPool("gone")))
    assert raised.value.exit_code == 1
    assert str(raised.value).startswith("train: a worker process was killed")


@pytest.mark.parametrize("until", ["collect", "train", "evaluate"])
def test_until_ends_the_run_after_that_stage(until: str, small: Path, tmp_path: Path) -> None:
    run_recipe(recipe(), tmp_path, lambda _: None, until)
    there = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert there == set(STAGES[: STAGES.index(until) + 1])
    assert all(results(small)[name] == raw for name, raw in results(tmp_path).items())


def test_stages_without_their_inputs(small: Path, tmp_path: Path) -> None:
    whole = recipe()
    no_stage = whole.model_copy(update={"train": None})
    with pytest.raises(UsageError, match="has no stage train; it has collect, predict, evaluate, report"):
        run_recipe(no_stage, tmp_path, lambda _: None, "train")
    alone = whole.model_copy(update={"collect": None})
    with pytest.raises(
        UsageError, match=r"train reads collect/posts\.jsonl\.zst, .* add collect to the recipe"
    ):
        run_recipe(alone, tmp_path, lambda _: None)


@pytest.mark.parametrize("spec", ["linear", "linear:", "granite:x", "linear:gone"])
def test_an_invalid_model_is_a_usage_error(
    spec: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipe").mkdir()
    monkeypatch.chdir(tmp_path / "pipe")
    os.mkfifo(
        "never"
    )  # a spec without a place must not be taken for the working directory: it may hold anything
    before = contents(run)
    with pytest.raises(UsageError, match="model"):
        run_recipe(recipe(f"predict.model='{spec}'"), run, lambda _: None)
    assert contents(run) == before


def test_a_model_of_another_run_can_predict(small: Path, run: Path, tmp_path: Path) -> None:
    named = recipe(f"predict.model=linear:{small / 'train'}")
    assert ran(named, run) == ["predict", "report"]
    assert results(run)["predict/predictions.jsonl.zst"] == results(small)["predict/predictions.jsonl.zst"]
    model = Path(shutil.copytree(small / "train", tmp_path / "model"))
    moved = recipe(f"predict.model=linear:{model}")
    ran(moved, run)
    (model / "DR.npz").write_bytes(b"another")
    with pytest.raises(DataError, match=r"DR\.npz: damaged"):
        run_recipe(moved, run, lambda _: None)


# --- processes -----------------------------------------------------------------------------------------

Process = subprocess.Popen[str]


def hear_interrupts() -> None:
    """What a shell runs in the background ignores Ctrl-C, and so would what is started from there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, *changes: str) -> Process:
    """The sample's run, as a process with a group of its own."""
    sets = [part for change in (*FAST, *changes) for part in ("--set", change)]
    return subprocess.Popen(
        [sys.executable, "-m", "mentallama", "run", str(RECIPE), *sets, "--out", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        start_new_session=True,
        preexec_fn=hear_interrupts,  # noqa: PLW1509 - takes no lock
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: Process) -> str:
    """Wait, and return its stderr."""
    return process.communicate(timeout=120)[1]


def finish(folder: Path, *changes: str) -> list[str]:
    process = start(folder, *changes)
    stderr = end(process)
    assert process.returncode == 0, stderr
    return [line for line in stderr.splitlines() if not line.startswith(NOTE)]


def of_group(group: int) -> list[int]:
    """The living processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(its_group) == group and state != "Z":
                found.append(int(entry.name))
    return found


def workers(process: Process) -> list[int]:
    def command(number: int) -> str:
        try:
            return Path(f"/proc/{number}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return ""

    return [number for number in of_group(process.pid) if "spawn_main" in command(number)]


def wait_for(what: Callable[[], Any], seconds: float = 20) -> Any:
    last = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < last, "it did not come to pass"
        time.sleep(0.02)
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc here")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The sample's run, all sets and two processes, and the seconds it took."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    begun = time.monotonic()
    assert [line.partition(":")[0] for line in finish(folder)] == list(STAGES)
    return folder, time.monotonic() - begun


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize(
    ("stage", "later"),
    [("collect", 0.0), ("collect", 0.4), ("train", 0.0), ("train", 0.5), ("evaluate", 0.0)],
)
def test_a_killed_run_is_resumed_to_the_same_bytes(
    stage: str, later: float, uninterrupted: tuple[Path, float], tmp_path: Path
) -> None:
    whole, _ = uninterrupted
    folder = tmp_path / "run"
    process = start(folder)
    # By what the run has begun, not by the clock alone: a machine may be busy now or have been so before.
    while process.poll() is None and not any(
        (folder / name).exists() for name in (f".{stage}.partial", stage)
    ):
        time.sleep(0.002)
    time.sleep(later)
    process.kill()
    end(process)
    assert process.returncode == -signal.SIGKILL
    wait_for(lambda: not of_group(process.pid), 10)
    assert_whole(folder)
    before = contents(folder)
    finished = [name for name in STAGES if (folder / name).exists()]

    stderr = finish(folder)
    assert [line.partition(":")[0] for line in stderr if line.endswith("up to date")] == finished
    assert results(folder) == results(whole)
    assert all(
        raw == before[name]
        for name, raw in contents(folder).items()
        if name in before and name.partition("/")[0] in finished
    )
    assert [path.name for path in folder.iterdir() if path.name.endswith(".partial")] == []


@pytest.mark.slow
def test_a_second_process_finds_all_up_to_date(uninterrupted: tuple[Path, float]) -> None:
    folder, _ = uninterrupted
    before, times = contents(folder), stamps(folder)
    assert finish(folder) == [f"{name}: up to date" for name in STAGES]
    assert (contents(folder), stamps(folder)) == (before, times)


def test_a_locked_run_is_left_alone(run: Path) -> None:
    before = contents(run)
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(run)
        stderr = end(process)
    assert process.returncode == 2
    assert stderr == f"mentallama: {run}: another process is working on this run; wait for it or use --out\n"
    assert contents(run) == before


@pytest.mark.slow
def test_two_runs_at_once(uninterrupted: tuple[Path, float], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = start(folder)
    wait_for((folder / ".collect.partial").exists)
    second = start(folder)
    stderr = end(second)
    assert second.returncode == 2
    assert "another process is working on this run" in stderr
    assert "Traceback" not in stderr
    end(first)
    assert first.returncode == 0
    assert results(folder) == results(uninterrupted[0])


@pytest.mark.slow
@needs_proc
def test_a_killed_worker_process_is_reported(uninterrupted: tuple[Path, float], tmp_path: Path) -> None:
    process = start(tmp_path / "run")
    wait_for((tmp_path / "run/.train.partial").exists)
    both = wait_for(lambda: found if len(found := workers(process)) == 2 else None)
    time.sleep(0.5)  # one that falls while the other is being started breaks the pool in other ways
    os.kill(both[0], signal.SIGKILL)
    stderr = end(process)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1].startswith("mentallama: train: a worker process was killed")
    assert not (tmp_path / "run/train").exists()
    assert finish(tmp_path / "run")[0] == "collect: up to date"
    assert results(tmp_path / "run") == results(uninterrupted[0])


@pytest.mark.slow
@needs_proc
def test_an_interrupted_run_says_how_to_resume(tmp_path: Path) -> None:
    process = start(tmp_path / "run")
    wait_for((tmp_path / "run/.train.partial").exists)
    process.send_signal(signal.SIGINT)
    stderr = end(process)
    assert process.returncode in {130, -signal.SIGINT}
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-1] == "mentallama: interrupted; the same command resumes"
    assert not (tmp_path / "run/train").exists()
    wait_for(lambda: not of_group(process.pid), 10)


def analyst_kinds(made: Recipe, folder: Path) -> dict[str, list[str]]:
    """The kinds of analyst whose libraries enter the cache keys, by stage."""
    return {
        stage.name: list(stage.analyst_kinds(made, folder))
        for stage in ALL_STAGES
        if stage.analyst_kinds is not None
    }


def test_the_analysts_that_a_stage_trains_or_asks(tmp_path: Path) -> None:
    own = recipe()
    assert analyst_kinds(own, tmp_path) == {
        "train": ["linear"], "predict": ["linear"], "check": [], "explain": [], "evaluate": []
    }  # fmt: skip
    neural = {
        "train": {"analyst": "causal", "base": "b"},
        "explain": {"text": "bound", "bound": "causal:writer"},
        "check": {"label_reader": "reader"},
        "evaluate": {"explanation_metrics": ["label_consistency:reader"]},
    }
    other = Recipe.model_validate({**own.model_dump(), **neural})
    assert analyst_kinds(other, tmp_path) == {
        "train": ["causal"], "predict": ["causal"], "check": ["encoder"], "explain": ["causal", "causal"],
        "evaluate": ["encoder"],
    }  # fmt: skip
