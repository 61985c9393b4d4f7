"""Files of the page's tables and figures: the right numbers in CSV, escaped LaTeX, images without dates."""

import re
import shutil
import subprocess
from dataclasses import replace
from io import BytesIO, StringIO
from pathlib import Path

import pandas as pd
import pytest

from mentallama.report.downloads import csv_text, download_files, escape_latex, latex_text, with_file_names
from mentallama.report.page_model import (
    BlockGroup,
    Cell,
    FigureBlock,
    Page,
    Section,
    TableBlock,
    count_cell,
    header_cell,
    interval_cell,
    named_row,
    number_cell,
)
from mentallama.report.plots import BarRow, bar_plot
from tests.factories.report_run import SETTINGS, make_run, write_report

TABLE = TableBlock(
    "Scores, in % of all rows & posts.",
    ("set", "rows", "F1", "95 %", "why"),
    (
        named_row(
            "A_1",
            [
                count_cell(12345),
                number_cell(66.6667),
                interval_cell((50.04, 80.26)),
                Cell("a “quote”, 5 % {x}"),
            ],
        ),
        named_row("part", [count_cell(7), number_cell(None), interval_cell(None), Cell("–")], is_subrow=True),
    ),
    name="Two words",
)


def test_csv_has_unrounded_numbers_and_empty_cells() -> None:
    frame = pd.read_csv(StringIO(csv_text(TABLE)))
    assert list(frame.columns) == ["set", "rows", "F1", "95 % low", "95 % high", "why"]
    assert list(frame["rows"]) == [12345, 7]
    assert frame["F1"][0] == 66.6667
    assert (frame["95 % low"][0], frame["95 % high"][0]) == (50.04, 80.26)
    assert list(frame["set"]) == ["A_1", "A_1, part"]
    assert frame.iloc[1, 2:].isna().all()
    assert frame["why"][0] == "a “quote”, 5 % {x}"


def test_latex_is_a_booktabs_table_of_what_the_page_shows() -> None:
    lines = latex_text(replace(TABLE, file="scores")).splitlines()
    assert r"  \caption{Scores, in \% of all rows \& posts.}" in lines
    assert r"  \begin{tabular}{lrrrl}" in lines
    assert r"    A\_1 & 12,345 & 66.67 & 50.0--80.3 & a “quote”, 5 \% \{x\} \\" in lines
    assert r"    \quad part & 7 & -- & -- & -- \\" in lines
    assert [line.strip() for line in lines if "rule" in line] == [r"\toprule", r"\midrule", r"\bottomrule"]


def test_long_texts_wrap_in_latex() -> None:
    rows = (named_row("a", [Cell("word " * 20)]),)
    assert r"\begin{tabular}{lp{0.35\linewidth}}" in latex_text(TableBlock("t", ("set", "why"), rows))


@pytest.mark.parametrize("character", "\\{}~^<>|#$%&_[]*→≥–…")
def test_no_special_character_of_latex_is_left_bare(character: str) -> None:
    escaped = escape_latex(f"a{character}b")
    assert escaped != f"a{character}b"
    assert escaped.count("{") - escaped.count("\\{") == escaped.count("}") - escaped.count("\\}")


def page_of(*blocks: TableBlock | FigureBlock | BlockGroup) -> Page:
    return Page("t", "n", "i", (), (Section("scores", "Scores", blocks),))


def test_every_file_has_a_name_of_its_own() -> None:
    figure = FigureBlock("f", bar_plot([BarRow("a", 1, 1, "1")], "x", "d"), TABLE, name="plot")
    page = with_file_names(page_of(TABLE, BlockGroup((TABLE, replace(TABLE, name=""))), figure))
    names = [name for name, _ in download_files(page)]
    assert names == [
        *("files/scores-two-words.csv", "files/scores-two-words.tex"),
        *("files/scores-two-words-2.csv", "files/scores-two-words-2.tex"),
        *("files/scores.csv", "files/scores.tex"),
        *("files/scores-plot.svg", "files/scores-plot.pdf", "files/scores-plot.png"),
        *("files/scores-plot-data.csv", "files/scores-plot-data.tex"),
    ]


def test_images_hold_no_date_and_are_what_they_are_named() -> None:
    figure = FigureBlock("f", bar_plot([BarRow("a", 1, 1, "1")], "x", "a description"))
    files = dict(download_files(with_file_names(page_of(figure))))
    svg, pdf, png = (files[f"files/scores.{suffix}"] for suffix in ("svg", "pdf", "png"))
    assert svg.startswith(b"<?xml")
    assert b"var(--" not in svg
    assert pdf.startswith(b"%PDF-")
    assert png.startswith(b"\x89PNG")
    for content in (svg, pdf, png):
        assert not re.search(rb"20\d\d-\d\d-\d\d|D:20\d\d|Date", content)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("run")), "A run", SETTINGS).parent / "files"


def test_every_table_of_a_run_opens_in_pandas(written: Path) -> None:
    tables = sorted(written.glob("*.csv"))
    assert len(tables) > 15
    for path in tables:
        header = path.read_text(encoding="utf-8").splitlines()[0]
        frame = pd.read_csv(path)
        assert len(frame), path.name
        assert not [name for name in frame.columns if name.startswith("Unnamed") or name.endswith(".1")], (
            header
        )
    scores = pd.read_csv(written / "sets.csv").set_index("set")
    assert scores["rows"]["SAD"] == 90
    assert scores["rows"]["IRF, thwarted belongingness"] == 50


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: the tables were not compiled")
def test_latex_compiles(written: Path, tmp_path: Path) -> None:
    inputs = "\n".join(rf"\input{{{path.as_posix()}}}" for path in sorted(written.glob("*.tex")))
    document = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{inputs}\end{{document}}"
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_header_cell_is_a_word() -> None:
    assert header_cell("7").content == "7"
    assert BytesIO(csv_text(TABLE).encode()).readline() == b"set,rows,F1,95 % low,95 % high,why\n"
