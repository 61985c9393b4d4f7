"""The page's section on accepted responses and gates."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from mentallama.check.output.gate_report_schema import (
    GateCounts,
    GateReport,
    LabelGateCounts,
    UnusableAnswers,
)
from mentallama.files.atomic import write_json
from mentallama.report.page_model import Block, FigureBlock, Paragraph, TableBlock
from mentallama.report.plots import BarRow, bar_plot
from mentallama.report.run import run
from mentallama.report.run_artifacts import RunArtifacts, read_run_artifacts
from mentallama.report.sections.gates import gates_section

GATE_REPORT = GateReport(
    responses=200,
    accepted=150,
    unanswered=0,
    gates=(
        GateCounts(gate="parsed", threshold=None, drops=True, judged=200, failed=20, sole_drops=20),
        GateCounts(gate="length", threshold=(5, 400), drops=True, judged=180, failed=36, sole_drops=30),
        GateCounts(gate="advice", threshold=True, drops=False, judged=180, failed=9, sole_drops=0),
        GateCounts(
            gate="reference_overlap",
            threshold=None,
            drops=False,
            judged=0,
            failed=0,
            sole_drops=0,
            note="no reference",
        ),
    ),
    disabled=("language",),
    failed_by_label=(
        LabelGateCounts(gate="length", set="DR", label="yes", high_risk=True, judged=60, failed=12),
        LabelGateCounts(gate="length", set="DR", label="no", high_risk=False, judged=40, failed=4),
        LabelGateCounts(gate="length", set="SAD", label="work", high_risk=False, judged=80, failed=20),
        LabelGateCounts(gate="parsed", set="SAD", label="work", high_risk=False, judged=100, failed=20),
    ),
    unusable_answers=(
        UnusableAnswers(
            set="SAD", label="work", high_risk=False, rows=100, refused=5, unparsed=10, truncated=0
        ),
        UnusableAnswers(set="DR", label="yes", high_risk=True, rows=65, refused=5, unparsed=0, truncated=0),
        UnusableAnswers(set="DR", label="no", high_risk=False, rows=35, refused=0, unparsed=0, truncated=0),
    ),
    rating_sample={"result": "rate more", "rated": 4, "overall": None},
    notes=("Parquet files are left out.",),
)


def blocks(report: GateReport = GATE_REPORT) -> tuple[Block, ...]:
    section = gates_section(RunArtifacts(gates=report))
    assert section is not None
    assert section.title == "Accepted responses and gates"
    return section.blocks


def texts(report: GateReport = GATE_REPORT) -> list[str]:
    return [block.text for block in blocks(report) if isinstance(block, Paragraph)]


def lines(table: TableBlock) -> list[list[str]]:
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_failed_responses_by_gate_and_set() -> None:
    by_set, refused, sample = (block for block in blocks() if isinstance(block, TableBlock))
    assert by_set.header == ("gate", "judged", "failed", "%", "DR", "SAD")
    assert lines(by_set) == [
        ["parsed", "200", "20", "10.0", "–", "20"],
        ["length", "180", "36", "20.0", "16", "20"],
        ["advice", "180", "9", "5.0", "–", "–"],
        ["reference_overlap", "0", "0", "0.0", "–", "–"],
    ]
    assert by_set.rows[1].cells[4].heat == 16 / 100
    assert lines(refused) == [
        ["DR", "yes", "high risk", "65", "5", "7.7"],
        ["SAD", "work", "", "100", "5", "5.0"],
    ]
    assert lines(sample) == [["result", "rate more"], ["rated", "4"]]


def test_paragraphs_name_accepted_responses_and_gates_without_drops() -> None:
    assert texts()[0].startswith("Of 200 responses 150 were accepted (75.0 %).")
    assert texts()[1:] == [
        "Reported, but not dropped: advice, reference_overlap.",
        "Disabled: language.",
        "Parquet files are left out.",
    ]


def test_the_plot_shows_the_numbers_of_the_table() -> None:
    (figure,) = (block for block in blocks() if isinstance(block, FigureBlock))
    assert (
        figure.description
        == "Responses that failed each gate: parsed 20 (10.0 %), length 36 (20.0 %), advice 9 (5.0 %)."
    )
    drawn = "".join(ElementTree.fromstring(figure.plot.inline_svg()).itertext())
    assert "36 (20.0 %)" in drawn
    assert "reference_overlap" not in drawn  # this gate judged nothing


def test_bar_plots_are_reproducible() -> None:
    rows = [BarRow("length", 20.0, 10.0, "36"), BarRow("parsed", 0.0, 0.0, "0")]
    first, second = (bar_plot(rows, "failed", "a plot") for _ in range(2))
    assert first.inline_svg() == second.inline_svg()
    assert dict(first.images()) == dict(second.images())
    escaped = bar_plot([BarRow("parsed", 0.0, 0.0, "0")], "failed", "all <passed>").inline_svg()
    assert escaped.count("all &lt;passed&gt;") == 1


def test_no_plot_without_judged_responses() -> None:
    nothing = GateReport(responses=0, accepted=0, unanswered=0, gates=(), notes=("There is no response.",))
    assert texts(nothing) == [
        "Of 0 responses 0 were accepted. A response is dropped if it fails at least one gate; "
        "check/gates.md says what each gate tests.",
        "There is no response.",
    ]
    assert len(blocks(nothing)) == 2


def test_a_run_without_check_has_no_such_section(tmp_path: Path) -> None:
    assert gates_section(RunArtifacts()) is None
    run(tmp_path / "run", tmp_path / "page", "A run")
    assert "Accepted responses" not in (tmp_path / "page/index.html").read_text(encoding="utf-8")


def test_both_pages_show_the_section(tmp_path: Path) -> None:
    write_json(tmp_path / "run/check/gates.json", GATE_REPORT.model_dump(mode="json"))
    assert read_run_artifacts(tmp_path / "run").gates == GATE_REPORT
    run(tmp_path / "run", tmp_path / "page", "A run")
    page = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert 'href="#gates"' in page
    assert "| length | 180 | 36 | 20.0 | 16 | 20 |" in (tmp_path / "page/report.md").read_text(
        encoding="utf-8"
    )
