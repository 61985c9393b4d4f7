"""The ledger of a small made-up release: counts by hand, files, and wrong use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mentallama.answers.format import write_answer
from mentallama.cli.app import app
from mentallama.errors import DataError, UsageError
from mentallama.files.record_files import read_record
from mentallama.reproduce.claims import ClaimFinding, load_claims
from mentallama.reproduce.inputs import ReproductionInputs
from mentallama.reproduce.ledger import ClaimLedger, check_claims, write_ledger
from mentallama.reproduce.release_data import ReleaseData
from mentallama.tasks import load_tasks, write_query
from mentallama.tasks.schema import SplitCounts
from tests.factories.model_outputs import write_csv

TASKS = load_tasks()


def write_set(root: Path, name: str, part: str, rows: list[tuple[str, str]]) -> None:
    """A release file of one question, from texts and labels."""
    task = TASKS[name]
    (question,) = task.questions
    folder = (
        "test_data/test_instruction/{}.csv"
        if part == "test"
        else "train_data/instruction_data/{}/" + part + ".csv"
    )
    write_csv(
        root / "release" / folder.format(name),
        {
            "query": [write_query(task, question, "instruction", text) for text, _ in rows],
            "gpt-3.5-turbo": [write_answer(task, question, label, "It is made up.") for _, label in rows],
        },
    )


def inputs(root: Path) -> ReproductionInputs:
    """The folder, with two sets whose published files are as small as these."""
    sizes = dict.fromkeys(("dreaddit", "DR"), SplitCounts(train=2, validation=1, test=2))
    tasks = {
        name: task.model_copy(update={"published_rows": sizes.get(name)}) for name, task in TASKS.items()
    }
    return ReproductionInputs(ReleaseData(root, tasks))


def findings(root: Path, claim_id: str) -> dict[str, ClaimFinding]:
    claims = [claim for claim in load_claims() if claim.id == claim_id]
    ledger = check_claims(inputs(root), claims)
    return {finding.subject: finding for finding in ledger.findings[claim_id]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    write_set(root, "dreaddit", "train", [("The kettle is on.", "no"), ("Rain again, what a week.", "yes")])
    write_set(root, "dreaddit", "test", [("A long walk home.", "no")])
    write_set(root, "DR", "test", [("Two cats asleep.", "no"), ("The garden is wet.", "yes")])
    return root


def test_rows_are_counted_and_missing_files_are_named(data: Path) -> None:
    found = findings(data, "set-rows")
    assert found["dreaddit, train"].verdict == "reproduced"
    short = found["dreaddit, test"]
    assert (short.ours, short.published, short.verdict) == (1, 2, "differs")
    assert short.cause == "rows are missing from the file"
    missing = found["DR, validation"]
    assert (missing.ours, missing.published, missing.verdict) == (None, 1, "not possible")
    assert missing.cause == "train_data/instruction_data/SET/val.csv is missing or empty"


def test_a_total_needs_every_file_whole(data: Path) -> None:
    totals = findings(data, "total-rows")
    assert totals["train"].verdict == "not possible"
    assert totals["train"].cause.startswith("no or fewer rows of 1 of 2 files")
    write_set(data, "DR", "train", [("A bus ride.", "no"), ("Soup for two.", "no")])
    # 4 rows instead of the paper's 72,095: a total at last, and not its
    assert (findings(data, "total-rows")["train"].ours, findings(data, "total-rows")["train"].verdict) == (
        4,
        "differs",
    )


def upstream_dreaddit(data: Path, rows: list[tuple[str, int]]) -> None:
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    extra = {"confidence": 1.0, "subreddit": "made-up", "post_id": "p", "social_timestamp": 1}
    write_csv(
        data / "sources/dreaddit/dreaddit-train.csv", columns | {k: [v] * len(rows) for k, v in extra.items()}
    )


def test_agreement_of_labels_is_counted_where_most_of_them_are_known(data: Path) -> None:
    unknown = findings(data, "teacher-agreement")["sets over 90 %"]
    assert (unknown.verdict, unknown.ours) == ("differs", 0)  # two sets cannot be seven
    upstream_dreaddit(data, [("the KETTLE is on", 0), ("Rain again, what a week.", 0)])
    # 2 of 3 rows stand upstream, one of them with the other label
    assert "dreaddit 50.0 %" in findings(data, "teacher-agreement")["sets over 90 %"].cause


def test_the_files_hold_what_was_found_and_are_replaced_by_the_same_command_only(
    data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "ledger"
    ledger = write_ledger(inputs(data), out)
    assert read_record(out / "claims.json", ClaimLedger) == ledger
    assert sum(ledger.counts().values()) == sum(map(len, ledger.findings.values()))
    page = (out / "claims.md").read_text(encoding="utf-8")
    assert all(f"## {claim.claim}" in page for claim in ledger.claims)
    assert page.count("research only") == 1
    first = (out / "claims.json").read_bytes()
    write_ledger(inputs(data), out)
    assert (out / "claims.json").read_bytes() == first
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "claims.md").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="did not make this file"):
        write_ledger(inputs(data), foreign)


@pytest.mark.parametrize("wrong", ["nowhere", "empty"])
def test_a_folder_without_a_release_is_wrong_use(wrong: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"there is no such folder|not the published release"):
        ReleaseData(tmp_path / wrong, TASKS)


def test_a_damaged_file_is_an_error_and_no_finding(data: Path) -> None:
    file = data / "release/test_data/test_instruction/DR.csv"
    file.write_text("query,gpt-3.5-turbo\nno query of this task,Yes.\n", encoding="utf-8")
    with pytest.raises(DataError, match="row 2"):
        check_claims(inputs(data))


def test_the_command_prints_every_claim_and_is_done_whatever_the_verdicts(data: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["reproduce", "--data", str(data), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert all(claim.claim in done.output for claim in load_claims())
    assert re.search(r"DR, test\s+│\s+405 │\s+2 │\s+– │\s+differs", done.output)
    assert "not possible: " in done.output
    assert done.output.splitlines()[-1] == str(tmp_path / "out/claims.md")
    assert max(map(len, (line for line in done.output.splitlines() if line[:1] in "┏┃│└"))) <= 80
