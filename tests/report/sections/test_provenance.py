"""The page's section on provenance: when, where and by which command each stage was run."""

from __future__ import annotations

from datetime import UTC, datetime

from mentallama.files.manifest import Execution, Manifest, execution_of
from mentallama.report.page_model import BlockGroup, TableBlock
from mentallama.report.run_artifacts import RunArtifacts
from mentallama.report.sections.provenance import provenance_section


def manifest(stage: str, execution: Execution | None) -> Manifest:
    return Manifest(
        stage=stage,
        cache_key={"versions": {"mentallama": "0.1.0", "python": "3.11.7"}},
        outputs=(),
        counts={},
        seconds=1234.56,
        peak_memory_mb=2048,
        execution=execution,
    )


def tables(artifacts: RunArtifacts) -> list[TableBlock]:
    return [block for block in provenance_section(artifacts).blocks if isinstance(block, TableBlock)]


def test_stages_have_their_date_and_cost_and_the_run_its_command_and_machine_once() -> None:
    execution = Execution(
        finished="2031-05-06 07:08 UTC", machine="a CPU, 2 cores", command="mentallama run a.yaml"
    )
    manifests = {"collect": manifest("collect", execution), "train": manifest("train", execution)}
    stages, facts = tables(RunArtifacts(manifests=manifests))
    assert [[cell.text for cell in row.cells] for row in stages.rows] == [
        [stage, "2031-05-06 07:08 UTC", "1234.6", "2,048", "0.1.0", "3.11.7"]
        for stage in ("collect", "train")
    ]
    assert [[cell.text for cell in row.cells] for row in facts.rows] == [
        ["command", "mentallama run a.yaml"],
        ["machine", "a CPU, 2 cores"],
    ]


def test_what_a_manifest_does_not_say_is_left_out() -> None:
    (stages,) = tables(RunArtifacts(manifests={"train": manifest("train", None)}))
    assert stages.rows[0].cells[1].text == "–"
    assert tables(RunArtifacts()) == []


def test_an_execution_says_the_time_in_utc_and_the_command_that_can_be_shared() -> None:
    now = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    execution = execution_of(["/usr/bin/mentallama", "run", "/home/me/a.yaml"], now)
    assert (execution.finished, execution.command) == ("2031-05-06 07:08 UTC", "mentallama run a.yaml")
    assert "core" in execution.machine


def test_settings_are_folded() -> None:
    blocks = provenance_section(RunArtifacts(settings={"seed": 7, "train": {"C": 2.0}})).blocks
    (group,) = (block for block in blocks if isinstance(block, BlockGroup))
    assert group.collapsed_title == "Settings of the recipe, 2"
