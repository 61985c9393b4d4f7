"""The report: everything on one page, the same bytes each time, and no post text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mentallama.errors import DataError
from mentallama.files.atomic import write_json
from mentallama.files.markdown import escape_markdown
from mentallama.report.sections.provenance import flatten_settings
from mentallama.safety import NOTICE
from tests.factories.report_run import SECRET, SETTINGS, SIZES, make_run, make_scores, write_report


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(make_run(tmp_path_factory.mktemp("run")), "A made-up run", SETTINGS)


class Outline(HTMLParser):
    """Gathers a page's tags, and checks that they are closed in order."""

    VOID = frozenset({"meta", "link", "br", "img", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def outline(page: Path) -> Outline:
    parser = Outline()
    parser.feed(page.read_text(encoding="utf-8"))
    assert parser.open == []
    return parser


def test_the_page_is_well_formed_and_described(whole: Path) -> None:
    page = outline(whole)
    assert page.having("html") == [{"lang": "en"}]
    assert len(page.having("h1")) == 1
    assert all(cell.get("scope") in ("col", "row") for cell in page.having("th"))
    assert len(page.having("caption")) == len(page.having("table")) > 15
    drawn = page.having("svg")
    assert len(drawn) == 1 + 2 * len(SIZES)  # of each set, calibration and risk by coverage
    assert all(one["role"] == "img" and len(one["aria-label"] or "") > 20 for one in drawn)


def test_links_and_ids_agree(whole: Path) -> None:
    page = outline(whole)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    parts = {f"#{part['id']}" for part in page.having("section")}
    targets = {str(link["href"]) for link in page.having("a")}
    files = {target for target in targets if not target.startswith("#")}
    assert targets - files == parts | {"#content"}
    written = {path.relative_to(whole.parent).as_posix() for path in whole.parent.glob("files/*")}
    assert files == written
    assert len(files) > 60
    assert {part["aria-labelledby"] for part in page.having("section")} <= set(ids)


def test_the_page_requests_nothing_else(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    assert "<script" not in text
    assert outline(whole).having("img") == []
    addresses = set(re.findall(r'https?://[^"\s<]+', text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_no_post_text_on_the_page(whole: Path) -> None:
    for name in ("index.html", "report.md"):
        assert SECRET not in (whole.parent / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["index.html", "report.md"])
def test_both_pages_show_the_same_facts(whole: Path, name: str) -> None:
    text = (whole.parent / name).read_text(encoding="utf-8")
    for expected in (
        NOTICE[:40],
        "A made-up run",
        "MentaLLaMA-chat-13B",
        "85.68",
        "thwarted belongingness",
        "792",
        "SWMH: 3 labelled test rows have no prediction",
        "its lists differ in length: 58 references, 70 outputs",
        "Held out: CAMS, IRF. None of their posts",
        "Held-out sets: weighted F1 of models that were not trained on them",
        "27.22",
        "collect.leak_guard",
        "98.76",
    ):
        assert expected in text, expected
    assert "nan" not in re.findall(r"\w+", text.lower())


def test_the_same_run_gives_the_same_bytes(whole: Path, tmp_path: Path) -> None:
    again = write_report(make_run(tmp_path), "A made-up run", SETTINGS)
    assert again.read_bytes() == whole.read_bytes()
    assert (again.parent / "report.md").read_bytes() == (whole.parent / "report.md").read_bytes()


def test_an_empty_run_says_what_is_missing(tmp_path: Path) -> None:
    text = write_report(tmp_path, "Nothing yet").read_text(encoding="utf-8")
    for name in (
        "evaluate/scores.json",
        "collect/summary.json",
        "collect/overlap.json",
        "collect/label_drift.json",
        "train/summary.json",
    ):
        assert f"There is no {name} in this run" in text
    assert NOTICE[:40] in text


def test_scores_alone_are_enough(tmp_path: Path) -> None:
    make_scores(tmp_path)
    text = write_report(tmp_path, "Scores").read_text(encoding="utf-8")
    assert "Results compared with the paper" in text
    assert "held out in this run" not in text  # only the leak guard's summary can support that claim


def test_secrets_and_parent_folders_are_not_shown(tmp_path: Path) -> None:
    collect = {"author_salt": "pepper", "tables": ["/home/somebody/table.csv"]}
    settings = {"data": "/home/somebody/imhi", "collect": collect}
    write_report(tmp_path, "Sent around", settings)
    for name in ("index.html", "report.md"):
        text = (tmp_path / "report" / name).read_text(encoding="utf-8")
        assert "imhi" in text
        assert "collect.author_salt" in text
        assert "pepper" not in text
        assert "somebody" not in text


def test_titles_are_escaped(tmp_path: Path) -> None:
    text = write_report(tmp_path, "<b>a & b</b>").read_text(encoding="utf-8")
    assert "<h1>&lt;b&gt;a &amp; b&lt;/b&gt;</h1>" in text


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    write_json(tmp_path / "collect/label_drift.json", [{"set": "Irf"}])
    with pytest.raises(DataError, match=r"collect/label_drift.json: the report cannot read 0.differ"):
        write_report(tmp_path, "Damaged")


def test_rows_of_markdown_tables_have_as_many_cells_as_the_header(whole: Path) -> None:
    lines = (whole.parent / "report.md").read_text(encoding="utf-8").splitlines()
    blocks = "\n".join(lines).split("\n\n")
    tables = [block.strip().splitlines() for block in blocks if block.lstrip().startswith("|")]
    assert len(tables) > 15
    for table in tables:
        assert len(table) >= 3
        assert len({line.count("|") for line in table}) == 1, table[0]


def test_markdown_cells_are_escaped() -> None:
    assert escape_markdown("a|b\nc") == "a\\|b c"


def test_settings_in_a_list_are_numbered() -> None:
    teachers = [
        {"spec": "embedded", "max_tokens": 512},
        {"spec": "linear:x", "options": {"api_key": "hunter2"}},
    ]
    assert list(flatten_settings({"teacher": teachers})) == [
        ("teacher.1.spec", "embedded"),
        ("teacher.1.max_tokens", "512"),
        ("teacher.2.spec", "linear:x"),
        ("teacher.2.options.api_key", "not shown"),
    ]
