"""`mentallama teach` from the command line: recipe, manifest, error messages, and nothing lost."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from mentallama.cli import app as cli
from mentallama.errors import UsageError
from mentallama.files.manifest import read_manifest
from mentallama.files.record_files import read_json, read_records
from mentallama.llm_api.ledger.ledger import Ledger
from mentallama.records import Response
from tests.factories.endpoint_server import Body, Plan, Server, serving
from tests.factories.ledgers import all_completions, assert_intact
from tests.factories.project import ROOT
from tests.factories.teach_cases import BUILD_RECIPE, N_CLP, N_DR, build_tables, other_reply, sensible_reply

KEY = "sk-quite-secret-0815"
PRICES = "input_price: 1.0, output_price: 2.0"


EVERY = "[CAMS, CLP, DR, dreaddit, Irf, loneliness, MultiWD, SAD, swmh, t-sid]"


class Done(NamedTuple):
    code: int
    out: str
    err: str


Teach = Callable[..., Done]


@pytest.fixture
def teach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Teach:
    """The command in this process, on two small sets, into `tmp_path`/run."""

    def run(*options: str, sets: str = "[DR, CLP]", stage: str = "teach") -> Done:
        given = (
            f"data={ROOT / 'sample'}",
            f"sets={sets}",
            "jobs=1",
            f"collect.tables={json.dumps(build_tables(sets))}",
        )
        changes = [part for change in given for part in ("--set", change)]
        arguments = [stage, str(BUILD_RECIPE), *changes, "--out", str(tmp_path / "run"), *options]
        monkeypatch.setattr(sys, "argv", ["mentallama", *arguments])
        code = 0
        try:
            cli.main()
        except SystemExit as ended:
            code = int(str(ended.code or 0))
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(Plan(reply=sensible_reply)) as server:
        yield server


def remote(server: Server, *terms: str, model: str = "test-model") -> tuple[str, str]:
    spec = f'spec: "remote:{model}@{server.url}"'
    return "--set", f"teach.teacher={{{', '.join((spec, *terms))}}}"


def assert_reported(done: Done, code: int, *parts: str) -> None:
    """One sentence with all the parts, the exit code, and neither a traceback nor the key."""
    sentences = [line for line in done.err.splitlines() if line.startswith("mentallama: ")]
    assert (done.code, len(sentences)) == (code, 1), done.err
    for part in parts:
        assert part in done.err[done.err.index(sentences[0]) :]
    for never in ("Traceback", KEY):
        assert never not in done.err


def results(folder: Path) -> dict[str, bytes]:
    files = [
        each for each in (folder / "teach").rglob("*") if each.is_file() and each.name != "manifest.json"
    ]
    return {each.relative_to(folder).as_posix(): each.read_bytes() for each in files}


# What it does


def test_the_sample_s_posts_are_taught_offline_and_again_to_the_same_bytes(
    teach: Teach, tmp_path: Path
) -> None:
    done = teach()
    assert done.code == 0
    assert f"{N_DR + N_CLP} questions, prompt label-given, version 1" in done.out
    first = results(tmp_path / "run")
    assert {"teach/responses.jsonl.zst", "teach/failed_requests.jsonl", "teach/summary.json"} < set(first)
    assert not (tmp_path / "run/ledger.sqlite").exists()
    assert "teach: up to date" in teach().err
    (tmp_path / "run/teach/manifest.json").unlink()
    teach()
    assert results(tmp_path / "run") == first


def test_a_remote_teacher_by_one_option(teach: Teach, server: Server, tmp_path: Path) -> None:
    done = teach("--set", f"teach.teacher=remote:test-model@{server.url}")
    assert done.code == 0
    assert f"teach: test-model: an estimated {N_DR + N_CLP} requests; about " in done.err
    assert server.hashes.total() == N_DR + N_CLP
    summary = read_json(tmp_path / "run/teach/summary.json")
    assert summary["outcomes"] == {"test-model": {"parsed": N_DR + N_CLP}}
    assert [(row["task"], row["requests"]) for row in summary["costs"]] == [("DR", N_DR), ("CLP", N_CLP)]


def test_a_model_that_was_trained_before(teach: Teach, tmp_path: Path) -> None:
    teach()
    analyst = tmp_path / "run/teach/analyst"
    other = tmp_path / "analyst"
    analyst.rename(other)
    done = teach("--set", f"teach.teacher=linear:{other}")
    assert done.code == 0
    response = next(read_records(tmp_path / "run/teach/responses.jsonl.zst", Response))
    assert response.model.startswith("linear:")
    inputs = read_json(tmp_path / "run/teach/manifest.json")["cache_key"]["inputs"]
    assert "teacher 0/model.json" in [each["name"] for each in inputs]
    assert not (tmp_path / "run/teach/analyst").exists()


def test_two_teachers_one_of_them_offline(teach: Teach, tmp_path: Path) -> None:
    with serving(Plan(reply=other_reply)) as server:
        spec = f"remote:test-model@{server.url}"
        done = teach("--set", f"teach.teacher=[embedded, '{spec}']", "--set", "teach.prompt=zero-shot")
    assert done.code == 0
    responses = list(read_records(tmp_path / "run/teach/responses.jsonl.zst", Response))
    models = [each.model.partition(":")[0] for each in responses]
    assert models == ["embedded", "test-model"] * (N_DR + N_CLP)
    assert read_json(tmp_path / "run/teach/summary.json")["disagreements"] > 0


@pytest.mark.parametrize(
    "option", ["max_concurrency=3", "timeout=9", "max_attempts=2", "budget=5", "allow_remote=[DR]"]
)
def test_request_settings_do_not_rerun_the_stage(option: str, teach: Teach, server: Server) -> None:
    asked = remote(server, PRICES)
    assert teach(*asked, sets="[DR]").code == 0
    assert "teach: up to date" in teach(*asked, "--set", f"teach.{option}", sets="[DR]").err
    assert "teach: up to date" in teach(*remote(server, "input_price: 3, output_price: 4"), sets="[DR]").err
    assert server.hashes.total() == N_DR


def test_another_form_is_composed_from_the_ledger(teach: Teach, server: Server) -> None:
    teach(*remote(server), sets="[DR]")
    done = teach(*remote(server), "--set", "form=completion", sets="[DR]")
    assert f"nothing to send, {N_DR} more are in the ledger" in done.err
    assert "teach: done" in done.err
    assert server.hashes.total() == N_DR


def test_no_file_contains_a_secret(teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MENTALLAMA_API_KEY", KEY)
    with serving(Plan(reply=sensible_reply, key=KEY)) as server:
        assert teach(*remote(server), sets="[DR]").code == 0
    files = [each for each in (tmp_path / "run").rglob("*") if each.is_file()]
    assert len(files) > 10
    assert [each.name for each in files if KEY.encode() in each.read_bytes()] == []
    manifest = read_manifest(tmp_path / "run/teach")
    assert manifest is not None
    assert "key" not in manifest.cache_key["settings"]["teach"]["teacher"][0]


def test_failed_requests_are_reported_and_retried_on_demand(teach: Teach, tmp_path: Path) -> None:
    with serving(Plan(reply=sensible_reply, script=["500"] * 2 + ["malformed"])) as server:
        asked = (*remote(server), "--set", "teach.max_attempts=1")
        done = teach(*asked, sets="[DR]")
        assert done.code == 0
        note = next(line for line in done.err.splitlines() if line.startswith("note: teach"))
        assert note.startswith(
            "note: teach: 3 failed (2 HTTP 500 server_error, 1 body is not JSON); all are listed"
        )
        assert "failed_requests.jsonl" in note
        assert "--retry" in note
        assert note in teach(*asked, sets="[DR]").err
        assert server.hashes.total() == N_DR
        done = teach(*asked, "--retry", sets="[DR]")
        assert "teach: 3 failed requests will be retried" in done.err
        assert "note: teach" not in done.err
        assert server.hashes.total() == N_DR + 3
    assert read_json(tmp_path / "run/teach/summary.json")["outcomes"] == {"test-model": {"parsed": N_DR}}


@pytest.mark.parametrize(
    "answer",
    [
        (400, {"object": "error", "message": "System prompt unsupported", "code": 400}),
        (200, {"error": {"message": "System prompt unsupported", "code": 400}}),
    ],
)
def test_requests_that_all_fail_stop_the_run_early(
    teach: Teach, answer: tuple[int, Body], tmp_path: Path
) -> None:
    with serving(Plan(respond=lambda *_: answer)) as server:
        for _ in range(2):
            done = teach(*remote(server), stage="run")
            assert_reported(done, 1, "fail alike, HTTP", "the server says: System prompt unsupported")
            assert "check: " not in done.err
        first, second = server.hashes.total() // 2, server.hashes.total()
    assert 8 <= first <= second - first < 25
    assert not (tmp_path / "run/teach").exists()


def test_too_many_failed_requests_are_sent_again_by_the_same_command(teach: Teach) -> None:
    """One in ten may fail: here 6 of 49."""
    with serving(Plan(reply=sensible_reply, script=["500"] * 6)) as server:
        asked = (*remote(server), "--set", "teach.max_attempts=1")
        done = teach(*asked, sets="[DR]")
        assert_reported(
            done, 3, f"6 of {N_DR} requests failed (6 HTTP 500 server_error)", "max_failed_share (0.1)"
        )
        assert teach(*asked, sets="[DR]").code == 0
        assert server.hashes.total() == N_DR + 6


def test_refusals_are_printed_by_label(teach: Teach) -> None:
    with serving(Plan(reply=lambda _: "I cannot help with this request.")) as server:
        done = teach(*remote(server), sets="[DR]")
    lines = [line for line in done.out.splitlines() if line.startswith("test-model, DR, ")]
    assert [line.partition(":")[0] for line in lines] == ["test-model, DR, no", "test-model, DR, yes *"]
    assert all(line.endswith("refused (100.0%)") for line in lines)
    assert "* the set's high-risk label" in done.out


def test_a_killed_stage_is_resumed_to_the_same_bytes(tmp_path: Path, teach: Teach) -> None:
    with serving(Plan(reply=sensible_reply, delay=0.03)) as server:
        given = ["--set", f"data={ROOT / 'sample'}", "--set", "sets=[DR]", "--set", "jobs=1"]
        given += [
            "--set",
            f"collect.tables={json.dumps(build_tables('[DR]'))}",
            "--set",
            "teach.max_concurrency=3",
        ]
        command = [
            sys.executable,
            "-m",
            "mentallama",
            "teach",
            str(BUILD_RECIPE),
            "--out",
            str(tmp_path / "run"),
        ]
        command += [*given, "--set", f"teach.teacher=remote:test-model@{server.url}"]
        environ = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(
            command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while len(server.hashes) < N_DR // 2:
                assert process.poll() is None
                time.sleep(0.005)
            process.kill()
        assert not (tmp_path / "run/teach").exists()
        killed = server.hashes.total()
        assert killed < N_DR
        asked = ("--set", f"teach.teacher=remote:test-model@{server.url}")
        assert teach(*asked, sets="[DR]").code == 0
        assert server.hashes.total() <= N_DR + 3  # what was in flight, at most
        resumed = results(tmp_path / "run")
        shutil.rmtree(tmp_path / "run")
        assert teach(*asked, sets="[DR]").code == 0
    assert results(tmp_path / "run") == resumed


# What goes wrong


def test_a_wrong_key(teach: Teach, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Plan(reply=sensible_reply, key="another")) as server:
        assert_reported(teach(*remote(server), sets="[DR]"), 2, "MENTALLAMA_API_KEY is not set")
        monkeypatch.setenv("MENTALLAMA_API_KEY", KEY)
        assert_reported(teach(*remote(server), sets="[DR]"), 2, "rejects the API key", "MENTALLAMA_API_KEY")
        monkeypatch.setenv("MENTALLAMA_API_KEY", "another")
        assert teach(*remote(server), sets="[DR]").code == 0


def test_an_unknown_model(teach: Teach, server: Server, tmp_path: Path) -> None:
    assert_reported(teach(*remote(server, model="tset-model"), sets="[DR]"), 2, "has no model tset-model")
    assert not (tmp_path / "run/teach").exists()


def test_an_endpoint_that_is_down(teach: Teach, tmp_path: Path) -> None:
    with serving(Plan()) as server:
        down = remote(server)
    assert_reported(
        teach(*down, "--set", "teach.max_concurrency=4", sets="[DR]"),
        1,
        "no connection to 127.0.0.1",
        "resumes",
    )


def test_an_exhausted_budget_loses_nothing(teach: Teach, tmp_path: Path) -> None:
    with serving(Plan(reply=sensible_reply)) as server:
        first = remote(server, PRICES)
        assert_reported(
            teach(*first, "--budget", "0.012", sets="[DR]"), 1, "the budget of 0.012 does not cover"
        )
        kept = server.hashes.total()
        assert 0 < kept < N_DR
        again = teach(*first, "--budget", "0.012", sets="[DR]")
        assert "teach: the budget of 0.012, of which 0.0" in again.err
        assert "is spent, will probably not suffice" in again.err
        assert server.hashes.total() == kept
        done = teach(*first, "--budget", "1.5", sets="[DR]")
        assert done.code == 0
        assert server.hashes.total() == N_DR
        assert f"an estimated {N_DR - kept} requests, {kept} more are in the ledger" in done.err


def test_no_budget_at_all(teach: Teach, server: Server) -> None:
    assert_reported(
        teach(*remote(server, PRICES), "--budget", "0", sets="[DR]"), 1, "the budget of 0 does not cover"
    )
    assert_reported(
        teach(*remote(server), "--budget", "1", sets="[DR]"), 2, "a budget needs input_price and output_price"
    )
    assert_reported(teach(*remote(server, PRICES), "--budget", "-1", sets="[DR]"), 2, "teach.budget")
    assert not server.hashes


def test_examples_with_a_test_row(teach: Teach, server: Server, tmp_path: Path) -> None:
    teach(sets="[DR]", stage="collect")
    from mentallama.records import Post

    post = next(p for p in read_records(tmp_path / "run/collect/posts.jsonl.zst", Post) if p.split == "test")
    path = tmp_path / "examples.csv"
    path.write_text(
        "set,question,text,label,explanation\n"
        f'DR,depression,"{post.text}",{post.labels["depression"]},"It says so."\n'
        'DR,depression,"I cannot get out of bed and cry all day.",yes,"It says so."\n'
        'DR,depression,"The picnic by the lake was lovely.",no,"It is calm."\n',
        encoding="utf-8",
    )
    few = ("--set", "teach.prompt=few-shot", "--set", f"teach.examples={path}", "--set", "teach.shots=2")
    assert_reported(teach(*remote(server), *few, sets="[DR]"), 1, "examples.csv, row 2: ", "test split of DR")
    assert not server.hashes


def test_a_missing_examples_file(teach: Teach, server: Server) -> None:
    few = ("--set", "teach.prompt=few-shot", "--set", "teach.examples=gone.csv", "--set", "teach.shots=2")
    assert_reported(teach(*remote(server), *few, sets="[DR]"), 2, "gone.csv: there is no such file")


def test_few_shot_with_the_sample_s_examples(teach: Teach, server: Server) -> None:
    few = ("--set", "teach.prompt=few-shot", "--set", f"teach.examples={ROOT / 'sample/examples.csv'}")
    assert teach(*remote(server), *few, sets="[DR]").code == 0
    assert {len(body["messages"]) for body in server.bodies} == {1 + 2 * 4 + 1}


def test_a_full_disk_keeps_completions(
    teach: Teach, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, commits = Ledger.commit, 0

    def until_full(self: Ledger, *given: object) -> float:
        """The third write finds no room: SQLite's own limit on pages says so as a full disk would."""
        nonlocal commits
        commits += 1
        if commits == 3:
            (pages,) = self._writing.execute("PRAGMA page_count").fetchone()
            self._writing.execute(f"PRAGMA max_page_count = {pages}")
            self._writing.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return commit(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "commit", until_full)
    done = teach(*remote(server), "--set", "teach.max_concurrency=2", sets="[DR]")
    assert_reported(done, 1, "ledger.sqlite", "full")
    monkeypatch.undo()
    with Ledger(tmp_path / "run/ledger.sqlite") as ledger:
        assert_intact(ledger.path)
        kept = len(all_completions(ledger))
    assert 0 < kept < N_DR


def test_a_file_that_is_not_a_ledger(teach: Teach, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("shopping: milk, bread" * 100)
    assert_reported(teach(*remote(server), "--set", f"teach.ledger={path}", sets="[DR]"), 1, "notes.txt")
    assert path.read_text().startswith("shopping")
    assert not server.hashes


@pytest.mark.parametrize(
    ("teacher", "part"),
    [
        ("gpt", "'gpt' is not a teacher; choose embedded, linear:DIR or remote:MODEL@URL"),
        ("remote:m", "write it as remote:MODEL@URL"),
        ("remote:m@ftp://x", "write it as remote:MODEL@URL"),
        ("remote:m@ftp://me:pw@x/v1", "write it as remote:MODEL@URL"),
        ("remote:m@https://me:pw@http://x/v1", "write it as remote:MODEL@URL"),
        ("https://me:pw@x/v1", "'https' is not a teacher"),
        ("'linear:'", "is not a teacher"),
        ("remote:m@http://me:pw@x/v1", "the URL of m holds a user, password or key"),
        ("[]", "name a teacher"),
        ("linear:gone", "there is no model folder gone"),
    ],
)
def test_an_unknown_teacher(teacher: str, part: str, teach: Teach) -> None:
    done = teach("--set", f"teach.teacher={teacher}", sets="[DR]")
    assert_reported(done, 2, part)
    assert "pw" not in done.err


def test_an_unknown_set_in_allow_remote_is_a_fault(teach: Teach) -> None:
    assert_reported(
        teach("--allow-remote", "DRR"), 2, "teach.allow_remote: no set is called 'DRR'; did you mean DR?"
    )


def test_real_tables_are_refused_and_then_allowed(
    teach: Teach, server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        "mentallama.collect.clean_inputs.synthetic_post_hashes", frozenset
    )  # the sample's posts, taken for real ones
    done = teach(*remote(server))
    assert_reported(
        done, 2, "posts of CLP, DR were given under an agreement", "--allow-remote CLP --allow-remote DR"
    )
    assert not server.hashes
    assert_reported(teach(*remote(server), "--allow-remote", "DR"), 2, "posts of CLP were given")
    assert teach(*remote(server), "--allow-remote", "DR", "--allow-remote", "CLP").code == 0
    assert server.hashes.total() == N_DR + N_CLP


def test_a_ledger_of_a_newer_version(teach: Teach, server: Server, tmp_path: Path) -> None:
    assert teach(*remote(server), sets="[DR]").code == 0
    path = tmp_path / "run/ledger.sqlite"
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 999")
    file.close()
    (tmp_path / "run/teach/manifest.json").unlink()
    assert_reported(teach(*remote(server), sets="[DR]"), 1, "ledger.sqlite")


def test_options_set_their_recipe_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--budget", "1e-7", "--ray", "auto", "--allow-remote", "DR", "--allow-remote", "t-sid"]
    seen: list[list[str]] = []

    def stop(recipe: Path, changes: list[str], *rest: object) -> Path:
        seen.append(changes)
        raise UsageError("far enough")

    monkeypatch.setattr("mentallama.cli.stages.run_from_command", stop)
    monkeypatch.setattr(
        sys,
        "argv",
        ["mentallama", "teach", "r.yaml", "--set", "seed=1", *options],
    )
    with pytest.raises(SystemExit):
        cli.main()
    assert seen == [["seed=1", "teach.budget=1e-07", 'teach.allow_remote=["DR", "t-sid"]', "ray=auto"]]


# The recipe as a whole


@pytest.mark.parametrize(
    ("sets", "faults"), [(EVERY, {}), ("[DR, CLP]", {"500": 0.1, "cut": 0.05, "429": 0.05, "filter": 0.1})]
)
def test_the_sample_is_built_with_a_remote_teacher(
    sets: str, faults: dict[str, float], tmp_path: Path, teach: Teach
) -> None:
    with serving(Plan(reply=sensible_reply, faults=faults)) as server:
        done = teach("--set", f"teach.teacher=remote:test-model@{server.url}", stage="run", sets=sets)
    assert done.code == 0, done.err
    summary = read_json(tmp_path / "run/teach/summary.json")
    counts = summary["outcomes"]["test-model"]
    assert sum(counts.values()) == summary["questions"] == (N_DR + N_CLP if faults else 773)
    assert ("refused" in counts) == bool(faults)
    found = read_json(tmp_path / "run/check/manifest.json")["counts"]
    assert found["accepted"] > 0.9 * counts["parsed"], found["failed"]
